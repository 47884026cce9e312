"""The report: one self-contained page, written from the tables of a run. Same run, same bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twin.analysis.design import is_own_network
from twin.report import front, numbers
from twin.report.answer import answer
from twin.report.catalogue import Catalogue, clean
from twin.report.document import Section, plain_yaml, render_page, write_page
from twin.report.facts import Facts, RunTables
from twin.report.figures import (
    atc,
    base,
    calibration,
    compared,
    gains_share,
    gains_size,
    gap,
    glance,
    ledger,
    load,
    losses,
    matrix,
    meter_events,
    meter_limits,
    meter_losses,
    meter_power,
    meter_service,
    money,
    payments,
    pilot,
    prices,
    sensitivity,
    stations,
    stress,
    supply,
    sweep,
    utility,
    wallets,
)
from twin.report.left_out import left_out_lines
from twin.report.quality import MOST_PRINTED, assumed_groups, bare_mark, conventions, marks, rests_on, synthetic_parts

OWN_NETWORK = "own"
"""Variant of texts that speak of a network of the user's instead of the state's."""
METERS = (meter_service, meter_events, meter_losses, wallets, meter_power, meter_limits)
"""Figures of the section on meters, in order."""


def write_report(run: RunTables, out: Path, language: str = "en") -> Path:
    """Write the report of a run to ``out`` and return its path.

    Parameters
    ----------
    run : RunTables
        An open run (`twin.results.reader.open_run`).
    out : Path
        File to write; its folder must exist (else an InputError).
    language : str
        Language of the catalogue.

    Raises
    ------
    RunFolderError
        If no day was simulated yet, or a row of table ``effects`` has an interval without a kind of uncertainty.
    """
    return write_page(render(run, language), Path(out))


def render(run: RunTables, language: str = "en") -> str:
    """The report's HTML."""
    catalogue = Catalogue(language, OWN_NETWORK if is_own_network(run.scenario) else "")
    with numbers.spoken(catalogue):
        return _render(Facts(run, catalogue))


def _render(facts: Facts) -> str:
    parts = sections(facts)
    book = ledger.build(facts)
    figures = [*(figure for part in parts for figure in part.figures), book]
    page_one = front.front_page(facts)
    return render_page(
        "page.html.j2",
        facts.t,
        figures,
        str(facts.scenario.get("name", "run")),
        front=page_one,
        tile_marks=[bare_mark(facts, tile.rests) for tile in page_one.tiles],
        rests={figure.id: marks(facts, _rests(facts, figure)) for figure in figures},
        answer=answer(facts),
        sections=parts,
        ledger=book,
        failures=ledger.failed_solves(facts),
        bands=stress.band_table(facts),
        assumed=assumed_groups(facts),
        conventions=conventions(facts),
        most_printed=MOST_PRINTED,
        synthetic=synthetic_parts(facts),
        reproduction=reproduction(facts),
        glossary=glossary(facts),
    )


def sections(facts: Facts) -> list[Section]:
    """All parts that hold figures, in page order; a part without any is left out."""
    t = facts.t
    parts = [
        Section(
            "glance",
            t.text("section.glance"),
            _present([glance.build(facts), sweep.build(facts), matrix.build(facts), pilot.build(facts)]),
        ),
        Section("load", t.text("section.load"), load.build(facts)),
        Section("price", t.text("section.price"), _present([prices.build(facts)])),
        Section(
            "gains",
            t.text("section.gains"),
            [*_present([gains_share.build(facts)]), *gains_size.build(facts)],
            left_out_lines(facts, "bills"),
        ),
        Section(
            "money",
            t.text("section.money"),
            _present([money.build(facts), gap.build(facts), compared.build(facts), payments.build(facts)]),
            left_out_lines(facts, "gap"),
        ),
        Section("map", t.text("section.map"), _present([stations.build(facts)])),
        Section(
            "stress",
            t.text("section.stress"),
            _present([stress.build(facts)]),
            left_out_lines(facts, "transformers", "feeders"),
        ),
        Section("supply", t.text("section.supply"), _present([supply.build(facts)])),
        Section(
            "losses",
            t.text("section.losses"),
            [*_present([losses.build(facts)]), *atc.build(facts), *_present([utility.build(facts)])],
            left_out_lines(facts, "atc", "utility"),
        ),
        Section(
            "meters",
            t.text("section.meters"),
            _present([part.build(facts) for part in METERS]),
            left_out_lines(facts, "meter_reads", "meter_losses"),
        ),
        Section("sensitivity", t.text("section.sensitivity"), _present([sensitivity.build(facts)])),
        Section("calibration", t.text("section.calibration"), _present([calibration.build(facts)])),
    ]
    return [part for part in parts if part.figures or part.lines]


def _present(figures: Sequence[base.Figure | None]) -> list[base.Figure]:
    return [figure for figure in figures if figure is not None]


def _rests(facts: Facts, figure: base.Figure) -> tuple[str, ...]:
    """Groups of assumed numbers under a figure; with one arm nothing responds to anything."""
    groups = rests_on(digits(figure.number))
    return groups if facts.treatments else tuple(group for group in groups if group != "response")


def digits(number: str) -> str:
    """The number of a figure without the letter of its part."""
    return "".join(character for character in number if character.isdigit())


def reproduction(facts: Facts) -> dict[str, Any]:
    """What a stranger needs to get the same run: command, versions, seed, digest, resolved scenario."""
    manifest = facts.manifest
    versions = manifest.get("versions") or {}
    resolved = plain_yaml(dict(facts.scenario))
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
