"""The kernel cache is keyed by all that a kernel is made of, and the instruction set is the fixed one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numba

from twin import kernel_cache, kernels


def copy_into(folder: Path) -> ModuleType:
    """The module as if it lived in another package."""
    (folder / "kernels.py").write_bytes(Path(kernels.__file__).read_bytes())
    spec = importlib.util.spec_from_file_location("copied_kernels", folder / "kernels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_constants_beside_a_kernel_count_and_other_folders_do_not(tmp_path: Path) -> None:
    for name, text in (("flow/kernel.py", "import numba"), ("flow/width.py", "W = 8"), ("pages/page.py", "A = 1")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    module = copy_into(tmp_path)
    before = module.source_hash()
    (tmp_path / "pages/page.py").write_text("A = 2")
    assert module.source_hash() == before
    (tmp_path / "flow/width.py").write_text("W = 4")
    assert module.source_hash() != before


def test_a_kernel_is_stale_when_anything_it_imports_has_changed(tmp_path: Path) -> None:
    root = tmp_path / "twin"
    sources = {
        "__init__.py": "A = 1",
        "flow/__init__.py": "",
        "flow/kernel.py": "from twin.flow import lanes as wide, width\nfrom twin.flow.width import (\n    W,\n)",
        "flow/lanes.py": "import twin.units",
        "flow/width.py": "W = 8",
        "units.py": "KW = 1",
        "pages.py": "from twin.flow import kernel",
    }

    def stamp_after(name: str, text: str) -> str:
        for file, source in {**sources, name: text}.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text(source)
        kernel_cache.sources_hash.cache_clear()
        kernel_cache._imports.cache_clear()
        return kernel_cache.sources_hash(root / "flow/kernel.py", root)

    before = stamp_after("units.py", sources["units.py"])
    assert stamp_after("pages.py", "B = 2") == before
    assert stamp_after("__init__.py", "A = 2") == before
    for name in ("flow/kernel.py", "flow/lanes.py", "flow/width.py", "units.py"):
        assert stamp_after(name, sources[name] + "\nMORE = 1") != before, name


def test_kernels_of_the_package_are_cached_by_all_their_sources() -> None:
    from twin.demand.draw import draw_tile

    locator = draw_tile._cache._impl.locator
    assert isinstance(locator, kernel_cache.SourcesLocator)
    needed = kernel_cache._needed(Path(locator._py_file), kernel_cache.ROOT)
    assert {"draw.py", "streams.py", "weather.py"} <= {file.name for file in needed}


def test_the_clock_of_compilation_counts_a_kernel_once_and_a_loaded_one_never(tmp_path: Path) -> None:
    """A process compiles a kernel that calls another; a second process finds both in the cache."""
    source = "import numba, time\nimport twin.streams\nfrom twin.kernels import compile_seconds\n"
    source += "@numba.njit(cache=True)\ndef inner(x):\n    return x + 1.0\n"
    source += "@numba.njit(cache=True)\ndef outer(x):\n    return inner(x) * 2.0\n"
    source += "before, began = compile_seconds(), time.perf_counter()\nouter(1.0)\n"
    source += "print(compile_seconds() - before, time.perf_counter() - began)\n"
    (tmp_path / "once.py").write_text(source)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, str(tmp_path / "once.py")]
    seconds = []
    for _ in range(2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        seconds.append(tuple(map(float, done.stdout.split())))
    (first, first_wall), (second, _) = seconds
    assert 0.01 < first <= first_wall
    assert second == 0.0


def test_numba_compiles_for_the_instruction_set_of_the_manifest() -> None:
    """Also where numba was imported first, as pandapower does."""
    assert (numba.config.CPU_NAME or "host") == kernels.instruction_set()
