"""Profiles: what is read, how it is laid over the tables, and what is refused with all its problems."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import twin
from tests.timeseries_cases import column, long_form, two_feeders
from twin.errors import InputError
from twin.timeseries.profiles import read_profiles


def profiles(steps: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return long_form("load", [0, 2], rng.uniform(0.1, 0.3, (steps, 2)), rng.uniform(0.0, 0.1, (steps, 2)))


def test_every_form_is_read_alike(tmp_path: Path) -> None:
    rows, net = profiles(), two_feeders()
    table = pa.Table.from_pandas(rows, preserve_index=False)
    pq.write_table(table, tmp_path / "p.parquet")
    pyarrow.csv.write_csv(table, tmp_path / "p.csv")
    categories = rows.astype({"element": "category", "step": "int32"})
    dictionary = table.set_column(1, "element", table.column("element").dictionary_encode())
    by_element = rows.sort_values(["index", "step"])
    sources = [tmp_path / "p.parquet", str(tmp_path / "p.csv"), table, dictionary, categories, by_element]
    reference = twin.run_timeseries(net, rows)
    for source in sources:
        result = twin.run_timeseries(net, source)
        assert result.res_bus.equals(reference.res_bus)
        assert result.res_line.equals(reference.res_line)


def test_without_profiles_there_is_one_step_of_the_tables() -> None:
    result = twin.run_timeseries(two_feeders())
    assert result.summary["steps"] == [0]
    assert result.res_bus.num_rows == 10


def test_an_element_without_a_row_keeps_its_table_value() -> None:
    net, rows = two_feeders(), profiles(3)
    read = read_profiles(rows[(rows["step"] != 1) | (rows["index"] != 2)], net)
    load = read.elements["load"]
    assert load.index.tolist() == [0, 2]
    assert load.p_mw[1, 1] == net.load.at[2, "p_mw"]
    assert load.q_mvar[1, 1] == net.load.at[2, "q_mvar"]
    assert load.p_mw[0, 1] == rows[(rows.step == 1) & (rows["index"] == 0)].p_mw.item()


def test_steps_keep_their_labels_whatever_their_order_and_gaps() -> None:
    rows = profiles(3)
    rows["step"] = rows["step"].map({0: 10**12, 1: -4, 2: 7})
    result = twin.run_timeseries(two_feeders(), rows)
    assert result.summary["steps"] == [-4, 7, 10**12]
    assert result.res_bus.column("step").to_numpy()[::10].tolist() == [-4, 7, 10**12]
    straight = twin.run_timeseries(two_feeders(), profiles(3))
    ours, theirs = (column(r.res_bus, "vm_pu", 3) for r in (result, straight))
    np.testing.assert_array_equal(ours, theirs[[1, 2, 0]])


def test_the_network_is_not_changed() -> None:
    net = two_feeders()
    before = {name: net[name].copy() for name in ("load", "line", "bus", "trafo")}
    twin.run_timeseries(net, profiles())
    for name, table in before.items():
        pd.testing.assert_frame_equal(net[name], table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda rows: rows.drop(columns=["p_mw", "step"]),
            ["step: there is no such column", "p_mw: there is no such column"],
        ),
        (lambda rows: rows.assign(element="lamp"), ["'lamp' cannot have a profile", "use one of load"]),
        (lambda rows: rows.assign(index=99), ["load has no row 99 (10 rows name 1 such elements)"]),
        (lambda rows: pd.concat([rows, rows[:2]]), ["2 rows are there twice, first step 0, load 0"]),
        (lambda rows: rows.assign(step=0.5), ["step: is no whole number in 10 rows"]),
        (lambda rows: rows.assign(step=np.nan), ["step: is no whole number"]),
        (lambda rows: rows.assign(p_mw="much"), ["p_mw: is no column of numbers"]),
        (lambda rows: rows.assign(element=None), ["element: is empty in 10 rows"]),
        (lambda rows: rows[:0], ["holds no rows"]),
    ],
)
def test_problems_are_told(change: Any, said: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        twin.run_timeseries(two_feeders(), change(profiles()))
    for text in said:
        assert text in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    rows = pd.concat([profiles(), profiles()[:1], profiles().assign(element="lamp"), profiles().assign(element="sgen")])
    with pytest.raises(InputError) as caught:
        twin.run_timeseries(two_feeders(), rows)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("source", "said"), [("none.csv", "no such file"), (7, "are a int"), ("bad.parquet", "cannot be read")]
)
def test_sources_that_are_none(source: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=said):
        twin.run_timeseries(two_feeders(), tmp_path / source if isinstance(source, str) else source)


def test_an_unknown_solver_is_refused() -> None:
    with pytest.raises(InputError, match="use one of auto, radial, newton"):
        twin.run_timeseries(two_feeders(), solver="gauss")
