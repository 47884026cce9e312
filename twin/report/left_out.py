"""Sentences on what a run does not hold because its scenario's ``output.tables`` leaves tables out."""

from __future__ import annotations

from twin.analysis.left_out import left_out
from twin.report.facts import Facts


def left_out_lines(facts: Facts, *names: str) -> list[str]:
    """A sentence for each of the named parts of the results (`twin.analysis.left_out.PARTS`) that is left out."""
    return [
        facts.t.text(f"left_out.{part.name}", tables=", ".join(part.tables))
        for part in left_out(facts.scenario)
        if part.name in names
    ]
