"""A run with meters as devices over a month's end on a small network: displays roll over, and bills are right."""

import shutil

import numpy as np
import pytest

from tests.own_grid_cases import SCENARIO, Village
from tests.runs import run_local, twin
from tests.unit.test_meter_datasheets import PACK
from twin.consumer_bill import consumer_bill
from twin.errors import RunFolderError
from twin.meters.datasheets import read_catalogue
from twin.simulation import meter_devices

DIGITS = 2
"""Before the point, of static and electromechanical meters here: 100 kWh, which a home counts in a fortnight."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("displays")
    shutil.copytree(PACK, folder / "devices")
    for name in ("static", "electromechanical"):
        sheet = folder / "devices" / "legacy" / f"{name}.yaml"
        lines = [line for line in sheet.read_text(encoding="utf-8").splitlines() if "digits:" not in line]
        few = f'      digits: {{value: {DIGITS}, source: "assumed: so that it rolls over"}}'
        lines = [part for line in lines for part in ([line, few] if line.strip() == "register:" else [line])]
        sheet.write_text("\n".join(lines) + "\n", encoding="utf-8")
    village = Village(folder)
    scenario = village.write(
        SCENARIO.replace("time: {start: 2026-06-10, days: 1,", "time: {start: 2026-06-28, days: 5,")
        + "meters: {devices: true, smart_share: {domestic: 0.3}}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meter_devices, "catalogue", lambda: read_catalogue(folder / "devices"))
        return run_local(folder / "run", scenario=scenario)


@pytest.fixture(scope="module")
def rows(run):
    return run.query('SELECT * FROM registers ORDER BY "case", consumer_id, period_start, zone').to_pandas()


def test_the_end_of_june_is_the_start_of_july(rows):
    june, july = (part.reset_index() for _, part in rows.groupby("period_start"))
    assert len(june) == len(july) > 100
    assert np.array_equal(june.end_wh, july.start_wh)
    assert june.month_wh.notna().all()
    assert july.month_wh.isna().all()


def test_meters_roll_over_and_bills_are_what_they_gained(run, rows):
    """Energy of a bill is that of the displays, to the Wh, worked out from the table alone."""
    legacy = rows[rows.digits == DIGITS]
    assert (legacy.taken_as == "rolled_over").sum() > 10
    assert (rows[rows.digits == 6].taken_as != "rolled_over").all()
    assert legacy.end_wh.max() < 10**DIGITS * 1000
    rollover = 1000 * 10.0 ** rows.digits.astype(int)
    old = rows.removed_wh.fillna(rows.end_wh)
    gained = np.mod(old - rows.start_wh, rollover) + np.where(rows.removed_wh.notna(), rows.end_wh, 0)
    rows = rows.assign(kwh=rows.billed_wh.fillna(gained) / 1000)
    energy = rows.groupby(["case", "consumer_id", "period_start"]).kwh.sum()
    bills = run.table("bills").to_pandas().set_index(["case", "consumer_id", "period_start"]).metered_kwh
    np.testing.assert_allclose(energy, bills[energy.index], rtol=0, atol=1e-9)


def test_a_bill_is_worked_out_from_readings_that_rolled_over(run, rows):
    rolled = rows[rows.taken_as == "rolled_over"].consumer_id.unique()
    for consumer in rolled[:5]:
        windows = consumer_bill(run, int(consumer), "tod").windows
        assert len(windows) == 2
        assert windows[0].readings.counter_wh(windows[0].readings.end_wh) == windows[1].readings.counter_wh(
            windows[1].readings.start_wh
        )
    told = twin("bill", run.path, str(rolled[0]))
    assert told.returncode == 0, told.stderr
    assert "rolled over" in told.stdout
    assert "Register, 2026-06-28 to 2026-06-30" in told.stdout


def test_a_bill_is_refused_where_a_reading_does_not_fit(run, rows, monkeypatch):
    """One kWh more on the display at the end, and the lines no longer add up to table bills."""
    consumer = int(rows[(rows.taken_as == "rolled_over") & (rows.end_wh < 9e4)].consumer_id.iloc[0])
    table = run.table

    def spoiled(name, *args, **kwargs):
        found = table(name, *args, **kwargs)
        if name != "registers":
            return found
        at = found.schema.get_field_index("end_wh")
        return found.set_column(at, found.schema.field(at), [[value.as_py() + 1000 for value in found.column(at)]])

    monkeypatch.setattr(run, "table", spoiled)
    with pytest.raises(RunFolderError, match="table bills says"):
        consumer_bill(run, consumer)


def test_a_day_s_register_is_yesterday_s_and_what_it_gained(run, rows):
    days = run.table("meter_days").to_pandas().sort_values(["case", "consumer_id", "date"])
    digits = rows.groupby("consumer_id").digits.first()
    rollover = 10.0 ** digits[days.consumer_id].to_numpy().astype(int)
    swapped = set(rows[rows.taken_as == "swapped"].consumer_id)
    same = (days.consumer_id.diff() == 0) & ~days.consumer_id.isin(swapped)
    turned = np.mod(days.register_kwh.diff() - days.metered_kwh + 0.005, rollover)
    assert same.sum() > 200
    assert np.abs(turned[same] - 0.005).max() < 1e-6
    assert (days.register_kwh.diff()[same] < 0).any(), "some rolled over"
