"""The upper grid of a synthesised state: built from its columns alone, checked against pandapower within 1e-6 pu."""

import numpy as np
import pytest

from twin.datapack import kinds
from twin.grid.state import build_state
from twin.grid.transmission_loads import build_upper, design_block, ehv_loads, gss_loads
from twin.powerflow.upper import BUNDLED

KW_BY_GROUP = {"home": 0.3, "farm": 2.0, "ht": 100.0, "traction": 9000.0}


@pytest.fixture(scope="module")
def state():
    by_kind = [KW_BY_GROUP.get(row.group, 1.0) for row in kinds()]
    evening = 0.7 + 0.3 * np.sin(np.linspace(0, 2 * np.pi, 96)) ** 2
    return build_state(2026, np.outer(by_kind, evening))


@pytest.fixture(scope="module")
def upper(state):
    return build_upper(state)


def test_loads_are_those_of_the_state(state):
    gss, ehv = gss_loads(state), ehv_loads(state)
    assert gss.peak_mw.sum() == pytest.approx((state.pss.design_kw + state.pss.design_33kv_kw).sum() / 1e3)
    assert len(ehv.bus_id) == sum(bool(bus) for bus in state.ht.ehv_bus) > 0


def test_it_is_pandapowers_solution_at_design_peak_and_trough(upper):
    assert upper.difference_pu < 1e-6
    assert upper.grid.engine == BUNDLED


def test_it_carries_the_design_peak_and_trough(state, upper):
    result = design_block(state).solved_by(upper.grid)  # 8.4 GW at the consumers' side of the PSS: about 9 GW sent
    assert (result.status == 0).all()
    assert result.vm132_min.min() >= 0.95
    assert result.vm132_max.max() <= 1.05
    assert result.line_loading_percent_max.max() <= 100
    assert np.abs(result.closure).max() < 1e-6


@pytest.mark.parametrize("level", [0.7, 1.05])
def test_it_carries_what_deviates_from_the_design(state, upper, level):
    inputs = design_block(state)
    result = upper.grid.solve(level * inputs.p_kw, level * inputs.q_kvar, inputs.slope_p, inputs.slope_q, inputs.v0_pu)
    assert (result.status == 0).all()
    assert np.isfinite(result.v_pss_pu).all()
