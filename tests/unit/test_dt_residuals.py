"""Residuals of DTs' balances: normal without theft, larger the more is stolen; missing days are missing."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.analysis_fixture import DAY, arrow
from tests.meter_cases import SIGMAS, near_mean
from tests.unit.test_atc import made_run
from twin.analysis.design import read_experiment
from twin.analysis.dt_residuals import Usual, dt_residuals_table, residuals, usual

BY_HAND = Usual(loss=0.1, loss_sd=0.03, dt_meter_sd=0.0, meter_sd=0.0, wrong_mapping=0.08, size_cv=0.0)
N = 4000


def test_by_hand():
    """1000 kWh sent, 700 of 16 consumers: 200 are missing; 30 by losses, 0.4 x 700 / 4 = 70 by mapping."""
    residual, error = residuals(np.array([1000.0, 0.0]), np.array([700.0, 0.0]), np.array([16, 3]), BY_HAND)
    assert residual.tolist() == pytest.approx([200.0, 0.0])
    assert error[0] == pytest.approx(np.hypot(30.0, 70.0))
    assert error[1] == 0.0


def town(rng, stolen=0.0, meters=80):
    """DTs whose consumers use lognormal amounts, in a world of the usual errors; a share of all use is stolen."""
    of = usual()
    log_sd = np.sqrt(np.log1p(of.size_cv**2))
    use = np.exp(log_sd * rng.standard_normal((N, meters)) - log_sd**2 / 2)
    foreign = np.exp(log_sd * rng.standard_normal((N, meters)) - log_sd**2 / 2)
    lost = of.loss + of.loss_sd * rng.standard_normal(N)
    sent = use.sum(axis=1) / (1.0 - lost) * (1.0 + of.dt_meter_sd * rng.standard_normal(N))
    shown = (1.0 - stolen) * use * (1.0 + of.meter_sd * rng.standard_normal((N, meters)))
    away, here = (rng.random((N, meters)) < of.wrong_mapping for _ in range(2))
    mapped = np.where(away, 0.0, shown).sum(axis=1) + np.where(here, (1.0 - stolen) * foreign, 0.0).sum(axis=1)
    count = meters - away.sum(axis=1) + here.sum(axis=1)
    residual, error = residuals(sent, mapped, count, of)
    return residual / error


def test_without_theft_z_is_standard_normal():
    z = town(np.random.default_rng(5))
    assert near_mean(z, 0.0, 1.0) or abs(z.mean()) < 0.08, "a mean of products is a little off the product of means"
    assert abs(z.std() - 1.0) < SIGMAS * np.sqrt(0.5 / N) + 0.05
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.05, abs=0.02)


def auc(honest, thief):
    """Chance that a DT with theft has the larger z."""
    rank = np.argsort(np.argsort(np.concatenate([honest, thief]))) + 1
    n = len(honest)
    return (rank[n:].sum() - n * (n + 1) / 2) / n**2


def test_the_roc_rises_with_the_size_of_theft():
    honest = town(np.random.default_rng(5))
    areas = [auc(honest, town(np.random.default_rng(6), stolen)) for stolen in (0.0, 0.02, 0.05, 0.1, 0.2)]
    assert areas[0] == pytest.approx(0.5, abs=SIGMAS / np.sqrt(6 * N))
    assert all(b > a + 0.005 for a, b in zip(areas, areas[1:], strict=False))
    assert areas[-1] > 0.98


def test_a_welded_switch_that_draws_after_disconnection_is_seen():
    """20 consumers, the largest has a third of the load; disconnected, his register counts for nothing."""
    of = usual()._replace(wrong_mapping=0.0)
    use = np.append(np.full(19, 10.0), 95.0)
    sent = use.sum() / (1.0 - of.loss)
    connected, opened = np.ones(20, bool), np.append(np.ones(19, bool), False)
    z = []
    for draws, counts in ((use, connected), (np.where(opened, use, 0.0), opened), (use, opened)):
        residual, error = residuals(
            np.array([draws.sum() / (1.0 - of.loss)]), np.array([draws[counts].sum()]), np.array([counts.sum()]), of
        )
        z.append(float(residual[0] / error[0]))
    assert z[0] == pytest.approx(0.0, abs=1e-9)
    assert z[1] == pytest.approx(0.0, abs=1e-9), "a switch that opened is in no balance"
    assert z[2] > 4.0
    assert sent > use.sum()


def table_of(rows):
    run = made_run(devices=True)
    run = run.replaced(dt_meters=arrow("dt_meters", rows))
    return dt_residuals_table(run, read_experiment(run))


def row(dt_id, later, sent, mapped, meters=16):
    return {"case": 0, "date": DAY + dt.timedelta(days=later), "dt_id": dt_id, "sent_metered_kwh": sent,
            "mapped_metered_kwh": mapped, "mapped_meters": meters}  # fmt: skip


def test_days_without_the_dt_s_meter_count_on_neither_side():
    rows = [
        row(1, 0, 100.0, 90.0),
        row(1, 1, None, 80.0),
        row(2, 0, 50.0, 30.0),
        row(2, 1, 60.0, 40.0),
        row(3, 0, None, 9.0),
    ]
    found = table_of(rows).to_pylist()
    assert [one["dt_id"] for one in found] == [1, 2, 3]
    assert [one["days"] for one in found] == [1, 2, 0]
    assert (found[0]["sent_metered_kwh"], found[0]["mapped_metered_kwh"]) == (100.0, 90.0)
    residual, error = residuals(np.array([110.0]), np.array([70.0]), np.array([16]), usual())
    assert found[1]["residual_kwh"] == pytest.approx(residual[0])
    assert found[1]["z"] == pytest.approx(residual[0] / error[0])
    assert found[2]["z"] is None


def test_without_devices_or_the_table_there_is_none():
    run = made_run(devices=False)
    assert dt_residuals_table(run, read_experiment(run)).num_rows == 0
    run = made_run(devices=True)
    run.scenario["output"] = {"tables": ["feeders"]}
    assert dt_residuals_table(run, read_experiment(run)).num_rows == 0
