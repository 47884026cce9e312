"""What the report knows of a run: its arms, area, period, effects and manifest, read once from tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import PurePath
from typing import Any, Protocol

from numpy.typing import NDArray

from twin import datapack
from twin.analysis.design import PILOT
from twin.errors import Problem, RunFolderError
from twin.report.catalogue import Catalogue, clean
from twin.report.effects import Effect, read_effects

COLOURS = ("#595959", "#332288", "#DD7711", "#117733", "#CC3399", "#1A9FC4")
DASHES = ("dot", "solid", "dash", "dashdot", "longdash", "longdashdot")
SVG_DASHES = ("2 3", "", "7 4", "7 3 2 3", "11 4", "11 3 2 3")
MARKERS = ("circle", "circle", "diamond", "square", "triangle-up", "x")
RUN_MARKERS = ("circle", "diamond", "square", "triangle-up", "x", "triangle-down")
"""Where runs are compared, the marker tells the run and the colour the arm."""
MOST_OVERLAID, MOST_LISTED = 3, 5
"""Treatments drawn over each other, and with a row each (guide, section 4.2)."""


class RunTables(Protocol):
    """What the report needs of an open run."""

    @property
    def manifest(self) -> dict[str, Any]:
        """The run's manifest."""
        ...

    @property
    def scenario(self) -> dict[str, Any]:
        """The resolved scenario as plain data."""
        ...

    def query(self, sql: str) -> Any:
        """Result of ``sql`` with every table as a view, as a `pyarrow.Table`."""
        ...

    def digest(self) -> str:
        """Hash of the run's content."""
        ...


@dataclass(frozen=True)
class Window:
    """A tariff period whose price differs from the rest of the day; spans in hours of the local clock, start < end."""

    name: str
    multiplier: float
    spans: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Arm:
    """One arm with the colour, dash and marker it keeps in every figure."""

    name: str
    """As tables write it; with a sweep the swept values follow the arm's own name."""
    label: str
    index: int
    """Position of the arm in the scenario; every sweep point repeats it."""
    base: str
    """The arm's own name."""
    sweep: str
    """Swept values as table `cases` writes them."""
    run: int | None = None
    """Position of the run where several are compared."""

    @property
    def clean_base(self) -> str:
        """The arm's own name, harmless to read."""
        return clean(self.base, 40)

    @property
    def is_reference(self) -> bool:
        """Is this the first arm, against which the others are compared?"""
        return self.index == 0

    @property
    def sql(self) -> str:
        """The name as a SQL literal."""
        return literal(self.name)

    @property
    def style(self) -> int:
        """Position in the palettes; arms beyond them repeat the treatments' styles."""
        return self.index if self.index < len(COLOURS) else 1 + (self.index - 1) % (len(COLOURS) - 1)

    @property
    def colour(self) -> str:
        """Line and marker colour."""
        return COLOURS[self.style]

    @property
    def dash(self) -> str:
        """Dash name of the chart library."""
        return DASHES[self.style]

    @property
    def svg_dash(self) -> str:
        """The same dash as an svg attribute, for keys."""
        return SVG_DASHES[self.style]

    @property
    def marker(self) -> str:
        """Marker name of the chart library."""
        return MARKERS[self.style] if self.run is None else RUN_MARKERS[self.run % len(RUN_MARKERS)]


class Facts:
    """A run as the report's figures and sentences see it."""

    def __init__(self, run: RunTables, catalogue: Catalogue) -> None:
        self.run = run
        self.t = catalogue
        self.manifest = run.manifest
        self.scenario = run.scenario
        if not self.rows("select 1 as found from system limit 1"):
            fix = "continue the run with --resume, then report it"
            raise RunFolderError([Problem("tables/system", "", "holds no simulated day yet", fix)])

    @cached_property
    def digest(self) -> str:
        """Content hash of the run: the manifest's, else computed from the tables."""
        stated = self.manifest.get("digest")
        if isinstance(stated, Mapping):
            stated = stated.get("run")
        return str(stated or self.run.digest())

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Result of a query as dictionaries. Only summaries: never a row per consumer."""
        return self.run.query(sql).to_pylist()

    def columns(self, sql: str) -> dict[str, NDArray[Any]]:
        """Result of a query as arrays by column, for tables of more than a few hundred rows."""
        table = self.run.query(sql)
        return {name: table.column(name).to_numpy() for name in table.column_names}

    @cached_property
    def cases(self) -> list[dict[str, Any]]:
        """Rows of table ``cases`` in order of case, but those of a pilot's own world: its arms are others."""
        rows = self.rows('select "case", arm, replicate, sweep, parameters from cases order by "case"')
        pilot = (self.scenario.get("experiment") or {}).get("design") == PILOT
        return [row for row in rows if not (pilot and row["arm"] == PILOT)]

    @cached_property
    def arms(self) -> list[Arm]:
        """Arms in the scenario's order, sweep point by sweep point; the first is the reference."""
        bases = list(dict.fromkeys(row["arm"] for row in self.cases))
        pairs = dict.fromkeys((row["sweep"], row["arm"]) for row in self.cases)
        arms = []
        for sweep, base in pairs:
            label = clean(base, 40)
            if base != bases[0] and (values := _swept_values(sweep)):
                label = self.t.text("arm.swept", arm=label, values=clean(values, 30))
            arms.append(Arm(self.arm_name(base, sweep), label, bases.index(base), base, sweep))
        return arms

    def arm_name(self, arm: str, sweep: str) -> str:
        """An arm as tables name it: with a sweep the swept values follow its name."""
        return arm if len({row["sweep"] for row in self.cases}) == 1 else f"{arm} {sweep}"

    @property
    def reference(self) -> Arm:
        """The first arm."""
        return self.arms[0]

    @property
    def treatments(self) -> list[Arm]:
        """All arms but the first, at every sweep point."""
        return [arm for arm in self.arms if not arm.is_reference]

    def reference_of(self, arm: Arm) -> Arm:
        """The first arm at the same sweep point."""
        return next(other for other in self.arms if other.is_reference and other.sweep == arm.sweep)

    @property
    def overlaid(self) -> list[Arm]:
        """Treatments that share one chart: those of the first sweep point."""
        return [arm for arm in self.treatments if arm.sweep == self.reference.sweep][:MOST_OVERLAID]

    @property
    def listed(self) -> list[Arm]:
        """Treatments that get a row each: all if they are few, else those that share charts."""
        return self.treatments if len(self.treatments) <= MOST_LISTED else self.overlaid

    def arm(self, name: str) -> Arm:
        """The arm of this name."""
        return next(arm for arm in self.arms if arm.name == name)

    @cached_property
    def replicates(self) -> int:
        """Replicates per arm."""
        return len({row["replicate"] for row in self.cases})

    @cached_property
    def first_day(self) -> date:
        """First simulated day."""
        return self.rows("select min(interval_start)::date as day from system")[0]["day"]

    @cached_property
    def days(self) -> int:
        """Simulated days."""
        return self.rows("select count(distinct interval_start::date) as days from system")[0]["days"]

    @cached_property
    def step_hours(self) -> float:
        """Length of a step. [h]"""
        per_day = self.rows("select count(distinct interval_start::time) as steps from system")[0]["steps"]
        return 24.0 / per_day

    @cached_property
    def effects(self) -> list[Effect]:
        """All effects of the run."""
        return read_effects(self.rows("select * from effects"))

    def effect(self, outcome: str, arm: str, area: str = "state", group: str = "all") -> Effect | None:
        """One effect, or None if the run has no such row."""
        wanted = (outcome, arm, area, group)
        return next((e for e in self.effects if (e.outcome, e.arm, e.area, e.group) == wanted), None)

    def areas(self, outcome: str) -> list[str]:
        """Areas that have this outcome: the state, districts by name, then the worst DT."""
        areas = {effect.area for effect in self.effects if effect.outcome == outcome and effect.group == "all"}
        return sorted(areas, key=lambda area: (area != "state", area.startswith("dt:"), area))

    def area_name(self, area: str) -> str:
        """The reader's name of an area of table ``effects``."""
        kind, _, name = area.partition(":")
        grid = _section(self.scenario, "grid")
        if kind == "state" and (own := grid.get("simbench") or grid.get("network")):
            return clean(PurePath(str(own)).stem)
        if kind == "state":
            return clean(str(grid.get("state", "bihar")).title())
        return self.t.text("area.worst_dt") if kind == "dt" else clean(name)

    @cached_property
    def resolved_districts(self) -> list[str]:
        """Districts simulated consumer by consumer, as the scenario asks."""
        return sorted(_section(_section(self.scenario, "grid"), "resolve").get("districts") or [])

    @property
    def resolves_all(self) -> bool:
        """Is every feeder of the state, or of a network of the user's, simulated?"""
        grid = _section(self.scenario, "grid")
        return grid.get("resolve") == "all" or "network" in grid or "simbench" in grid

    def arm_settings(self, arm: Arm) -> Mapping[str, Any]:
        """What the scenario sets under the arm's own name."""
        return _section(_section(_section(self.scenario, "experiment"), "arms"), arm.base)

    @cached_property
    def windows(self) -> list[Window]:
        """Periods of the first treatment whose multiplier the scenario states and that table `prices` places."""
        for arm in self.treatments:
            settings = _section(_section(self.arm_settings(arm), "tariff"), "time_of_day")
            placed: dict[str, list[tuple[float, float]]] = {}
            sql = f'select distinct period, "start", "end" from prices where arm = {arm.sql} order by all'
            for row in self.rows(sql):
                placed.setdefault(row["period"], []).extend(clock_spans(row["start"], row["end"]))
            windows = [
                Window(name, float(_section(settings, name)["multiplier"]), tuple(placed[name]))
                for name in placed
                if _section(settings, name).get("multiplier") not in (None, 1, 1.0)
            ]
            if windows:
                return windows
        return []

    @cached_property
    def category_order(self) -> dict[str, int]:
        """Order of billing categories."""
        return {category.category: position for position, category in enumerate(datapack.categories())}

    @cached_property
    def industry(self) -> frozenset[str]:
        """Billing categories of industry, whose amounts need a scale of their own."""
        return frozenset(c.category for c in datapack.categories() if c.smart_share_group == "industrial")

    def category_name(self, category: str) -> str:
        """The reader's name of a billing category."""
        key = f"category.long.{category}"
        return self.t.text(key) if self.t.has(key) else clean(category.replace("_", " "))

    def category_short(self, category: str) -> str:
        """A name of at most 18 characters, for chart rows."""
        key = f"category.{category}"
        return self.t.text(key) if self.t.has(key) else clean(category.replace("_", " "), 18)

    def by_category(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Sort key of rows with ``category`` and ``income_class``."""
        return (self.category_order.get(row["category"], len(self.category_order)), row.get("income_class") or 0)

    def counted(self, noun: str, n: int) -> str:
        """``one day``, ``5 draws``: a count with its noun in the form the number asks for."""
        return self.t.text(f"count.{noun}.one" if n == 1 else f"count.{noun}.many", n=n)

    def parameter_name(self, path: str) -> str:
        """The reader's name of a swept setting: the catalogue's, else its path without the common stem."""
        last = path.removeprefix("experiment.parameters.")
        key = f"parameter.{last}"
        if self.t.has(key):
            return self.t.text(key)
        return self.t.text("parameter.path", path=clean(last.replace("_", " ").replace(".", ", "), 60))

    @cached_property
    def assumed(self) -> list[Mapping[str, Any]]:
        """Numbers the run rests on, as listed in the manifest."""
        return list(self.manifest.get("assumed") or [])

    def assumed_id(self, name: str) -> str:
        """Page anchor of an assumed number, or of the whole list if it is not in it."""
        for position, entry in enumerate(self.assumed, start=1):
            if entry["name"] in (name, name.rpartition(".")[2]) or name.endswith(f".{entry['name']}"):
                return f"assumed-{position}"
        return "data-quality"


def exact_sum(expression: str) -> str:
    """SQL of a sum that gives the same bits in any order of rows: millionths, added as whole numbers."""
    return f"(sum(round(({expression}) * 1e6)::hugeint) / 1e6)"


def _swept_values(sweep: str) -> str:
    """The values of a sweep point in short, without their paths."""
    values = json.loads(sweep or "{}").values()
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def literal(text: str) -> str:
    """Text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def clock_spans(start: str, end: str) -> list[tuple[float, float]]:
    """Hours of a period from ``HH:MM`` to ``HH:MM``; one that passes midnight becomes two."""
    first, last = (int(text[:2]) + int(text[3:5]) / 60 for text in (start, end))
    if first < last:
        return [(first, last)]
    return [span for span in ((first, 24.0), (0.0, last)) if span[0] < span[1]]


def _section(settings: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = settings.get(key)
    return value if isinstance(value, Mapping) else {}


def day_words(facts: Facts, day: Any) -> str:
    """``8 June 2026``."""
    return facts.t.text("day.words", day=day.day, month=facts.t.text(f"month.{day.month}"), year=day.year)
