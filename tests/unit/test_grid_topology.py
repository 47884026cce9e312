import numpy as np
import pandapower as pp
import pytest

from tests.planning_day import planned_state, planning_kw
from twin.errors import NetworkError
from twin.grid import topology
from twin.grid.feeder import build_feeder


@pytest.fixture
def net():
    """Source - a - b, a spur a - c, and an open tie b - c."""
    net = pp.create_empty_network()
    bus = pp.create_buses(net, 4, 11.0)
    pp.create_ext_grid(net, bus[0])
    for a, b in ((0, 1), (1, 2), (1, 3), (2, 3)):
        pp.create_line_from_parameters(net, bus[a], bus[b], 1.0, 0.5, 0.3, 0.0, 0.2)
    pp.create_switch(net, bus[2], 3, et="l", closed=False)
    pp.create_load(net, bus[3], 0.1)
    return net


def test_an_open_tie_leaves_the_net_radial(net):
    assert topology.is_radial(net)
    order = topology.radial_order(net)
    assert order.bus.tolist() == [0, 1, 2, 3]
    assert order.parent.tolist() == [-1, 0, 1, 1]


def test_a_closed_tie_is_a_loop(net):
    net.switch["closed"] = True
    assert not topology.is_radial(net)
    with pytest.raises(NetworkError, match="loop"):
        topology.radial_order(net)


def test_a_cut_line_leaves_loads_without_supply(net):
    net.line.loc[0, "in_service"] = False
    assert topology.supplied_buses(net) == {0}
    problems = topology.check_net(net)
    assert len(problems) == 1
    assert "no supply" in str(problems[0])


def test_a_net_without_source_is_a_problem(net):
    net.ext_grid["in_service"] = False
    assert "no source" in str(topology.check_net(net)[0])


def test_subtrees():
    parent = np.array([0, 0, 1, 1, 0, 4])
    assert topology.subtree(parent, 1).tolist() == [1, 2, 3]
    assert topology.subtree(parent, 5).tolist() == [5]


def test_the_state_and_its_feeders_pass_their_checks():
    state = planned_state()
    assert topology.check_state(state) == []
    static = build_feeder(state, 3, planning_kw(), 1)
    assert topology.check_feeder(static, 3) == []


def test_broken_trees_are_found():
    static = build_feeder(planned_state(), 3, planning_kw(), 1)
    parent, poles = static.tree.parent.copy(), static.lv.parent.copy()
    parent[2], poles[static.lv.dt_pole_ptr[4] + 1] = 2, 1
    broken = static._replace(tree=static.tree._replace(parent=parent), lv=static.lv._replace(parent=poles))
    text = "\n".join(map(str, topology.check_feeder(broken, 3)))
    assert "not a tree from node 0" in text
    assert "no supply" in text
    assert "DTs 4" in text
