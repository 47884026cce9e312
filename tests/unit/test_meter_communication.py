"""Model M5 against its formulas and the published hop table."""

import numpy as np
import pytest

from tests.meter_cases import IDS, near_mean, near_share
from twin.meters.communication import (
    NEVER,
    NO_BREAKDOWN,
    Breakdown,
    CommunicationParams,
    arrival_h,
    arrivals_h,
    draw_links,
    gateway_up,
    is_steady,
    join_min,
    joined_h,
    latency_s,
    never_dark,
    one_shot,
)
from twin.meters.datasheets import catalogue
from twin.meters.reads import LEVELS_H

PARAMS = catalogue().params(CommunicationParams, "communication")
MESH = catalogue().names.index("ncc.single_phase")
ALWAYS_UP = PARAMS._replace(gateway_mtbf_days=np.full(len(catalogue()), 1e12))
DAY = 9600
BRIGHT = never_dark(1)
NOWHERE = np.zeros(len(IDS), np.int32)


def arrival(*asked):
    """`arrival_h` of a meter that is never without supply."""
    return arrival_h(*asked, BRIGHT, 0, False)[0]


def links(name, params=PARAMS, seed=3):
    return draw_links(seed, IDS, np.full(len(IDS), catalogue().names.index(name), np.uint8), params)


def test_hops_and_links_follow_their_laws():
    params = PARAMS._replace(chronic_share=np.zeros(len(catalogue())))
    link, hops = links("ncc.single_phase", params)
    stop = params.hop_stop[MESH]
    for h in (1, 2, 3, 6):
        assert near_share(np.sum(hops == h), len(IDS), stop * (1 - stop) ** (h - 1))
    assert near_share(np.sum(hops == 12), len(IDS), (1 - stop) ** 11)
    a, b = 40.0, 1.2
    assert near_mean(link, a / (a + b), np.sqrt(a * b / ((a + b) ** 2 * (a + b + 1))))


def test_chronic_meters_and_meters_without_a_module():
    link, _ = links("eesl.single_phase")
    assert near_share(np.sum(link < 0.3), len(IDS), PARAMS.chronic_share[catalogue().names.index("eesl.single_phase")])
    assert not links("static.single_phase")[1].any()
    assert set(links("eesl.single_phase")[1].tolist()) == {1}


@pytest.mark.parametrize("share", [0.007, 0.1])
def test_the_silent_share_of_a_fleet_can_be_set(share):
    n = 20_000
    params = ALWAYS_UP._replace(chronic_share=np.full(len(catalogue()), share), chronic_link=np.zeros(len(catalogue())))
    link, hops = links("eesl.single_phase", params)
    kind = catalogue().names.index("eesl.single_phase")
    silent = sum(
        not np.isfinite(arrival(3, int(IDS[i]), 5, DAY, float(link[i]), int(hops[i]), kind, params, NO_BREAKDOWN))
        for i in range(n)
    )
    assert near_share(silent, n, share)


def test_the_published_hop_table_is_met_within_8_percent():
    """Wi-SUN FAN, 100 nodes, 50-byte ping: SWRA714A."""
    published = [0.373, 0.471, 0.574, 0.760, 0.899]
    ours = [latency_s(h, PARAMS.latency_first_s[MESH], PARAMS.latency_hop_s[MESH], 0.5, 0.0) for h in range(1, 6)]
    assert np.allclose(ours, published, rtol=0.08)


def test_hand_figures():
    assert one_shot(0.9, 2, 3) == pytest.approx(1 - (1 - 0.81) ** 3)
    assert join_min(5, 45.0, 5.0, 0.5, 0.0) == 60.0
    assert join_min(1, 45.0, 5.0, 0.5, 1.0) == pytest.approx(45 * np.exp(0.5))


def test_arrivals_against_hours_after_midnight_are_the_analytic_curve():
    """With gateways up: the first push even over the spread, then tries of equal chance q at every retry."""
    n, link, hops = 40_000, 0.8, 3
    spread, retry = PARAMS.spread_h[MESH], PARAMS.retry_h[MESH]
    q = one_shot(link, hops, PARAMS.sends[MESH])
    hours = np.array([arrival(3, int(i), 5, DAY, link, hops, MESH, ALWAYS_UP, NO_BREAKDOWN) for i in IDS[:n]])
    first = (np.arange(2000) + 0.5) / 2000 * spread
    for hour in (1.0, 4.0, 8.0, 12.0, 24.0):
        tries = np.maximum(np.ceil((hour - first) / retry), 0)
        assert near_share(np.sum(hours < hour), n, float(np.mean(1 - (1 - q) ** tries))), hour


def test_gateways_are_down_for_their_share_of_time_and_all_at_once():
    mtbf, mttr = 20.0, 8.0
    hours = 24.0 * 9000 + np.arange(1, 4000) * 500.0  # far enough apart to be independent
    down = sum(not gateway_up(3, 77, float(h), mtbf, mttr, NO_BREAKDOWN) for h in hours)
    rate = 1 - np.exp(-1 / mtbf)
    assert near_share(down, len(hours), 1 - np.exp(-rate * mttr / 24))
    dead = next(float(h) for h in hours if not gateway_up(3, 77, float(h), mtbf, mttr, NO_BREAKDOWN))
    others = [gateway_up(3, gateway, dead, mtbf, mttr, NO_BREAKDOWN) for gateway in range(200)]
    assert 0.9 < np.mean(others) < 1


def test_one_gateway_s_death_takes_its_meters_only():
    dead = PARAMS._replace(gateway_mtbf_days=np.full(len(catalogue()), 20.0))
    dead = dead._replace(gateway_mttr_h=np.full(len(catalogue()), 200.0))
    arrived = {
        gateway: [np.isfinite(arrival(3, int(i), gateway, DAY, 0.97, 2, MESH, dead, NO_BREAKDOWN)) for i in IDS[:100]]
        for gateway in range(300)
    }
    shares = np.array([np.mean(answers) for answers in arrived.values()])
    silent = np.array([not gateway_up(3, g, DAY * 24.0 + 12, 20.0, 200.0, NO_BREAKDOWN) for g in range(300)])
    assert 0.2 < silent.mean() < 0.6
    assert np.corrcoef(shares, ~silent)[0, 1] > 0.9
    alive = int(np.argmax(shares))
    assert arrived[alive] == [
        np.isfinite(arrival(3, int(i), alive, DAY, 0.97, 2, MESH, ALWAYS_UP, NO_BREAKDOWN)) for i in IDS[:100]
    ], "a gateway that is up all day answers as if none ever died"


def test_never_is_beyond_every_day():
    assert arrival(3, 1, 1, DAY, 0.0, 1, MESH, ALWAYS_UP, NO_BREAKDOWN) == NEVER


def test_a_breakdown_takes_its_share_of_gateways_for_its_time_and_no_other():
    start = DAY * 24.0
    failure = Breakdown(0.3, start, start + 48.0)
    up = {
        h: np.array([gateway_up(3, g, start + h, 1e12, 1.0, failure) for g in range(4000)]) for h in (-0.1, 0, 47.9, 48)
    }
    assert up[-0.1].all()
    assert up[48].all()
    assert np.array_equal(up[0], up[47.9])
    assert near_share((~up[0]).sum(), 4000, 0.3)


def test_the_curve_of_daily_reads_is_the_analytic_one():
    """Share read by each hour that is counted: mean of ``1 - (1 - q)^n``, n tries by then, over links and starts."""
    params = catalogue().params(CommunicationParams, "communication")
    params = params._replace(gateway_mtbf_days=np.full_like(params.gateway_mtbf_days, 1e12))
    kind = np.full(len(IDS), catalogue().names.index("genus.single_phase"), np.uint8)
    link, hops = draw_links(3, IDS, kind, params)
    out = np.empty(len(IDS), np.float32)
    nowhere = np.zeros(len(IDS), np.int32)
    arrivals_h(np.uint64(3), IDS, IDS, DAY, link, hops, kind, params, NO_BREAKDOWN, BRIGHT, nowhere, out)
    spread, retry, sends = (float(column[kind[0]]) for column in (params.spread_h, params.retry_h, params.sends))
    missed = (1.0 - link.astype(np.float64) ** hops) ** sends
    starts = spread * (np.arange(2000) + 0.5) / 2000
    for hour in LEVELS_H:
        tries = np.maximum(np.ceil((hour - starts) / retry), 0).astype(int)
        chance = sum(np.mean(tries == n) * (1.0 - missed**n) for n in np.unique(tries))
        assert abs((out < hour).sum() - chance.sum()) < 4.9 * np.sqrt((chance * (1 - chance)).sum()) + 1, hour


def test_after_a_short_interruption_a_mesh_meter_joins_warm_and_after_a_long_one_cold():
    """AMI facts, section 10: lognormal, median 5 to 30 min warm and 30 to 60 min cold."""
    ids, hops = IDS[:4000], 2
    names, sd = catalogue().names, PARAMS.join_log_sd
    for name in ("ncc.single_phase", "genus.single_phase"):
        kind = names.index(name)
        edge, warm, cold = PARAMS.join_warm_h[kind], PARAMS.join_warm_median_min[kind], PARAMS.join_median_min[kind]
        assert 5.0 <= warm <= 30.0 <= cold <= 60.0
        for long_h, median in ((0.05, warm), (edge, warm), (edge + 0.01, cold), (6.0, cold)):
            got = [60.0 * joined_h(3, int(i), DAY, -long_h, 0.0, hops, kind, PARAMS) for i in ids]
            assert near_mean(np.log(got), np.log(median), sd[kind]), (name, long_h)
    modem = names.index("eesl.single_phase")
    short, long = (joined_h(3, 7, DAY, -h, 0.0, 1, modem, PARAMS) for h in (0.05, 6.0))
    assert short == long, "a modem registers anew"


def test_a_part_of_the_chronic_meters_is_never_reached_and_the_others_seldom():
    """Uttar Pradesh: 0.34 % never communicated; with the seldom ones some 0.7 % of a cellular fleet are not in."""
    kind = catalogue().names.index("eesl.single_phase")
    link, hops = links("eesl.single_phase", ALWAYS_UP)
    share, never = PARAMS.chronic_share[kind], PARAMS.chronic_never_share[kind]
    assert near_share(np.sum(link == 0.0), len(IDS), share * never)
    assert near_share(np.sum(link == np.float32(PARAMS.chronic_link[kind])), len(IDS), share * (1 - never))
    assert share * never == pytest.approx(0.0034, rel=0.05)
    came = np.empty((3, len(IDS)), np.float32)
    for day in range(3):
        arrivals_h(np.uint64(3), IDS, IDS, DAY + day, link, hops, np.full(len(IDS), kind, np.uint8), ALWAYS_UP,
                   NO_BREAKDOWN, BRIGHT, NOWHERE, came[day])  # fmt: skip
    assert not np.isfinite(came[:, link == 0.0]).any()
    assert np.isfinite(came[:, (link > 0.0) & (link < 0.3)]).any()
    assert 0.005 < np.mean(~np.isfinite(came[0])) < 0.009


def test_daily_success_rises_with_tries():
    """Whoever is reached at a pace is reached at twice that pace: more tries a day, never fewer reads."""
    link, hops = links("ncc.single_phase", ALWAYS_UP)
    link = np.minimum(link, np.float32(0.5))
    kind, shares = np.full(len(IDS), MESH, np.uint8), []
    for retry_h in (12.0, 6.0, 3.0, 1.0):
        params = ALWAYS_UP._replace(retry_h=np.full(len(catalogue()), retry_h))
        out = np.empty(len(IDS), np.float32)
        arrivals_h(np.uint64(3), IDS, IDS, DAY, link, hops, kind, params, NO_BREAKDOWN, BRIGHT, NOWHERE,
                   out)  # fmt: skip
        missed = (1.0 - link.astype(np.float64) ** hops) ** params.sends[MESH]
        starts = params.spread_h[MESH] * (np.arange(500) + 0.5) / 500
        tries = np.ceil((24.0 - starts) / retry_h).astype(int)
        chance = sum(np.mean(tries == n) * (1.0 - missed**n) for n in np.unique(tries))
        assert abs(np.isfinite(out).sum() - chance.sum()) < 4.9 * np.sqrt((chance * (1 - chance)).sum()) + 1
        shares.append(np.isfinite(out).mean())
    assert np.all(np.diff(shares) > 0.01)


def test_an_outage_of_a_gateway_makes_all_its_meters_fail_together():
    """Correlation between two meters behind one gateway (intra-class) above 0.9, and none between gateways."""
    n_gateways, each = 1000, 40
    gateway = np.repeat(np.arange(n_gateways), each)
    ids = np.arange(n_gateways * each, dtype=np.int64)
    kind = np.full(len(ids), MESH, np.uint8)
    params = ALWAYS_UP._replace(chronic_share=np.zeros(len(catalogue())))
    link, hops = draw_links(3, ids, kind, params)
    failure, out = Breakdown(0.3, DAY * 24.0, DAY * 24.0 + 24.0), np.empty(len(ids), np.float32)
    arrivals_h(np.uint64(3), ids, gateway, DAY, link, hops, kind, params, failure, BRIGHT,
               np.zeros(len(ids), np.int32), out)  # fmt: skip

    def intra_class(group):
        """One-way analysis of variance: (between - within) / (between + (k - 1) within)."""
        table = np.isfinite(out)[group].reshape(-1, each).astype(float)
        between = each * table.mean(axis=1).var(ddof=1)
        within = table.var(axis=1, ddof=1).mean()
        return (between - within) / (between + (each - 1) * within)

    assert intra_class(np.arange(len(ids))) > 0.9
    across = np.arange(len(ids)).reshape(n_gateways, each).T.ravel()
    assert abs(intra_class(across)) < 0.1


def test_a_gateway_that_is_steady_is_up_in_every_hour_and_most_are():
    start, failure = DAY * 24.0, Breakdown(0.5, (DAY + 3) * 24.0 + 5.0, (DAY + 4) * 24.0 + 7.0)
    steady, mixed = 0, 0
    for gateway in range(150):
        for day in range(6):
            sure = is_steady(3, gateway, DAY + day, 20.0, 8.0, failure)
            up = [gateway_up(3, gateway, start + 24 * day + h / 4, 20.0, 8.0, failure) for h in range(96)]
            assert all(up) or not sure, (gateway, day)
            steady, mixed = steady + sure, mixed + (not all(up))
    assert steady > 300
    assert mixed > 50
