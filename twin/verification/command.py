"""``twin verify``: run, tell, print, and say how it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console

from twin.errors import InputError, Problem
from twin.verification.outcome import NOT_RUN, Outcome, all_passed, run_cases
from twin.verification.registry import chosen_cases
from twin.verification.show import STYLE, as_json, print_outcomes


def verify_cases(names: Sequence[str], out: Console, err: Console, *, json_wanted: bool) -> int:
    """Run the named cases (all without names); 0 if all that were run pass, else 1.

    Raises
    ------
    InputError
        For an unknown name, or if no case can be run with what is installed.
    """

    def tell(done: int, total: int, one: Outcome) -> None:
        line = f"[{done}/{total}] {one.case.name}: {one.status}, {one.seconds:.1f} s"
        err.print(line, style=STYLE[one.status], highlight=False, markup=False)

    outcomes = run_cases(chosen_cases(names), tell)
    if json_wanted:
        out.print_json(json.dumps(as_json(outcomes), allow_nan=False))
    else:
        print_outcomes(outcomes, out)
    if all(one.status == NOT_RUN for one in outcomes):
        needed = sorted({package for one in outcomes for package in one.missing})
        raise InputError([Problem("--case", "", f"needs {', '.join(needed)}", "pip install 'gridtwin[test]'")])
    return 0 if all_passed(outcomes) else 1
