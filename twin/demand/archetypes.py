"""Archetypes as arrays: which signals the channels of each kind of consumer follow, and the stock that homes own.

The model, the same for every consumer:

    P(t) = F(day) * unit * sum_k W_k d_k(t) s_k(t),    s_k(t) = [u_k(window) < m_k p_k(t)]

``W_k`` is the connected power of channel k, ``p_k(t)`` the on-probability that its signal gives, ``m_k`` the consumer's
own use, ``d_k`` a duty while on, and ``u_k`` a uniform number held over windows of the channel's length. A channel of
hold 0 carries its expectation, ``s = p``. All numbers are in ``twin/data/demand``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.calibrated import fitted, in_use
from twin.datapack import Row, kinds, read_rows, read_yaml
from twin.errors import DataPackError, Problem

HOME_CHANNELS = (
    "fixed", "fridge", "light", "screen", "fan1", "fan2", "cool", "water_heat", "room_heat", "event", "battery",
)  # fmt: skip
N_CHANNELS = len(HOME_CHANNELS)
RATED_CHANNELS = ("screen", "water_heat", "event", "battery")
"""Channels of which a home has its own minutes a day (the rate columns)."""
N_RATES = len(RATED_CHANNELS)
ROSTERS = ("A", "B", "C")
N_HOME_KINDS = 10
HOURS_ONE = 64.0
"""Code of the multiplier 1 in `DemandColumns.hours`."""


class Programs(NamedTuple):
    """What the channels of each program follow. Arrays of shape (n_programs, N_CHANNELS) unless said."""

    row: NDArray[np.int32]  # first row of the signal in the day tables; -1: no such channel
    bucketed: NDArray[np.uint8]  # 1: add the consumer's threshold bucket to the row
    duty: NDArray[np.int32]  # row of the duty while on; -1: one
    hold: NDArray[np.int32]  # quarter hours that a draw is held; 0: the expectation
    hours_vary: NDArray[np.uint8]  # 1: p is multiplied by the consumer's hours multiplier
    clock: NDArray[np.uint8]  # 1: the consumer's clock shifts the signal
    rate: NDArray[np.int8]  # column of `DemandColumns.rate`; -1: none
    rate_unit: NDArray[np.float32]  # minutes per count of the rate
    day_log_sd: NDArray[np.float64]  # (n_programs,)
    day_persistence: NDArray[np.float64]  # (n_programs,)
    away: NDArray[np.float64]  # (n_programs, 3): share, days a stretch, factor


@dataclass(frozen=True)
class Catalogue:
    """Programs, the rows of the day tables that they read, and which program a kind has."""

    programs: Programs
    signals: tuple[str, ...]
    first_row: dict[str, int]
    n_rows: int
    n_buckets: int
    bucket_step_k: float
    program_of_kind: NDArray[np.int64]  # homes: + 1 with an AC; farm pumps: + roster group


def bad_data(file: str, path: str, what: str, fix: str) -> DataPackError:
    """The error of one malformed entry of the pack."""
    return DataPackError([Problem(f"twin/data/{file}", path, what, fix)])


def is_bucketed(signal: dict[str, Any]) -> bool:
    """Whether a signal depends on the consumer's own threshold."""
    return any(factor.get("own_threshold", False) for factor in signal.get("weather", ()))


def _layout() -> tuple[dict[str, int], int]:
    spec = read_yaml("demand/signals")
    first, n_rows = {}, 0
    for name, signal in spec["signals"].items():
        first[name] = n_rows
        n_rows += spec["threshold_buckets"]["count"] if is_bucketed(signal) else 1
    return first, n_rows


class _Builder:
    """Fills the program arrays one program at a time."""

    def __init__(self, n_programs: int) -> None:
        shape = (n_programs, N_CHANNELS)
        self.arrays = Programs(
            row=np.full(shape, -1, np.int32),
            bucketed=np.zeros(shape, np.uint8),
            duty=np.full(shape, -1, np.int32),
            hold=np.zeros(shape, np.int32),
            hours_vary=np.zeros(shape, np.uint8),
            clock=np.zeros(shape, np.uint8),
            rate=np.full(shape, -1, np.int8),
            rate_unit=np.ones(shape, np.float32),
            day_log_sd=np.zeros(n_programs),
            day_persistence=np.zeros(n_programs),
            away=np.tile([0.0, 1.0, 1.0], (n_programs, 1)),
        )
        self.first, self.n_rows = _layout()
        self.signals = read_yaml("demand/signals")["signals"]

    def channel(self, program: int, k: int, signal: str, hold: int, where: str) -> None:
        if signal not in self.first:
            raise bad_data(where, signal, "no such signal", "name a signal of demand/signals.yaml")
        self.arrays.row[program, k] = self.first[signal]
        self.arrays.bucketed[program, k] = is_bucketed(self.signals[signal])
        self.arrays.hold[program, k] = hold

    def home(self, program: int, area: str, has_ac: bool) -> None:
        spec = read_yaml("demand/homes")
        arrays = self.arrays
        for k, name in enumerate(HOME_CHANNELS):
            channel = spec["channels"][name]
            self.channel(program, k, channel[area], channel["hold"], "demand/homes.yaml")
            arrays.hours_vary[program, k] = channel["hours_vary"]
            arrays.clock[program, k] = channel["clock"]
            if "duty" in channel:
                arrays.duty[program, k] = self.first[channel["duty"]]
            if name in RATED_CHANNELS:
                arrays.rate[program, k] = RATED_CHANNELS.index(name)
                arrays.rate_unit[program, k] = channel["rate_unit_min"]
        if has_ac:
            k = HOME_CHANNELS.index("cool")
            self.channel(program, k, spec["ac"]["signal"], spec["ac"]["hold"], "demand/homes.yaml")
            arrays.duty[program, k] = self.first[spec["ac"]["duty"]]
        day = spec["day"]
        arrays.day_log_sd[program], arrays.day_persistence[program] = day["log_sd"], day["persistence"]
        arrays.away[program] = day["away_share"], day["away_days"], day["away_factor"]

    def other(self, program: int, kind: str, roster: str) -> None:
        spec = read_yaml("demand/archetypes")
        archetype = spec["kinds"][kind]
        slot = 0
        for channel in archetype["channels"]:
            signal = channel["signal"] if channel["signal"] != "farm" else f"farm_{roster}"
            for _ in range(channel.get("bits", 1)):
                if slot == N_CHANNELS:
                    raise bad_data("demand/archetypes.yaml", kind, f"more than {N_CHANNELS} channels", "use fewer bits")
                self.channel(program, slot, signal, channel.get("hold", 0), "demand/archetypes.yaml")
                self.arrays.clock[program, slot] = archetype["clock_sd_minutes"] > 0
                slot += 1
        self.arrays.day_log_sd[program] = archetype["day"]
        self.arrays.day_persistence[program] = spec["day_persistence"]


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """All programs: two per area for homes (cooler, AC), one per other kind, three for farm pumps (rosters)."""
    others = kinds()[N_HOME_KINDS:]
    builder = _Builder(4 + len(others) + len(ROSTERS) - 1)
    program_of_kind = np.zeros(len(kinds()), np.int64)
    for area_code, area in enumerate(("rural", "urban")):
        for has_ac in (False, True):
            builder.home(2 * area_code + has_ac, area, has_ac)
    program = 4
    for kind in kinds():
        if kind.group == "home":
            program_of_kind[kind.kind] = 2 * (kind.area == "urban")
            continue
        program_of_kind[kind.kind] = program
        for roster in ROSTERS if kind.group == "farm" else ("",):
            builder.other(program, kind.name, roster)
            program += 1
    buckets = read_yaml("demand/signals")["threshold_buckets"]
    return Catalogue(
        programs=builder.arrays,
        signals=tuple(builder.first),
        first_row=builder.first,
        n_rows=builder.n_rows,
        n_buckets=buckets["count"],
        bucket_step_k=buckets["step_k"],
        program_of_kind=program_of_kind,
    )


class Stock(NamedTuple):
    """What consumers are drawn from; a = appliance, k = channel, h = kind of home, o = kind of another consumer."""

    scalars: NDArray[np.float64]  # see `stock`
    small_loads_w: NDArray[np.float64]  # (5,)
    night_lamp: NDArray[np.float64]  # share, W, duty
    appliance_channel: NDArray[np.int64]  # (a,); 4: fans in order, then fan2; 20: AC
    power_w: NDArray[np.float64]  # (a,)
    minutes: NDArray[np.float64]  # (a,) mean of the year
    own: NDArray[np.float64]  # (h, a)
    units: NDArray[np.float64]  # (5, a)
    zip_p: NDArray[np.float64]  # (a, 3)
    tan_phi: NDArray[np.float64]  # (a,)
    q_zip: NDArray[np.float64]  # (2, 3): homes, others
    rate_unit_min: NDArray[np.float64]  # (N_RATES,)
    program_of_kind: NDArray[np.int64]
    roster_share: NDArray[np.float64]  # (3,) cumulative
    rated_kw: NDArray[np.float64]  # (o,)
    rated_log_sd: NDArray[np.float64]
    works: NDArray[np.float64]  # (o,) share in working order
    rostered: NDArray[np.uint8]  # (o,) 1: farm pumps
    clock_sd: NDArray[np.float64]  # (o,) quarter hours
    share: NDArray[np.float64]  # (o, k) of the rated load
    channel_own: NDArray[np.float64]  # (o, k)
    channel_lead: NDArray[np.int64]  # (o, k) first slot of the same machine group: its ownership counts
    other_zip: NDArray[np.float64]  # (o, 3)
    other_tan: NDArray[np.float64]  # (o,)


AC_CHANNEL = 20
_SEASON_DAYS = np.array([105.0, 106.0, 107.0, 47.0])
"""Days of the seasons of appliances.csv: winter mid-Nov to Feb, hot, monsoon, autumn (demand facts, 1.4)."""


class _Appliance(Row):
    name: str
    power_w_typical: float
    pf: float
    z: float
    i: float
    p: float
    units_c1: float
    units_c2: float
    units_c3: float
    units_c4: float
    units_c5: float
    own_rural_c1_pct: float
    own_rural_c2_pct: float
    own_rural_c3_pct: float
    own_rural_c4_pct: float
    own_rural_c5_pct: float
    own_urban_c1_pct: float
    own_urban_c2_pct: float
    own_urban_c3_pct: float
    own_urban_c4_pct: float
    own_urban_c5_pct: float
    min_per_day_winter: float
    min_per_day_hot: float
    min_per_day_monsoon: float
    min_per_day_autumn: float


COOLING = ("fan", "cooler", "ac")
"""Kinds of appliance (homes.yaml) whose power the factor ``home_cooling`` scales."""
HEATING = ("water_heat", "room_heat")
"""Likewise of the factor ``home_heating``."""
LEVELS = {"shop": "shop", "industry": "industry", "ht": "ht", "farm": "farm"}
"""Fitted factor of the rated load of a group of kinds; groups that are not named are not fitted."""


def home_level(channel: str) -> str:
    """Name of the fitted factor that scales the power of a home's appliance of this channel."""
    if channel in HEATING:
        return "home_heating"
    return "home_cooling" if channel in COOLING else "home_other"


def group_level(group: str) -> float:
    """What a fit made of the rated load of consumers of this group."""
    return fitted(LEVELS[group]) if group in LEVELS else 1.0


def _tan(pf: float) -> float:
    return float(np.sqrt(1 / pf**2 - 1))


def stock() -> Stock:
    """The arrays that `twin.demand.columns` draws consumers from, at the fitted factors in use."""
    return _stock(in_use())


@lru_cache(maxsize=4)
def _stock(_factors: tuple[float, ...]) -> Stock:
    homes, signals, others = (read_yaml(f"demand/{name}") for name in ("homes", "signals", "archetypes"))
    used = homes["appliances"]
    rows = [row for row in read_rows("appliances", _Appliance) if row.name in used]
    missing = set(used) - {row.name for row in rows}
    if missing:
        raise bad_data(
            "demand/homes.yaml", f"appliances.{min(missing)}", "no such appliance", "name one of appliances.csv"
        )
    codes = {name: k for k, name in enumerate(HOME_CHANNELS)}
    codes |= {"fan": codes["fan1"], "cooler": codes["cool"], "ac": AC_CHANNEL}
    classes = range(1, 6)
    per_season = [[getattr(r, f"min_per_day_{s}") for s in ("winter", "hot", "monsoon", "autumn")] for r in rows]
    shares = [signals["rosters"]["groups"][name]["share"] for name in ROSTERS]
    archetypes = [others["kinds"][kind.name] for kind in kinds()[N_HOME_KINDS:]]
    share, own, lead = _other_channels(archetypes)
    rest = fitted("home_other")
    return Stock(
        scalars=np.array(
            [homes["scale"], homes["power_log_sd"], homes["hours_log_sd"], homes["threshold_sd_k"]]
            + [
                homes["clock_sd_minutes"] / 15.0,
                homes["vacant_share"],
                homes["vacant_power"],
                homes["small_loads_log_sd"],
            ]
            + [homes["box_duty"], others["share_log_sd"], signals["threshold_buckets"]["step_k"]]
            + [float(signals["threshold_buckets"]["count"])]
        ),
        small_loads_w=np.array(homes["small_loads_w"], dtype=float) * rest,
        night_lamp=np.array([homes["night_lamp"][key] for key in ("share", "power_w", "duty")]) * [1.0, rest, 1.0],
        appliance_channel=np.array([codes[used[row.name]["channel"]] for row in rows]),
        power_w=np.array([row.power_w_typical * fitted(home_level(used[row.name]["channel"])) for row in rows]),
        minutes=(np.array(per_season) * (_SEASON_DAYS / _SEASON_DAYS.sum())).sum(axis=1),
        own=np.array(
            [[getattr(r, f"own_{area}_c{c}_pct") / 100 for r in rows] for area in ("rural", "urban") for c in classes]
        ),
        units=np.array([[getattr(row, f"units_c{c}") for row in rows] for c in classes]),
        zip_p=np.array([[row.z, row.i, row.p] for row in rows]),
        tan_phi=np.array([used[row.name]["displacement"] * _tan(row.pf) for row in rows]),
        q_zip=np.array([homes["q_zip"], others["q_zip"]]),
        rate_unit_min=np.array([homes["channels"][name]["rate_unit_min"] for name in RATED_CHANNELS]),
        program_of_kind=catalogue().program_of_kind,
        roster_share=np.cumsum(shares),
        rated_kw=np.array([a["rated_kw"] for a in archetypes]) * [group_level(k.group) for k in kinds()[N_HOME_KINDS:]],
        rated_log_sd=np.array([a["log_sd"] for a in archetypes]),
        works=np.array([a.get("own", 1.0) for a in archetypes]),
        rostered=np.array([kind.group == "farm" for kind in kinds()[N_HOME_KINDS:]], dtype=np.uint8),
        clock_sd=np.array([a["clock_sd_minutes"] / 15.0 for a in archetypes]),
        share=share,
        channel_own=own,
        channel_lead=lead,
        other_zip=np.array([a["zip"] for a in archetypes], dtype=float),
        other_tan=np.array([_tan(a["pf"]) for a in archetypes]),
    )


def _other_channels(
    archetypes: list[dict[str, Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    shape = (len(archetypes), N_CHANNELS)
    share, own, lead = np.zeros(shape), np.ones(shape), np.zeros(shape, np.int64)
    for row, archetype in enumerate(archetypes):
        slot = 0
        for channel in archetype["channels"]:
            bits = channel.get("bits", 1)
            share[row, slot : slot + bits] = channel["share"] / bits
            own[row, slot : slot + bits] = channel.get("own", 1.0)
            lead[row, slot : slot + bits] = slot
            slot += bits
    return share, own, lead
