"""Table ``utility``: what a discom would make of its own data, beside the truth.

A discom reads meters at the heads of its 11 kV feeders, whose errors it does not know, and its own bills. What is lost
in lines and transformers it does not measure: it takes a share that is held to be normal (``normative_technical`` in
``twin/data/analysis.csv``). What is left it calls non-technical loss:

    estimated = metered input x (1 - normative share) - billed

Days on which a head's meter had failed are missing, not zero: the feeder's own mean day stands in, or, where its meter
recorded none, what the other feeders' consumers are sent on average (``input_estimated_mwh`` of the metered input).

The truth is theft, what meters did not record, meter error and estimates. The two differ by exactly the error of the
boundary meters and of what stands in for them, plus technical loss less the normative one, plus the ledger's closure.
Areas are 11 kV feeders and their sums by weight: the state's row leaves out 33 kV lines and consumers on 11 kV and
above, as those of discoms do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.analysis.frames import Feeders, by_code, rows_of
from twin.analysis.loads import FEEDER_LOSSES
from twin.analysis.tables import RunTables, asked_for, read_case
from twin.datapack import threshold
from twin.units import KW_PER_MW

NON_TECHNICAL = ("theft", "unrecorded", "meter_error", "estimate")
"""Parts of table ``atc`` that are used and not billed."""


def has_boundary_meters(run: RunTables) -> bool:
    """Are there meters at feeders' heads, and does the run tell what they recorded?"""
    return bool((run.scenario.get("meters") or {}).get("devices", False)) and asked_for(run.scenario, "feeder_meters")


def metered_input_mwh(run: RunTables, feeders: Feeders, case: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the meters at the heads recorded over the run with what stands in for failed ones, and the latter alone.

    Shape (n_feeders,). Registers, so that a day whose profile came in late counts too. [MWh]
    """
    rows = read_case(run, "feeder_meters", case, ["feeder_id", "sent_metered_kwh", "meters"])
    n, place = len(feeders.feeder_id), rows_of(feeders, rows["feeder_id"])
    kwh, meters = rows["sent_metered_kwh"].astype(np.float64), rows["meters"].astype(np.float64)
    there = np.isfinite(kwh)
    recorded, days = by_code(place[there], kwh[there], n), by_code(place, there * 1.0, n)
    missing = by_code(place, ~there * 1.0, n)
    per_meter = kwh[there].sum() / meters[there].sum() if there.any() else np.nan
    others = per_meter * by_code(place, meters, n) / np.maximum(days + missing, 1.0)
    own = np.divide(recorded, days, out=others, where=days > 0.0)
    estimated = np.where(missing > 0.0, missing * own, 0.0)
    return (recorded + estimated) / KW_PER_MW, estimated / KW_PER_MW


def utility_row(
    label: str, area: str, energy_mwh: Mapping[str, float], metered_mwh: float, estimated_mwh: float
) -> dict[str, Any]:
    """A row of table ``utility`` from an area's parts of table ``atc``, its metered input and what of it is estimated.

    All in MWh.
    """
    normative = threshold("normative_technical") * metered_mwh
    billed = energy_mwh["billed"]
    efficiency = energy_mwh["collected"] / billed if billed and "collected" in energy_mwh else 1.0
    return {
        "arm": label,
        "area": area,
        "input_mwh": energy_mwh["input"],
        "input_metered_mwh": metered_mwh,
        "input_estimated_mwh": estimated_mwh,
        "billed_mwh": billed,
        "technical_mwh": sum(energy_mwh[part] for part in FEEDER_LOSSES),
        "technical_normative_mwh": normative,
        "non_technical_mwh": sum(energy_mwh.get(part, 0.0) for part in NON_TECHNICAL),
        "non_technical_estimated_mwh": metered_mwh - normative - billed,
        "atc_percent": _loss_percent(energy_mwh["input"], billed, efficiency),
        "atc_estimated_percent": _loss_percent(metered_mwh, billed, efficiency),
    }


def _loss_percent(input_mwh: float, billed_mwh: float, efficiency: float) -> float | None:
    return 100.0 * (1.0 - efficiency * billed_mwh / input_mwh) if input_mwh else None


def sum_of_discoms(areas: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Parts of all discoms together: the 11 kV feeders of the state, by weight. [MWh]"""
    own = [parts for area, parts in areas.items() if area.startswith("discom:")]
    return {part: float(sum(one[part] for one in own)) for part in own[0]}
