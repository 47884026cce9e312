"""The report: one self-contained page, written from the tables of a run. Same run, same bytes."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline
import yaml
from markupsafe import Markup

from twin.report import csvs, front, numbers
from twin.report.answer import answer
from twin.report.catalogue import Catalogue, clean
from twin.report.facts import Arm, Facts, RunTables
from twin.report.figures import (
    base,
    calibration,
    gains_share,
    gains_size,
    glance,
    ledger,
    load,
    losses,
    money,
    prices,
    sensitivity,
    stations,
    stress,
    sweep,
)
from twin.report.quality import assumed_groups, bare_mark, conventions, marks, rests_on, synthetic_parts


@dataclass(frozen=True)
class Section:
    """One part of the page: an h2 and its figures."""

    id: str
    heading: str
    figures: Sequence[base.Figure]
    lines: Sequence[str | Markup] = ()


@dataclass(frozen=True)
class Download:
    """The CSV file of a figure as a link, or the table that holds the data when it is too large for one."""

    name: str
    uri: str
    size_kb: int
    table: str


WORDS = ("caption", "note", "sample")
"""Fields of a chart that stand in the page itself."""


def write_report(run: RunTables, out: Path, language: str = "en") -> Path:
    """Write the report of a run to ``out`` and return its path.

    Parameters
    ----------
    run : RunTables
        An open run (`twin.results.reader.open_run`).
    out : Path
        File to write; its folder must exist.
    language : str
        Language of the catalogue.

    Raises
    ------
    RunFolderError
        If no day was simulated yet, or a row of table ``effects`` has an interval without a kind of uncertainty.
    """
    out = Path(out)
    out.write_text(render(run, language), encoding="utf-8", newline="\n")
    return out


def render(run: RunTables, language: str = "en") -> str:
    """The report's HTML."""
    catalogue = Catalogue(language)
    with numbers.spoken(catalogue):
        return _render(Facts(run, catalogue), language)


def _render(facts: Facts, language: str) -> str:
    parts = sections(facts)
    book = ledger.build(facts)
    figures = [*(figure for part in parts for figure in part.figures), book]
    page_one = front.front_page(facts)
    library, loader = plotly.offline.get_plotlyjs(), _own_file("loader.js")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            language=language,
            t=facts.t.html,
            csp=content_policy(library, loader),
            library=Markup(library),
            loader=Markup(loader),
            style=Markup(_own_file("style.css")),
            charts={chart_id(figure, i): drawn(c) for figure in figures for i, c in enumerate(figure.charts)},
            chart_id=chart_id,
            downloads={figure.id: download(facts, figure) for figure in figures if figure.csv_header},
            front=page_one,
            arm_sample=arm_sample,
            tile_marks=[bare_mark(facts, tile.rests) for tile in page_one.tiles],
            rests={figure.id: marks(facts, rests_on(digits(figure.number))) for figure in figures},
            answer=answer(facts),
            sections=parts,
            ledger=book,
            failures=ledger.failed_solves(facts),
            bands=stress.band_table(facts),
            assumed=assumed_groups(facts),
            conventions=conventions(facts),
            synthetic=synthetic_parts(facts),
            reproduction=reproduction(facts),
            glossary=glossary(facts),
            run_name=clean(str(facts.scenario.get("name", "run")), 64),
        )
    )


def sections(facts: Facts) -> list[Section]:
    """All parts that hold figures, in page order; a part without any is left out."""
    t = facts.t
    parts = [
        Section("glance", t.text("section.glance"), _present([glance.build(facts), sweep.build(facts)])),
        Section("load", t.text("section.load"), load.build(facts)),
        Section("price", t.text("section.price"), _present([prices.build(facts)])),
        Section("gains", t.text("section.gains"), [*_present([gains_share.build(facts)]), *gains_size.build(facts)]),
        Section("money", t.text("section.money"), _present([money.build(facts)])),
        Section("map", t.text("section.map"), _present([stations.build(facts)])),
        Section("stress", t.text("section.stress"), _present([stress.build(facts)])),
        Section("losses", t.text("section.losses"), _present([losses.build(facts)])),
        Section("sensitivity", t.text("section.sensitivity"), _present([sensitivity.build(facts)])),
        Section("calibration", t.text("section.calibration"), _present([calibration.build(facts)])),
    ]
    return [part for part in parts if part.figures or part.lines]


def _present(figures: Sequence[base.Figure | None]) -> list[base.Figure]:
    return [figure for figure in figures if figure is not None]


def digits(number: str) -> str:
    """The number of a figure without the letter of its part."""
    return "".join(character for character in number if character.isdigit())


def arm_sample(arm: Arm) -> Markup:
    """An arm's line and marker, for keys outside charts."""
    return base.line_sample(arm.colour, arm.svg_dash) + base.dot_sample(arm.colour, arm.marker)


def chart_id(figure: base.Figure, position: int) -> str:
    """Fixed id of a chart's place in the page."""
    return f"{figure.id}-chart{position + 1}"


def drawn(chart: base.Chart) -> dict[str, Any]:
    """What the loader needs of a chart; its words stand in the page itself."""
    return {name: value for name, value in asdict(chart).items() if name not in WORDS}


def download(facts: Facts, figure: base.Figure) -> Download:
    """The figure's data as a file, or the name of its table when the file would be too large."""
    content = csvs.csv_bytes(figure.csv_header, figure.csv_rows)
    run_name = "".join(c if c.isalnum() or c in "-_" else "-" for c in str(facts.scenario.get("name", "run")))[:64]
    size_kb = max(round(len(content) / 1000), 1)
    if len(content) > csvs.LARGEST_BYTES:
        return Download("", "", size_kb, figure.csv_table or "system")
    return Download(f"{run_name}_{figure.id}_synthetic.csv", csvs.data_uri(content), size_kb, "")


def content_policy(library: str, loader: str) -> str:
    """Policy under which the page runs its two scripts and loads nothing at all."""
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in (library, loader))
    return f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {hashes}"


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _own_file(name: str) -> str:
    return files("twin.report").joinpath(name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("twin.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["block"] = _json_block
    return environment


def _json_block(content: Any) -> Markup:
    """JSON that may stand in a script element: nothing in it can end the element, no NaN, keys sorted."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


class _Plain(yaml.SafeDumper):
    """Writes every value out where it stands: no anchors and aliases to follow."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never point to an earlier value."""
        return True


def reproduction(facts: Facts) -> dict[str, Any]:
    """What a stranger needs to get the same run: command, versions, seed, digest, resolved scenario."""
    manifest = facts.manifest
    versions = manifest.get("versions") or {}
    resolved = yaml.dump(dict(facts.scenario), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
    lines = [clean(line, 2000) for line in resolved.splitlines()]
    encoded = base64.b64encode(resolved.encode("utf-8")).decode("ascii")
    return {
        "command": clean(str(manifest.get("command", "")), 500),
        "seed": clean(str(manifest.get("seed", ""))),
        "instruction_set": clean(str(manifest.get("instruction_set", ""))),
        "digest": facts.digest,
        "versions": [(clean(name), clean(version)) for name, version in sorted(versions.items())],
        "attempts": numbers.number(float(manifest["attempts"])) if "attempts" in manifest else "",
        "scenario": "\n".join(lines),
        "scenario_uri": f"data:application/yaml;charset=utf-8;base64,{encoded}",
    }


def glossary(facts: Facts) -> list[tuple[str, str]]:
    """Terms and what they mean."""
    terms = ("atc", "gss", "pss", "dt", "feeder", "arm", "draw", "sampling", "mu", "lakh", "crore", "pu")
    return [(facts.t.text(f"term.{term}"), facts.t.text(f"term.{term}.meaning")) for term in terms]
