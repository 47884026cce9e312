"""Enrolment in a run: those who gain join more, shards change nothing, everybody's bill is on their own tariff."""

import numpy as np
import pytest

from tests.runs import run_local
from twin.consumer_bill import consumer_bill
from twin.simulation import shard

TARIFF = (
    "tariff: {time_of_day: {applies_to: gross, solar: {hours: '09-17', multiplier: 0.5}, "
    "peak: {hours: '17-23', multiplier: 1.6}}}"
)
ARMS = f"experiment.arms={{flat: {{}}, all: {{{TARIFF}}}, in: {{{TARIFF}, enrolment: {{mode: opt_in}}}}, "
ARMS += f"out: {{{TARIFF}, enrolment: {{mode: opt_out}}}}}}"
SMALL = (
    ARMS, "grid.resolve.fraction=0.001", "output.readings.consumers=0", "meters.smart_share.domestic=1.0",
    "output.tables=[consumers, bills, registers]",
)  # fmt: skip
OPT_IN, OPT_OUT = 2, 3


def run_and_note(folder, shards):
    """A run, and which arm's tariff each consumer was put on in the worlds with enrolment, by consumer."""
    on = {OPT_IN: {}, OPT_OUT: {}}
    settle = shard.settle_tariffs

    def note(world, *rest):
        settle(world, *rest)
        for arm, known in on.items():
            ids = world.population.consumers.consumer_id.tolist()
            known.update(zip(ids, world.response.on_tariff[arm].tolist(), strict=True))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard, "settle_tariffs", note)
        return run_local(folder, shards=shards, overrides=SMALL), on


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    return run_and_note(tmp_path_factory.mktemp("enrolment") / "one", 1)


@pytest.fixture(scope="module")
def reached(noted):
    """Homes whose bill the tariff changes: their numbers, and the bill's fall at unchanged use. [INR/month]"""
    rows = noted[0].query("""
        SELECT consumer_id, (base.month_paise - own.month_unchanged_paise) / 100.0 AS gain
        FROM bills base JOIN bills own USING (consumer_id) JOIN consumers USING (consumer_id)
        WHERE base."case" = 0 AND own."case" = 1 AND smart AND income_class > 0
          AND base.month_paise <> own.month_unchanged_paise ORDER BY consumer_id""")
    return rows.column(0).to_numpy(), rows.column(1).to_numpy()


@pytest.mark.parametrize("arm", [OPT_IN, OPT_OUT])
def test_those_who_gain_are_on_the_tariff_more_often(noted, reached, arm):
    ids, gain_inr = reached
    joined = np.array([noted[1][arm][consumer] == arm for consumer in ids.tolist()])
    assert 0.02 < joined.mean() < 0.99
    assert gain_inr[joined].mean() > gain_inr[~joined].mean()
    order = np.argsort(gain_inr)
    lowest, highest = np.array_split(joined[order], 4)[0], np.array_split(joined[order], 4)[3]
    assert highest.mean() > lowest.mean()


def test_more_stay_than_join(noted, reached):
    shares = [
        np.mean([noted[1][arm][consumer] == arm for consumer in reached[0].tolist()]) for arm in (OPT_IN, OPT_OUT)
    ]
    assert shares[0] < shares[1]


def test_the_cut_into_shards_changes_nobodys_choice_and_no_table(noted, tmp_path):
    run, on = run_and_note(tmp_path / "two", 2)
    assert on == noted[1]
    assert run.digests() == noted[0].digests()


def test_the_table_counts_who_is_on_the_tariff(noted, reached):
    """Of those whom it reaches, by group: as the response itself has them; the arm without a choice has no rows."""
    run, on = noted
    rows = run.query("""select "case", sum(reached)::bigint, sum(joined)::bigint,
        sum(joined) filter (where income_class > 0)::bigint from enrolment group by 1 order by 1""").to_pylist()
    assert [row["case"] for row in rows] == [OPT_IN, OPT_OUT]
    homes = set(run.query("select consumer_id from consumers where income_class > 0").column(0).to_pylist())
    for row in rows:
        case, whole, joined, at_home = row.values()
        chosen = [consumer for consumer, arm in on[case].items() if arm == case]
        assert joined == len(chosen)
        assert at_home == len(homes & set(chosen))
        assert whole > joined > 0
        assert whole >= len(reached[0])


def test_a_worked_bill_is_on_the_consumers_own_tariff(noted, reached):
    """`consumer_bill` refuses lines that do not add up to table ``bills``."""
    run, on = noted
    choice = np.array([on[OPT_IN][consumer] for consumer in reached[0].tolist()])
    for arm, name in ((OPT_IN, "in"), (0, "flat")):
        for consumer in reached[0][choice == arm][:6].tolist():
            bill = consumer_bill(run, consumer, "in")
            assert bill.arm == "in"
            assert name in bill.tariff.split(" or ")
    names = {consumer_bill(run, consumer, "in").tariff for consumer in reached[0][:40].tolist()}
    assert {"in", "flat"} <= names
