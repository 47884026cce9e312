"""Whom a command addresses: a share of the smart meters of some makers, categories, districts, firmware or key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.demand.weather import day_number
from twin.errors import Problem, ScenarioError
from twin.grid.tables import districts
from twin.meters.commands import draw_addressed
from twin.meters.datasheets import catalogue
from twin.meters.keys import OWN, KeyParams, lots
from twin.scenario.names import category_names
from twin.simulation.meter_traits import installed_days

if TYPE_CHECKING:
    from twin.scenario.meters import Command, KeyOf
    from twin.scenario.schema import Scenario
    from twin.simulation.firmware_versions import FirmwareVersions
    from twin.simulation.meter_devices import MeterDevices


def addressed_rows(
    devices: MeterDevices, number: int, command: Command, versions: FirmwareVersions, start_h: float
) -> NDArray[np.int64]:
    """Rows of the meters that the command ``number`` addresses, rising: those to whom all of its settings apply."""
    fleet, consumers = devices.fleet, devices.population.consumers
    addressed = np.empty(len(fleet.ids), np.bool_)
    draw_addressed(np.uint64(devices.seed), fleet.ids, number, command.share, addressed)
    addressed &= fleet.hops > 0
    if command.vendors:
        addressed &= _of_makers(devices, command.vendors)[fleet.kind]
    if command.categories:
        addressed &= np.isin(np.array(category_names()), command.categories)[consumers.category]
    if command.districts:
        addressed &= np.isin(np.array([row.name for row in districts()]), command.districts)[consumers.district]
    if command.firmware is not None:
        addressed &= versions.at(start_h) == versions.names.index(command.firmware)
    if command.key_of is not None:
        addressed &= _shares_key(devices, command.key_of)
    return np.flatnonzero(addressed)


def _of_makers(devices: MeterDevices, makers: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which types are of some makers, shape (n_types,)."""
    return np.isin(np.array([sheet.maker for sheet in devices.types.sheets]), makers)


def _shares_key(devices: MeterDevices, key: KeyOf) -> NDArray[np.bool_]:
    """Which meters share a key when the run begins, shape (n,)."""
    fleet = devices.fleet
    months = devices.types.params(KeyParams, "keys").lot_months[fleet.kind]
    put_up = installed_days(devices.seed, fleet, devices.types, devices.first_day)
    lot, theirs = lots(put_up, months), lots(np.full(len(put_up), day_number(key.installed), np.int32), months)
    return _of_makers(devices, (key.vendor,))[fleet.kind] & (lot != OWN) & (lot == theirs)


def check_keys(scenario: Scenario) -> None:
    """Refuse commands to those who share a key of a maker whose meters share none.

    Raises
    ------
    ScenarioError
        With every such command.
    """
    types, problems = catalogue(), []
    shared = types.params(KeyParams, "keys").lot_months > 0.0
    makers = list(dict.fromkeys(sheet.maker for sheet, has in zip(types.sheets, shared, strict=True) if has))
    for number, command in enumerate(scenario.meters.commands):
        if command.key_of is not None and command.key_of.vendor not in makers:
            what = f"'{command.key_of.vendor}' is no maker whose meters share keys"
            fix = f"use one of {', '.join(makers)}, or set `keys: lot_months` in its datasheet"
            path = f"meters.commands[{number}].key_of.vendor"
            problems.append(Problem(scenario.name, path, what, fix))
    if problems:
        raise ScenarioError(problems)
