"""Tap changers and capacitors against a simulation that steps through time and knows nothing of scans.

It is plain Python around ``pandapower.runpp`` on the whole small network, 132 kV to 11 kV. At every step it starts from
where the devices stood, and lets them act one step of position at a time, upper ones first, until each is inside its
band; it solves again after every single move. Ours solves the day, scans it, and solves again. It has no hysteresis, so
near the edge of a band one may act before the other; nothing else may differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandapower as pp
import pytest

from tests.upper_cases import small_block, small_grid
from twin.grid.transmission_full import full_net
from twin.grid.transmission_upper import upper_grid

STEPS, TAN_PHI = 24, 0.3
DAY = 0.55 + 0.45 * np.sin(2 * np.pi * (np.arange(STEPS) - 9) / STEPS) ** 2
"""Load through a day as a share of its peak: two humps."""
ON_MVAR, BAND_33, BAND_11, HALF = 3.5, 1.02, 1.015, 0.0125
SLACK_PU, SLACK_MVAR = 0.002, 0.5
"""The bands of transmission_assumed.yaml, written out here once more, and the hysteresis that ours adds to them."""


@dataclass
class Stepping:
    """The devices of a network with one GSS and two PSS, moved one at a time."""

    net: pp.pandapowerNet
    bus_33: int
    gss: list[int]
    capacitor: int

    def solve(self) -> None:
        pp.runpp(self.net, distributed_slack=True, init="dc", tolerance_mva=1e-9)

    def flow_mvar(self) -> float:
        """Reactive power into the 33 kV bus from above, positive lagging."""
        return float(-self.net.res_trafo.q_lv_mvar[self.gss].sum())

    def voltages(self) -> list[float]:
        """Of the 33 kV bus and both 11 kV buses. [pu]"""
        return self.net.res_bus.vm_pu[[self.bus_33, *self.net.pss.bus_11]].tolist()

    def positions(self) -> list[int]:
        taps = self.net.trafo.tap_pos[[self.gss[0], *self.net.pss.trafo]]
        return [int(self.net.shunt.step[self.capacitor]), *taps.astype(int)]

    def move(self) -> bool:
        """One step of the first device outside its band; was there one?"""
        flow, step = self.flow_mvar(), int(self.net.shunt.step[self.capacitor])
        wanted = step + (flow > ON_MVAR) - (flow < -ON_MVAR)
        if wanted != step and 0 <= wanted <= self.net.shunt.max_step[self.capacitor]:
            self.net.shunt.loc[self.capacitor, "step"] = wanted
            return True
        changers = [self.gss, *([row] for row in self.net.pss.trafo)]
        for rows, vm, target in zip(changers, self.voltages(), (BAND_33, BAND_11, BAND_11), strict=True):
            if abs(vm - target) > HALF:
                self.net.trafo.loc[rows, "tap_pos"] += 1.0 if vm > target else -1.0
                return True
        return False


def stepped(net: pp.pandapowerNet, pss, p_kw: np.ndarray, schedule_mw: np.ndarray) -> tuple[np.ndarray, ...]:
    """Positions (4, steps), voltages (3, steps), flow (steps,) of the simulation."""
    full = full_net(net, pss)
    gss = list(full.trafo.index[full.trafo.kind == "gss"])
    capacitor = int(full.shunt.index[full.shunt.kind == "capacitor"][0])
    devices = Stepping(full, int(full.bus.index[full.bus.name == "HUB@33"][0]), gss, capacitor)
    full.trafo["tap_pos"] = full.trafo.tap_pos.astype(float)
    full.shunt.loc[capacitor, "step"] = 0
    rows = []
    for t in range(STEPS):
        full.load.loc[full.pss.load, "p_mw"] = p_kw[:, t] / 1e3
        full.load.loc[full.pss.load, "q_mvar"] = TAN_PHI * p_kw[:, t] / 1e3
        full.gen["p_mw"] = schedule_mw[:, t]
        devices.solve()
        while devices.move():
            devices.solve()
        rows.append((devices.positions(), devices.voltages(), devices.flow_mvar()))
    positions, voltages, flow = zip(*rows, strict=True)
    return np.array(positions).T, np.array(voltages).T, np.array(flow)


@pytest.mark.parametrize(
    ("peak_kw", "hub_pu"),
    [((9e3, 9e3), 1.02), ((14e3, 8e3), 1.02), ((13e3, 6e3), 1.0), ((13e3, 6e3), 0.985)],
)
def test_a_day_of_taps_and_capacitors_is_that_of_a_simulation_through_time(peak_kw, hub_pu):
    net, pss, _ = small_grid()
    net.gen.loc[net.gen.name == "PLANT", "vm_pu"] = hub_pu
    grid, p_kw = upper_grid(net, pss), np.outer(peak_kw, DAY)
    ours = small_block(p_kw.tolist()).solved_by(grid)
    assert (ours.status == 0).all()
    assert ours.controls_unsettled == 0
    theirs, vm_pu, flow_mvar = stepped(net, pss, p_kw, ours.schedule_mw)
    at = ours.positions_by_step
    mine, mine_pu = np.vstack([at.capacitor, at.gss_tap, at.pss_tap]), np.vstack([ours.gss_vm_pu, ours.v_pss_pu])
    assert (np.ptp(mine[2:], axis=1) >= 2).all(), "the day must move the taps"
    same = (mine == theirs).all(axis=0)
    assert same.mean() >= 0.8
    np.testing.assert_allclose(mine_pu[:, same], vm_pu[:, same], atol=1e-7, rtol=0)
    assert np.abs(mine - theirs).max() <= 1
    for row, target in ((1, BAND_33), (2, BAND_11), (3, BAND_11)):
        for t in np.flatnonzero(mine[row] != theirs[row]):
            inside = [abs(one[row - 1, t] - target) <= HALF + SLACK_PU for one in (mine_pu, vm_pu)]
            assert all(inside), f"device {row} in step {t}: both positions must be inside the band with its hysteresis"
    assert np.abs(flow_mvar[mine[0] < 4]).max() <= ON_MVAR + SLACK_MVAR
