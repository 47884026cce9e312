"""``twin powerflow`` and the readers of networks."""

import json
from pathlib import Path

import numpy as np
import pandapower as pp
import pandapower.networks as nw
import pyarrow.parquet as pq
import pytest
import scipy.io
from pandapower.converter.matpower import to_mpc
from typer.testing import CliRunner

import twin
from tests.timeseries_cases import column, swinging, two_feeders
from twin.cli import app
from twin.errors import InputError, NetworkError
from twin.timeseries.network import read_network
from twin.timeseries.profiles import from_simbench


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["powerflow", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def saved(tmp_path: Path) -> tuple[Path, Path]:
    net = two_feeders()
    pp.to_json(net, str(tmp_path / "net.json"))
    rows = swinging(net, 300, np.random.default_rng(1), ("load",))
    rows.to_parquet(tmp_path / "profiles.parquet")
    return tmp_path / "net.json", tmp_path / "profiles.parquet"


def test_files_hold_what_python_gives(tmp_path: Path) -> None:
    net, profiles = saved(tmp_path)
    code, said = run(net, "--profiles", profiles, "--out", tmp_path / "out")
    assert code == 0
    assert "2 by radial sweep" in said
    assert "300, of which 0 failed" in said
    result = twin.run_timeseries(net, profiles)
    for name, table in result.tables():
        assert pq.read_table(tmp_path / "out" / f"{name}.parquet").equals(table)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["status"] == ["solved"] * 300
    assert summary["vm_min_pu"] == pytest.approx(column(result.res_bus, "vm_pu", 300).min(), abs=0)
    written = result.write(tmp_path / "again")
    assert {path.name for path in written.iterdir()} == {path.name for path in (tmp_path / "out").iterdir()}


def test_without_a_folder_it_only_speaks(tmp_path: Path) -> None:
    net, _ = saved(tmp_path)
    code, said = run(net, "--solver", "newton")
    assert code == 0
    assert "2 by newton" in said


def test_failures_are_listed_and_the_code_is_3(tmp_path: Path) -> None:
    net = two_feeders()
    net.load.loc[3, "p_mw"] = 900.0
    pp.to_json(net, str(tmp_path / "net.json"))
    code, said = run(tmp_path / "net.json")
    assert code == 3
    assert "voltage collapse" in said


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    net, _ = saved(tmp_path)
    with pytest.raises(InputError, match="is not empty"):
        run(net, "--out", tmp_path)


def test_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, profiles = saved(tmp_path)
    whole = twin.run_timeseries(net, profiles)
    monkeypatch.setattr("twin.timeseries.solver.LEAST_BLOCK", 40)
    monkeypatch.setattr("twin.timeseries.solver.MOST_BLOCK", 40)
    blocks = twin.run_timeseries(net, profiles)
    for name, table in whole.tables():
        assert dict(blocks.tables())[name].equals(table)
    run(net, "--profiles", profiles, "--out", tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "res_line.parquet").equals(whole.res_line)


def test_excel_and_matpower_are_read(tmp_path: Path) -> None:
    net = nw.case9()
    pp.to_excel(net, str(tmp_path / "net.xlsx"))
    case = to_mpc(net, init="flat")
    case = case.get("mpc", case)
    scipy.io.savemat(tmp_path / "case.mat", {"mpc": case})
    (tmp_path / "case.m").write_text(matpower_text(case))
    expected = twin.run_timeseries(net).res_bus.column("vm_pu").to_numpy()
    for name in ("net.xlsx", "case.mat", "case.m"):
        found = twin.run_timeseries(tmp_path / name).res_bus.column("vm_pu").to_numpy()
        np.testing.assert_allclose(found, expected, atol=1e-9)


def matpower_text(case: dict[str, np.ndarray]) -> str:
    """A MATPOWER case file."""
    lines = ["function mpc = case9", "mpc.version = '2';", f"mpc.baseMVA = {float(case['baseMVA'])};"]
    for name, columns in (("bus", 13), ("gen", 21), ("branch", 13)):
        rows = [" ".join(f"{value:.17g}" for value in row[:columns].real) + ";" for row in np.atleast_2d(case[name])]
        lines += [f"mpc.{name} = [", *rows, "];"]
    return "\n".join(lines) + "\n"


def test_a_simbench_code_with_its_profiles() -> None:
    net = read_network("1-LV-rural1--0-sw")
    profiles = from_simbench(net, np.arange(48, 52))
    result = twin.run_timeseries(net, profiles)
    assert result.summary["steps"] == [48, 49, 50, 51]
    assert result.summary["failures"] == []
    assert profiles.num_rows == 4 * (len(net.load) + len(net.sgen))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.json", "there is no such file"),
        ("net.txt", "is no kind of network file"),
        ("broken.json", "pandapower cannot read it"),
        ("number.json", "pandapower cannot read it"),
        ("1-LV-nowhere--0-sw", "is no SimBench code"),
    ],
)
def test_networks_that_are_none(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "net.txt").write_text("x")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "number.json").write_text("[1]")
    with pytest.raises(NetworkError, match=said):
        read_network(name if name.startswith("1-") else tmp_path / name)


def test_an_object_that_is_no_network() -> None:
    with pytest.raises(NetworkError, match="is no network"):
        read_network(7)
