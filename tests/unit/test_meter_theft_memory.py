"""Models M10 and M4, and the register's rollover."""

import numpy as np
import pytest

from tests.meter_cases import IDS, near_mean, near_share
from twin.meters.memory import fetched, oldest_row, wear_frac
from twin.meters.theft import KINDS, OCCURRENCE, RESTORATION, TheftParams, balance_score, draw_theft, log_signs

PARAMS = TheftParams(
    np.array([0.04, 0.01, 0.01, 0.004, 0.003]), np.array([0.1, 0.3, 0.1, 0, 0]), np.array([0.7, 0.9, 0.8, 0.9, 0.5])
)


def test_shares_and_factors_are_as_asked():
    kind, factor = draw_theft(8, IDS, np.ones(len(IDS), np.float32), PARAMS)
    for k, share in enumerate(PARAMS.share):
        mine = kind == k + 1
        assert near_share(mine.sum(), len(IDS), share), KINDS[k + 1]
        low, high = PARAMS.least_factor[k], PARAMS.most_factor[k]
        assert near_mean(factor[mine], (low + high) / 2, (high - low) / np.sqrt(12))
    assert np.all(factor[kind == 0] == 1.0)


def test_nobody_steals_where_the_multiple_is_zero_and_a_larger_one_only_adds():
    none = draw_theft(8, IDS, np.zeros(len(IDS), np.float32), PARAMS)
    assert not none[0].any()
    once, twice = (draw_theft(8, IDS, np.full(len(IDS), m, np.float32), PARAMS)[0] > 0 for m in (1, 2))
    assert np.all(twice[once])
    assert twice.sum() > once.sum()


def test_every_sign_is_restored_and_hooking_leaves_none():
    assert OCCURRENCE.keys() == RESTORATION.keys()
    assert all(RESTORATION[kind] == code + 1 for kind, code in OCCURRENCE.items())
    assert "hooking" not in OCCURRENCE


def scores(rng, stolen):
    n, e, loss_sd, map_sd, meter_sd = 20_000, 500.0, 0.01, 0.03, 0.25 / 100
    meters = np.full(n, 80.0)
    noise = np.hypot(np.hypot(loss_sd, map_sd), meter_sd / np.sqrt(80))
    residual = e * (noise * rng.standard_normal(n) + stolen)
    return balance_score(residual, np.full(n, e), meters, meter_frac=meter_sd, loss_frac=loss_sd, map_frac=map_sd)


def test_the_balance_of_an_honest_dt_is_standard_normal_and_theft_shows():
    rng = np.random.default_rng(1)
    honest = scores(rng, 0.0)
    assert near_mean(honest, 0.0, 1.0)
    assert abs(honest.std() - 1) < 4.9 / np.sqrt(2 * len(honest))
    cut = np.quantile(honest, 0.99)
    found = [np.mean(scores(rng, stolen) > cut) for stolen in (0.02, 0.05, 0.1)]
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.7


def test_an_outage_within_the_depth_loses_nothing_and_a_longer_one_exactly_the_excess():
    for silent, depth in ((3, 35), (34, 35), (35, 35), (50, 35)):
        waiting = got = lost = 0
        for day in range(silent + 1):
            new, gone, waiting = fetched(waiting, depth, day == silent)
            got, lost = got + new, lost + gone
        assert (got, lost) == (min(silent + 1, depth), max(0, silent + 1 - depth))
        assert waiting == 0


def test_the_ring_holds_its_depth():
    assert oldest_row(np.array([10, 96, 500]), np.array([96, 96, 96])).tolist() == [0, 0, 404]


def test_ten_years_of_rows_wear_a_flash_by_a_hand_figure():
    rows = 96 * 3650.0  # 14 MB of 40 bytes; 56 sectors of 4096 bytes: 61.1 cycles
    worn = wear_frac(np.array([rows]), np.array([40.0]), np.array([56.0]), 4096.0, np.array([1e5]))
    assert worn[0] == pytest.approx(61.1e-5, rel=1e-3)


def test_only_meters_that_see_a_kind_log_it_on_their_share_of_days():
    theft = np.full(len(IDS), KINDS.index("magnet"), np.uint8)
    theft[::2] = KINDS.index("hooking")
    flag = np.zeros((1, len(KINDS)))
    flag[0, KINDS.index("magnet")] = 0.6
    device, found = np.zeros(len(IDS), np.uint8), []
    for day in (9000, 9001):
        start = np.empty(len(IDS), np.float32)
        log_signs(8, IDS, theft, device, flag, day, 0.25, 3.0, start)
        assert not np.isfinite(start[::2]).any(), "hooking leaves no sign"
        found.append(np.isfinite(start))
        assert near_share(found[-1].sum(), len(IDS) // 2, 0.6 * 0.25)
        assert 0 <= start[found[-1]].min() <= start[found[-1]].max() <= 21.0
        assert near_mean(start[found[-1]], 10.5, 21 / np.sqrt(12))
    both = (found[0] & found[1]).sum()
    assert near_share(both, len(IDS) // 2, 0.6 * 0.25**2), "the same meters see, on days of their own"
