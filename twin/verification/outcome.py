"""Running cases, and what came out: compared, failed, or not run for want of a package."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from pandapower import LoadflowNotConverged

from twin.errors import TwinError
from twin.verification.case import Case, Row

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
PROGRAMS = ("pandapower", "lightsim2grid", "power-grid-model", "opendssdirect.py", "simbench", "numpy", "numba")


@dataclass(frozen=True)
class Outcome:
    """One case after its turn."""

    case: Case
    rows: tuple[Row, ...]
    missing: tuple[str, ...]
    """Packages without which it was not run."""
    error: str
    """Why it gave no rows, if one of the solutions failed."""
    seconds: float

    @property
    def status(self) -> str:
        """`PASSED` only if there are rows and all of them pass."""
        if self.missing:
            return NOT_RUN
        return PASSED if self.rows and not self.error and all(row.passed for row in self.rows) else FAILED


def run_cases(cases: Sequence[Case], tell: Callable[[int, int, Outcome], None] | None = None) -> list[Outcome]:
    """Run cases one after another; ``tell`` hears of each: how many are done, of how many, and the outcome."""
    outcomes = []
    for case in cases:
        outcomes.append(run_case(case))
        if tell is not None:
            tell(len(outcomes), len(cases), outcomes[-1])
    return outcomes


def run_case(case: Case) -> Outcome:
    """Run one case. A solution that is not found is a failed case; whatever else goes wrong is a defect of ours."""
    began, missing = time.perf_counter(), case.missing()
    rows: tuple[Row, ...] = ()
    error = ""
    if not missing:
        try:
            rows = tuple(case.run())
        except (TwinError, ArithmeticError, LoadflowNotConverged) as problem:
            error = f"{type(problem).__name__}: {problem}"
    return Outcome(case, rows, missing, error, time.perf_counter() - began)


def all_passed(outcomes: Sequence[Outcome]) -> bool:
    """True if something was compared and nothing failed."""
    return any(one.status == PASSED for one in outcomes) and all(one.status != FAILED for one in outcomes)


def versions() -> dict[str, str]:
    """Versions of the programs that are compared with, as far as they are installed."""
    found = {}
    for name in PROGRAMS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
