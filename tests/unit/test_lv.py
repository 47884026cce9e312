"""The low-voltage solver: cases solved by hand, registers, statuses, slopes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.powerflow_cases import lv_case
from twin.powerflow import lv
from twin.powerflow.lanes import aligned
from twin.units import LV_NOMINAL_PU

Z_DT, Z_SEGMENT, Z_NEUTRAL, Z_SERVICE = 0.001 + 0.003j, 0.004 + 0.001j, 0.005 + 0.001j, 0.02 + 0.001j


def one_consumer(three_phase: bool = False, iron_kw: float = 0.1, magnetising_kvar: float = 0.4) -> lv.LvTiles:
    """A DT, one pole, one consumer on phase b or on all three."""
    z = np.zeros((2, 12), np.float32)
    own = Z_SEGMENT + Z_NEUTRAL
    for column in (0, 6, 10):
        z[:, column], z[:, column + 1] = (Z_DT.real, own.real), (Z_DT.imag, own.imag)
    for column in (2, 4, 8):
        z[1, column], z[1, column + 1] = Z_NEUTRAL.real, Z_NEUTRAL.imag
    legs = 3 if three_phase else 1
    return lv.LvTiles(
        dt_pole_ptr=np.array([0, 2], np.int32),
        dt_leg_ptr=np.array([0, legs], np.int32),
        dt_consumer_ptr=np.array([0, 1], np.int32),
        parent=np.array([-1, 0], np.int32),
        z_pu=z,
        group_ptr=np.array([0, 0, 0, 0, 1, 2, 3] if three_phase else [0, 0, 0, 0, 0, 1, 1], np.int32),
        leg_consumer=np.zeros(legs, np.int32),
        leg_share=np.full(legs, 1 / legs, np.float32),
        service_pu=np.full((legs, 2), [Z_SERVICE.real, Z_SERVICE.imag], np.float32),
        iron_kw=np.array([iron_kw]),
        magnetising_kvar=np.array([magnetising_kvar]),
    )


def solve(tiles, kw, zips, v, zones=None, tolerance=1e-6, **options):
    steps = len(v)
    n_dt = len(tiles.iron_kw)
    out = lv.tile_out(n_dt, steps)
    zones = np.zeros(steps, np.uint8) if zones is None else zones
    kwh = np.full((len(kw), int(zones.max()) + 1), 77.0)
    demand = aligned((len(kw), -(-steps // 16) * 16), np.float32)
    demand[:, :steps] = kw
    for k in range(n_dt):
        lv.solve_tile(
            tiles, k, demand, np.array(zips, np.float32), np.asarray(v, float), zones, 0.25,
            lv.lv_options(tolerance=tolerance, **options), lv.lv_scratch(tiles), out, kwh,
        )  # fmt: skip
    return out, kwh


def test_an_impedance_on_one_phase_is_ohms_law():
    """Loop of phase b: DT, segment, neutral, service and 3 kW + 1.5 kvar as an impedance at 230 V."""
    v = 1.02
    load = LV_NOMINAL_PU**2 / (3.0 - 1.5j)
    out, kwh = solve(one_consumer(), [[3.0]], [[1, 0, 0, 0.5, 0, 0]], [v])
    current = v / (Z_DT + Z_SEGMENT + Z_NEUTRAL + Z_SERVICE + load)
    used = abs(current) ** 2 * load
    assert out.status[0, 0] == lv.OK
    assert out.used_kw[0, 0] == pytest.approx(used.real, rel=1e-6)
    assert out.used_kvar[0, 0] == pytest.approx(used.imag, rel=1e-6)
    assert out.loss_lv_kw[0, 0] == pytest.approx(abs(current) ** 2 * (Z_SEGMENT + Z_NEUTRAL + Z_SERVICE).real, rel=1e-6)
    assert out.iron_kw[0, 0] == pytest.approx(0.1 * v**2)
    assert out.loss_dt_kw[0, 0] == pytest.approx(abs(current) ** 2 * Z_DT.real + 0.1 * v**2, rel=1e-6)
    sent = v * np.conj(current)
    assert out.sent_kw[0, 0] == pytest.approx(sent.real + 0.1 * v**2, rel=1e-6)
    assert out.sent_kvar[0, 0] == pytest.approx(sent.imag + 0.4 * v**2, rel=1e-6)
    assert out.magnetising_kvar[0, 0] == pytest.approx(0.4 * v**2)
    assert out.v_min_pu[0, 0] == pytest.approx(abs(current * load), rel=1e-6)
    assert out.v_end_pu[0, 0] == pytest.approx(abs(v - current * (Z_DT + Z_SEGMENT + Z_NEUTRAL)), rel=1e-6)
    assert kwh[0, 0] == pytest.approx(0.25 * used.real, rel=1e-6)


def test_constant_power_on_three_phases_leaves_no_neutral_current():
    """Each phase carries 2 kW through z = 0.025 + 0.005j: ``u**4 + (2 r p - v**2) u**2 + |z p|**2 = 0``."""
    out, _ = solve(one_consumer(three_phase=True), [[6.0]], [[0, 0, 1, 0, 0, 0]], [1.0])
    z = Z_DT + Z_SEGMENT + Z_SERVICE
    half = (1 - 2 * z.real * 2.0) / 2
    u = np.sqrt(half + np.sqrt(half**2 - abs(2.0 * z) ** 2))
    assert out.v_min_pu[0, 0] == pytest.approx(u, abs=3e-7)
    assert out.used_kw[0, 0] == pytest.approx(6.0, rel=2e-6)
    assert out.loss_lv_kw[0, 0] == pytest.approx(3 * (2 / u) ** 2 * (Z_SEGMENT + Z_SERVICE).real, rel=5e-6)


def test_nothing_used_is_iron_loss_alone():
    out, kwh = solve(one_consumer(), [[0.0]], [[0.3, 0.3, 0.4, 0, 0, 0]], [0.95])
    assert out.status[0, 0] == lv.OK
    assert out.sent_kw[0, 0] == out.loss_dt_kw[0, 0] == pytest.approx(0.1 * 0.95**2)
    assert out.used_kw[0, 0] == out.loss_lv_kw[0, 0] == kwh[0, 0] == 0
    assert out.n_used[0, 0] == out.n_q[0, 0] == out.s[0, 0] == 0
    assert out.v_min_pu[0, 0] == pytest.approx(0.95)


def test_a_dt_without_consumers():
    tiles = one_consumer()._replace(
        dt_leg_ptr=np.array([0, 0], np.int32),
        dt_consumer_ptr=np.array([0, 0], np.int32),
        group_ptr=np.zeros(7, np.int32),
        leg_consumer=np.zeros(0, np.int32),
        leg_share=np.zeros(0, np.float32),
        service_pu=np.zeros((0, 2), np.float32),
    )
    out, _ = solve(tiles, np.zeros((0, 1)), np.zeros((0, 6)), [1.0])
    assert out.status[0, 0] == lv.OK
    assert out.v_min_pu[0, 0] == out.v_end_pu[0, 0] == 1.0
    assert out.sent_kw[0, 0] == pytest.approx(0.1)


def test_registers_take_each_step_into_its_zone_and_overwrite():
    zones = np.repeat([0, 2, 1, 0], 6).astype(np.uint8)
    kw = np.linspace(1, 3, 24)[None]
    out, kwh = solve(one_consumer(), kw, [[0.2, 0.3, 0.5, 0, 0, 0]], np.full(24, 1.0), zones)
    for zone in range(3):
        assert kwh[0, zone] == pytest.approx(0.25 * out.used_kw[0, zones == zone].sum(), rel=1e-6)


def test_a_state_that_is_no_number_is_a_status_and_adds_no_energy():
    kw = np.array([[1.0, np.nan, 2.0]])
    out, kwh = solve(one_consumer(), kw, [[0, 0, 1, 0, 0, 0]], np.full(3, 1.0))
    assert out.status[0].tolist() == [lv.OK, lv.NOT_FINITE, lv.OK]
    assert np.isnan(out.sent_kw[0, 1])
    assert np.isnan(out.v_min_pu[0, 1])
    assert kwh[0, 0] == pytest.approx(0.25 * 3.0, rel=1e-5)
    out, _ = solve(one_consumer(), [[1.0]], [[0, 0, 1, 0, 0, 0]], [np.nan])
    assert out.status[0, 0] == lv.NOT_FINITE


def test_a_state_that_does_not_settle_in_time_is_a_status_and_still_closes():
    case = lv_case(np.random.default_rng(1), dt_kw=150)
    rows = dict(kw=case.kw[:, :3], zips=case.zips, v=np.full(3, 1.0))
    out, _ = solve(case.lv, **rows, most=4, eliminations=0)
    assert (out.status[0] == lv.NOT_CONVERGED).all()
    assert (out.passes[0] == 4).all()
    assert (out.residual[0] > 1e-6).all()
    assert lv.tile_closure(out).max() < 1e-5
    swept, _ = solve(case.lv, **rows)
    assert (swept.status[0] == lv.OK).all()
    eliminated, _ = solve(case.lv, **rows, most=4)
    assert (eliminated.status[0] == lv.OK).all()
    assert (eliminated.passes[0] > 4).all()
    for name in ("sent_kw", "used_kvar", "loss_lv_kw", "v_min_pu", "n_used"):
        np.testing.assert_allclose(getattr(eliminated, name), getattr(swept, name), rtol=1e-5)


@pytest.mark.parametrize("shares", [(0, 0, 1), (0.35, 0.25, 0.40), (1, 0, 0)], ids=["P", "ZIP", "Z"])
@pytest.mark.parametrize("times_rating", [0.3, 1, 2.4, 6, 18])
def test_every_load_up_to_18_times_rating_has_a_solution(shares, times_rating):
    case = lv_case(np.random.default_rng(5), dt_kw=100 * times_rating, zip_shares=shares, consumers=85, poles=22)
    out, _ = case.solve()
    assert (out.status == lv.OK).all()
    assert out.passes.max() <= lv.lv_options().most + 30
    assert lv.tile_closure(out).max() < 1e-5


@pytest.mark.parametrize(("shares", "dt_kw"), [((0, 0, 1), 40), ((0.35, 0.25, 0.40), 50), ((1, 0, 0), 50)])
def test_slopes_are_those_of_a_second_solve(shares, dt_kw):
    """Error bands of trials on mixed loads, light to overloaded: 99.9 % within 0.02 for used, 1.0 for losses."""
    case = lv_case(np.random.default_rng(2), dt_kw=dt_kw, zip_shares=shares)
    low, mid, high = (case.solve(v, tolerance=1e-7)[0] for v in (0.99, 1.0, 1.01))

    def slope(a, b):
        return np.log(b / a) / np.log(1.01 / 0.99)

    def copper(out):
        return out.loss_lv_kw + out.loss_dt_kw - out.iron_kw

    def reactive(out):
        return out.sent_kvar - out.magnetising_kvar

    np.testing.assert_allclose(mid.n_used, slope(low.used_kw, high.used_kw), atol=0.03)
    np.testing.assert_allclose(mid.n_q, slope(reactive(low), reactive(high)), atol=0.1)
    np.testing.assert_allclose(mid.n_loss, slope(copper(low), copper(high)), atol=0.6)
    np.testing.assert_allclose(mid.s, shares[0], atol=0.15)


def test_several_dts_do_not_touch_each_other():
    case = lv_case(np.random.default_rng(9), n_dt=3)
    v = np.array([[1.0], [0.97], [1.03]]) * np.ones((3, case.kw.shape[1]))
    out, kwh = case.solve(v)
    changed = case.kw.copy()
    changed[case.lv.dt_consumer_ptr[1] : case.lv.dt_consumer_ptr[2]] *= 1.5
    other, other_kwh = case.with_kw(changed).solve(v)
    for k, same in ((0, True), (1, False), (2, True)):
        rows = slice(case.lv.dt_consumer_ptr[k], case.lv.dt_consumer_ptr[k + 1])
        assert np.array_equal(out.sent_kw[k], other.sent_kw[k]) == same
        assert np.array_equal(kwh[rows], other_kwh[rows]) == same
