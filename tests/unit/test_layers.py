"""Imports point one way, and one file knows Ray."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import twin

ROOT = Path(twin.__file__).parent
BASE = {"errors", "units", "streams", "datapack", "calibrated", "kernels", "kernel_cache", "hours", "middle"}
MODELS = {"powerflow", "demand", "meters", "economics", "outages"}
TABLES = {"results", "analysis", "report"}

MAY_IMPORT = {
    **dict.fromkeys(MODELS, BASE),
    "grid": BASE | {"powerflow", "timeseries"},  # array layouts; the reader of any pandapower network
    "scenario": BASE | {"grid", "economics", "demand"},  # districts; tariffs and zones of arms; files of profiles
    "timeseries": BASE | {"powerflow"},  # any pandapower network, on the same kernels
    "results": BASE,
    "analysis": BASE | {"results"},
    "report": BASE | {"results", "analysis"},
    "simulation": BASE | MODELS | {"grid", "scenario", "results", "timeseries"},
    "cluster": BASE | {"simulation"},
    "verification": BASE
    | MODELS
    | {"grid", "scenario", "simulation", "timeseries"},  # at the edge: runs the real parts
}
EDGE = {"__init__", "__main__", "bench", "cli", "runner", "progress", "grid_report", "loading", "recovery", "stopping"}
EDGE |= {"timeline", "consumer_bill", "pilot_size"}
EDGE |= {"meter_story", "meter_story_print", "meter_story_figure", "meter_spans"}
EDGE |= {"optimize", "optimize_space", "optimize_page"}
EDGE |= {"calibrate", "calibration_model", "calibration_fit"}
"""Modules at the top of the tree that join the packages; no package may import them."""
FILES_AND_FRAMES = {"pandas", "pandapower", "networkx", "pyarrow", "duckdb", "yaml", "csv", "ray", "pydantic"}


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "twin":
                yield from (f"twin.{alias.name}" for alias in node.names)
            elif node.module:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def packages() -> list[str]:
    return sorted(path.name for path in ROOT.iterdir() if (path / "__init__.py").exists())


@pytest.mark.parametrize("package", packages())
def test_imports_point_one_way(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package, "__version__"}
    for path in (ROOT / package).rglob("*.py"):
        for name in imported_names(path):
            top, _, rest = name.partition(".")
            if top == "twin" and rest:
                assert rest.partition(".")[0] in allowed, f"{path.relative_to(ROOT)} must not import {name}"


def test_base_modules_know_only_each_other() -> None:
    for module in BASE:
        for name in imported_names(ROOT / f"{module}.py"):
            top, _, rest = name.partition(".")
            assert top != "twin" or rest.partition(".")[0] in BASE, f"{module} must not import {name}"


def test_every_top_module_is_a_base_or_an_edge() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} <= BASE | EDGE


def test_only_one_file_knows_ray() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if any(name.partition(".")[0] == "ray" for name in imported_names(path))
    }
    assert users <= {"cluster/ray_backend.py"}


@pytest.mark.parametrize("package", sorted(MODELS - {"economics", "demand"}))
def test_models_of_the_network_and_meters_know_arrays_only(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        if path.name in ("datasheets.py", "datasheet_sections.py"):  # the one reader of data files, and what it reads
            continue
        for name in imported_names(path):
            assert name.partition(".")[0] not in FILES_AND_FRAMES, f"{path.relative_to(ROOT)} imports {name}"
