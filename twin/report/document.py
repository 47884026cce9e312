"""A page as a file: one self-contained HTML document whose policy lets nothing in or out. Same input, same bytes."""

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

from twin.errors import InputError, Problem
from twin.report import csvs
from twin.report.catalogue import Catalogue
from twin.report.facts import Arm
from twin.report.figures import base

WORDS = ("caption", "note", "sample")
"""Fields of a chart that stand in the page itself."""


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


def write_page(text: str, out: Path) -> Path:
    """Write a page to ``out`` and return it.

    Raises
    ------
    InputError
        If the folder does not exist or ``out`` is a folder.
    """
    if not out.parent.is_dir():
        raise InputError([Problem(str(out), "", "cannot be written: its folder does not exist", "make the folder")])
    if out.is_dir():
        raise InputError([Problem(str(out), "", "cannot be written: it is a folder", "give the name of a file")])
    out.write_text(text, encoding="utf-8", newline="\n")
    return out


def render_page(
    template: str, catalogue: Catalogue, figures: Sequence[base.Figure], run_name: str, **values: Any
) -> str:
    """HTML of a template with everything every page needs: policy, library, loader, style, charts and downloads.

    ``run_name`` begins the names of the CSV files.
    """
    library, loader = plotly.offline.get_plotlyjs(), _own_file("loader.js")
    return (
        _environment()
        .get_template(template)
        .render(
            language=catalogue.language,
            t=catalogue.html,
            csp=content_policy(library, loader),
            library=Markup(library),
            loader=Markup(loader),
            style=Markup(_own_file("style.css")),
            charts={chart_id(figure, i): drawn(c) for figure in figures for i, c in enumerate(figure.charts)},
            chart_id=chart_id,
            arm_sample=arm_sample,
            downloads={figure.id: download(run_name, figure) for figure in figures if figure.csv_header},
            **values,
        )
    )


def arm_sample(arm: Arm) -> Markup:
    """An arm's line and marker, for keys outside charts."""
    return base.line_sample(arm.colour, arm.svg_dash) + base.dot_sample(arm.colour, arm.marker)


def chart_id(figure: base.Figure, position: int) -> str:
    """Fixed id of a chart's place in the page."""
    return f"{figure.id}-chart{position + 1}"


def drawn(chart: base.Chart) -> dict[str, Any]:
    """What the loader needs of a chart; its words stand in the page itself."""
    return {name: value for name, value in asdict(chart).items() if name not in WORDS}


def download(run_name: str, figure: base.Figure) -> Download:
    """The figure's data as a file, or the name of its table when the file would be too large."""
    content = csvs.csv_bytes(figure.csv_header, figure.csv_rows)
    tame = "".join(c if c.isalnum() or c in "-_" else "-" for c in run_name)[:64]
    size_kb = max(round(len(content) / 1000), 1)
    if len(content) > csvs.LARGEST_BYTES:
        return Download("", "", size_kb, figure.csv_table or "system")
    return Download(f"{tame}_{figure.id}_synthetic.csv", csvs.data_uri(content), size_kb, "")


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


def plain_yaml(content: Any) -> str:
    """YAML of plain data, every value written out where it stands."""
    return yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
