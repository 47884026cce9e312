"""What a run is asked to do: the scenario file, read strictly, frozen, and written back in full."""

from twin.scenario.arms import Arm, FreeUnits, Period, TimeOfDay
from twin.scenario.load import load_scenario, parse_scenario
from twin.scenario.resolved import dump_resolved, scenario_hash
from twin.scenario.schema import Scenario

__all__ = [
    "Arm",
    "FreeUnits",
    "Period",
    "Scenario",
    "TimeOfDay",
    "dump_resolved",
    "load_scenario",
    "parse_scenario",
    "scenario_hash",
]
