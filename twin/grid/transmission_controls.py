"""The control devices of the upper grid from the assumed numbers: taps, capacitor banks, switched reactors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
from numpy.typing import NDArray

from twin.errors import NetworkError, Problem
from twin.grid.transmission_data import assumed, assumed_value
from twin.grid.transmission_full import PssColumns
from twin.powerflow.controls import BY_FLOW, BY_SCHEDULE, BY_VOLTAGE, HOURS, Banks, Controls, Steppers, steppers

KINDS = {"flow": BY_FLOW, "voltage": BY_VOLTAGE, "schedule": BY_SCHEDULE}


def switched_reactors(net: pp.pandapowerNet) -> pd.DataFrame:
    """Rows of the switched bus reactors in ``net.shunt``."""
    return net.shunt[net.shunt.kind == "switched reactor"]


def control_devices(net: pp.pandapowerNet, pss: PssColumns, base_mva: float) -> Controls:
    """All devices: GSS in the order of ``pss.gss_id``, reactors in that of ``net.shunt``, in pu of ``base_mva``.

    Raises
    ------
    NetworkError
        If the data pack names an unknown kind of control or station.
    """
    capacitor = net.shunt[net.shunt.kind == "capacitor"].set_index("name").max_step.loc[list(pss.gss_id)]
    reactor = switched_reactors(net).max_step.to_numpy(dtype=np.int64)
    return Controls(
        reactors=reactor_banks(reactor, base_mva),
        capacitors=capacitor_banks(pss.gss_id, capacitor.to_numpy(dtype=np.int64), base_mva),
        gss_taps=_tap_changers(len(pss.gss_id), "gss"),
        pss_taps=_tap_changers(len(pss.gss), "pss"),
        tap_step=float(assumed_value("taps", "step_percent")) / 100.0,
        max_rounds=int(assumed_value("taps", "max_rounds")),
    )


def _tap_changers(n: int, kind: str) -> Steppers:
    """Tap changers of all GSS or PSS; a higher tap lowers the voltage by about one step of ratio."""
    settings = assumed()["taps"]
    target, band = float(settings[f"{kind}_target_pu"]["value"]), float(settings["deadband_pu"]["value"])
    most = int(settings["max_steps"]["value"])
    return steppers(
        n,
        low=target - band,
        high=target + band,
        effect=-float(settings["step_percent"]["value"]) / 100.0,
        least=-most,
        most=most,
        delay_min=float(settings[f"{kind}_delay_min"]["value"]),
        hysteresis=float(settings["hysteresis_pu"]["value"]),
    )


def capacitor_banks(gss_id: tuple[str, ...], installed: NDArray[np.int64], base_mva: float) -> Banks:
    """Capacitors of all GSS, by reactive flow [pu of power], voltage [pu] or schedule, as the data pack says."""
    settings = assumed()["capacitors"]
    step = float(settings["step_mvar"]["value"]) / base_mva
    flow = steppers(
        len(gss_id),
        low=float(settings["off_mvar"]["value"]) / base_mva,
        high=float(settings["on_mvar"]["value"]) / base_mva,
        effect=-step,
        least=0,
        most=installed,
        delay_min=float(settings["delay_min"]["value"]),
        hysteresis=float(settings["hysteresis_mvar"]["value"]) / base_mva,
    )
    voltage = steppers(
        len(gss_id),
        low=float(settings["on_pu"]["value"]),
        high=float(settings["off_pu"]["value"]),
        effect=float(settings["rise_pu"]["value"]),
        least=0,
        most=installed,
        delay_min=float(settings["delay_min"]["value"]),
        hysteresis=float(settings["voltage_hysteresis_pu"]["value"]),
    )
    kind = _kinds("capacitors", settings, gss_id)
    pairs: Any = zip(flow, voltage, strict=True)
    chosen = Steppers(*(np.where(kind == BY_VOLTAGE, by_voltage, by_flow) for by_flow, by_voltage in pairs))
    return Banks(step, kind, chosen, hourly(settings["schedule"], installed))


def reactor_banks(installed: NDArray[np.int64], base_mva: float) -> Banks:
    """Switched reactors, by the voltage of their busbar [pu] or by schedule."""
    settings = assumed()["reactors"]
    devices = steppers(
        len(installed),
        low=float(settings["off_pu"]["value"]),
        high=float(settings["on_pu"]["value"]),
        effect=-float(settings["fall_pu"]["value"]),
        least=0,
        most=installed,
        delay_min=float(settings["delay_min"]["value"]),
        hysteresis=float(settings["hysteresis_pu"]["value"]),
    )
    kind = np.full(len(installed), _kind("reactors", "control", settings["control"]["value"]), dtype=np.int8)
    return Banks(
        -float(settings["step_mvar"]["value"]) / base_mva, kind, devices, hourly(settings["schedule"], installed)
    )


def hourly(schedule: dict[str, Any], installed: NDArray[np.int64]) -> NDArray[np.int8]:
    """Steps in service by hour, (n, 24): a share of those installed, rounded up, from one hour to another."""
    hours, begin, end = np.arange(HOURS), int(schedule["from_hour"]), int(schedule["to_hour"])
    on = (hours >= begin) & (hours < end) if begin <= end else (hours >= begin) | (hours < end)
    return np.outer(np.ceil(float(schedule["share"]) * installed), on).astype(np.int8)


def _kinds(part: str, settings: dict[str, Any], ids: tuple[str, ...]) -> NDArray[np.int8]:
    """Kind of control by station: the default, or what ``stations`` says."""
    default = _kind(part, "control", settings["control"]["value"])
    own = {name: _kind(part, f"stations.{name}", value) for name, value in settings["stations"].items()}
    unknown = sorted(set(own) - set(ids))
    if unknown:
        where = f"twin/data/transmission_assumed.yaml {part}.stations"
        raise NetworkError([Problem(where, name, "no grid substation has this id", "correct it") for name in unknown])
    return np.array([own.get(name, default) for name in ids], dtype=np.int8)


def _kind(part: str, key: str, value: str) -> int:
    if value not in KINDS or (part == "reactors" and value == "flow"):
        raise NetworkError(
            [Problem(f"twin/data/transmission_assumed.yaml {part}", key, f"unknown control {value!r}",
                     f"use one of {', '.join(KINDS)}")]
        )  # fmt: skip
    return KINDS[value]
