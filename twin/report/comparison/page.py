"""The compare page: two or more runs side by side, as one self-contained file. Same runs, same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from twin.analysis.ledger import ledger_rows
from twin.report import numbers
from twin.report.catalogue import DESCRIPTION_LIMIT, Catalogue, clean
from twin.report.comparison import curves, effects, homes, meters, tables, words
from twin.report.comparison.differences import effect_differences, level_differences
from twin.report.comparison.members import Judgement, Member, differing_settings, judge, open_members
from twin.report.document import Section, render_page, write_page
from twin.report.facts import RunTables, day_words
from twin.report.figures import base
from twin.report.front import banners, ledger_verdict
from twin.report.quality import marks, rests_on

RESTS = {"1": "1", "2": "1", "3": "2", "4": "6", "5": "2", "6": "4", "7": "14"}
"""Figures of this page, and the report's figure that rests on the same assumed numbers."""


def write_comparison(runs: Sequence[tuple[str, RunTables]], out: Path, language: str = "en") -> Path:
    """Write the compare page of two or more runs to ``out`` and return its path.

    Parameters
    ----------
    runs : sequence of (str, RunTables)
        Path as the user gave it, and the open run; the others are set against the first.
    out : Path
        File to write; its folder must exist (else an InputError).
    language : str
        Language of the catalogue.

    Raises
    ------
    RunFolderError
        If the runs cannot be compared at all (see `twin.report.comparison.members.open_members`).
    """
    return write_page(render(runs, language), Path(out))


def render(runs: Sequence[tuple[str, RunTables]], language: str = "en") -> str:
    """The page's HTML."""
    catalogue = Catalogue(language)
    with numbers.spoken(catalogue):
        return _render(open_members(runs, catalogue), catalogue)


def _render(members: Sequence[Member], t: Catalogue) -> str:
    judgements = [judge(members[0], member) for member in members[1:]]
    found = effect_differences(members, judgements)
    levels = level_differences(members, judgements)
    parts = [
        Section("effects", t.text("section.glance"), _present([effects.effects(members)])),
        Section(
            "differences",
            t.text("compare.section.differences"),
            _present(
                [
                    tables.differences(members, "2", "compare.fig2", found, signed=True),
                    tables.differences(members, "3", "compare.fig3", levels, signed=False),
                ]
            ),
        ),
        Section("money", t.text("section.money"), _present([effects.money(members)])),
        Section("load", t.text("section.load"), _present([curves.curves(members)])),
        Section("gains", t.text("section.gains"), _present([homes.homes(members)])),
        Section("meters", t.text("section.meters"), _present([meters.outcomes(members, "7")])),
        Section("calibration", t.text("section.calibration"), _present([tables.calibration(members, "8")])),
        Section("ledger", t.text("section.ledger"), [tables.ledger(members, "9")]),
    ]
    figures = [figure for part in parts for figure in part.figures]
    return render_page(
        "compare.html.j2",
        t,
        figures,
        "compare",
        title=t.text("compare.title", n=len(members)),
        banners=_banners(members),
        members=[_row(member) for member in members],
        verdicts=_verdicts(members, judgements),
        answer=words.lead_sentences(members, judgements, [*found, *levels]),
        labels=[member.label for member in members],
        settings=differing_settings(members),
        sections=[part for part in parts if part.figures],
        rests={figure.id: marks(members[0].facts, _rests(figure)) for figure in figures},
        assumed=_assumed(members),
        same_assumed=sum(len(member.facts.assumed) for member in members[:1]),
    )


def _present(figures: Sequence[base.Figure | None]) -> list[base.Figure]:
    return [figure for figure in figures if figure is not None]


def _rests(figure: base.Figure) -> tuple[str, ...]:
    return rests_on(RESTS[figure.number]) if figure.number in RESTS else ()


def _verdicts(members: Sequence[Member], judgements: Sequence[Judgement]) -> list[Markup]:
    others = zip(members[1:], judgements, strict=True)
    return [words.verdict_sentence(members[0], member, judgement) for member, judgement in others]


def _banners(members: Sequence[Member]) -> list[str]:
    """Warnings of every run, with its label."""
    return [f"{member.label}: {line}" for member in members for line in banners(member.facts)]


def _row(member: Member) -> dict[str, Any]:
    """A run's line in the table of runs."""
    facts, t = member.facts, member.facts.t
    return {
        "label": member.label,
        "name": member.name,
        "question": clean(str(facts.scenario.get("description") or ""), DESCRIPTION_LIMIT),
        "period": t.text(
            "period.value.one" if facts.days == 1 else "period.value.many",
            day=day_words(facts, facts.first_day),
            days=facts.days,
            minutes=round(facts.step_hours * 60),
        ),
        "draws": numbers.number(facts.replicates),
        "seed": clean(str(facts.scenario.get("seed", ""))),
        "version": member.version,
        "ledger": ledger_verdict(facts) if ledger_rows(facts.manifest) else t.text("tile.ledger.none"),
        "digest": facts.digest[:12],
        "path": clean(member.path, 120),
    }


def _assumed(members: Sequence[Member]) -> list[tuple[str, list[str]]]:
    """Assumed numbers that are not equal in all runs: name, and the value in each."""
    by_run = [{str(e["name"]): str(e.get("value")) for e in member.facts.assumed} for member in members]
    missing = members[0].facts.t.text("compare.unset")
    return [
        (clean(name, 120), [clean(own.get(name, missing), 60) for own in by_run])
        for name in dict.fromkeys(name for own in by_run for name in own)
        if len({own.get(name) for own in by_run}) > 1
    ]
