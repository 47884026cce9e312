"""The four-wire solver against hand solutions and other programs: every row of the reference cases that is cheap.

The DTs of the synthesised state, which `twin verify` exports to OpenDSS, stand here with a stand-in demand.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.planning_day import planned_state, planning_kw
from twin.errors import InputError
from twin.grid.export import peak_kw
from twin.grid.export_opendss import export_tile, tile_script
from twin.grid.feeder import FeederStatic, build_feeder
from twin.grid.rules import lv_spacing_m
from twin.grid.tables import FEEDER_CLASSES, conductors
from twin.powerflow.impedance import LV_BASE_OHM, PAIRS, primitive_matrix
from twin.verification import lv_cases, opendss_lv
from twin.verification.case import Case
from twin.verification.lv_networks import solve
from twin.verification.lv_twin import leg_names

ZIP = [0.3, 0.25, 0.45, 0.2, 0.1, 0.1]
SLOW = {"lv-opendss-tiles"}


@pytest.mark.parametrize("case", [c for c in lv_cases.CASES if c.name not in SLOW], ids=lambda case: case.name)
def test_every_row_of_a_case_passes(case: Case) -> None:
    rows = list(case.run())
    assert len(rows) >= 4
    assert all(row.case == case.name for row in rows)
    assert [row for row in rows if not row.passed] == []


@pytest.fixture(scope="module", params=[False, True], ids=["bundled", "bare"])
def tile(request: pytest.FixtureRequest) -> tuple[FeederStatic, int]:
    """The largest DT of the first feeder that has lines of the kind asked for."""
    state = planned_state()
    for row in np.flatnonzero(state.feeders.feeder_class == FEEDER_CLASSES.index("rural_mixed")):
        static = build_feeder(state, int(row), planning_kw(), 1)
        of_kind = [k for k, code in enumerate(static.lv_conductor) if conductors()[code].bare == request.param]
        if of_kind:
            return static, max(of_kind, key=lambda k: int(np.sum(static.dt == k)))
    raise AssertionError("no line of the kind")


def test_an_exported_dt_is_the_solvers_own(tile: tuple[FeederStatic, int]) -> None:
    static, k = tile
    kw, zips = 1.3 * peak_kw(static, planning_kw()), np.tile(ZIP, (len(static.kind), 1))
    mine = solve(static.lv, k, kw, zips, 0.98)
    theirs = opendss_lv.run(tile_script(static, k, kw, zips, 0.98).splitlines())
    names = leg_names(static, k)
    assert len(theirs.load_pu) == len(names) + 1, "a load for every leg, and one for the no-load power"
    np.testing.assert_allclose(np.abs(mine.leg_pu), [theirs.load_pu[name] for name in names], atol=1e-6)
    np.testing.assert_allclose(mine.leg_kw, [theirs.load_kw[name] for name in names], rtol=1e-5)
    assert mine.loss_lv_kw == pytest.approx(theirs.line_loss_kw, rel=1e-5)
    assert mine.copper_dt_kw == pytest.approx(theirs.transformer_loss_kw, rel=1e-5)
    assert mine.sent_kw == pytest.approx(theirs.sent_kw, rel=5e-6)
    neutral = max(abs(v) for node, v in theirs.node_pu.items() if node.startswith("p") and node.endswith(".4"))
    assert neutral > 1e-4, "the neutral is a wire of its own"


def test_dyn11_leads_by_thirty_degrees(tile: tuple[FeederStatic, int]) -> None:
    static, k = tile
    nothing = np.zeros(len(static.kind))
    theirs = opendss_lv.run(tile_script(static, k, nothing, np.tile(ZIP, (len(static.kind), 1))).splitlines())
    assert np.angle(theirs.node_pu["p0.1"], deg=True) == pytest.approx(30.0, abs=1e-3)
    assert abs(theirs.node_pu["p0.1"]) == pytest.approx(1.0, abs=1e-6)


def test_a_script_of_its_own_runs_from_a_file(tile: tuple[FeederStatic, int], tmp_path) -> None:
    import opendssdirect as dss

    static, k = tile
    export_tile(static, k, planning_kw(), tmp_path / "dt.dss")
    dss.Text.Command(f"redirect {tmp_path / 'dt.dss'}")
    assert dss.Solution.Converged()
    used = peak_kw(static, planning_kw())[static.dt == k].sum()
    assert -dss.Circuit.TotalPower()[0] > used


def test_wrong_columns_and_dts_are_all_named(tile: tuple[FeederStatic, int]) -> None:
    static, _ = tile
    with pytest.raises(InputError) as raised:
        tile_script(static, len(static.dt_id), np.zeros(3), np.zeros((3, 6)))
    assert f"give 0 to {len(static.dt_id) - 1}" in str(raised.value)
    assert "6 shares each" in str(raised.value)


def test_the_four_wires_are_those_that_the_tiles_were_made_of(tile: tuple[FeederStatic, int]) -> None:
    """``Z'pq = Zpq - Zpn - Znq + Znn`` of the primitive matrix is the segment of the tile."""
    static, k = tile
    row = conductors()[static.lv_conductor[k]]
    z4 = primitive_matrix(
        row.r_working_ohm_km, row.x_ohm_km, r_neutral_ohm_km=row.r_working_ohm_km, x_neutral_ohm_km=row.x_ohm_km,
        spacing_m=lv_spacing_m(row), x_spacing_m=1.2, frequency_hz=50.0,
    )  # fmt: skip
    assert (lv_spacing_m(row) is None) != row.bare
    i = static.lv.dt_pole_ptr[k] + 1
    reduced = [z4[p, q] - z4[p, 3] - z4[3, q] + z4[3, 3] for p, q in PAIRS]
    expected = np.array(reduced) * static.span_m[i] / 1000 / LV_BASE_OHM
    np.testing.assert_allclose(static.lv.z_pu[i, 0::2] + 1j * static.lv.z_pu[i, 1::2], expected, rtol=1e-5)
