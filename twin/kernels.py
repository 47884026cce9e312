"""Where compiled kernels are cached and for which processor they are compiled. Imported by `twin`, first of all.

Kernels are compiled for one fixed instruction set, so that a result does not depend on the processor's generation; the
set is recorded in the manifest and a worker that differs is refused. numba's cache does not see that a *called*
function in another file changed; `twin.kernel_cache` does.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path
from typing import Any

PORTABLE_CPU = "x86-64-v3"
PORTABLE_FEATURES = (
    "+avx,+avx2,+bmi,+bmi2,+cx16,+f16c,+fma,+lzcnt,+movbe,+popcnt,+sahf,+sse3,+sse4.1,+sse4.2,+ssse3,+xsave"
)


def source_hash() -> str:
    """Hash of every source in a folder that holds compiled kernels: driver and workers must have the same.

    Their neighbours count too: constants that a kernel imports are frozen into it (a bundle's width, a unit).
    """
    digest = hashlib.sha256()
    root = Path(__file__).parent
    sources = {path: path.read_bytes() for path in sorted(root.rglob("*.py"))}
    folders = {path.parent for path, source in sources.items() if b"numba" in source}
    for path, source in sources.items():
        if path.parent in folders:
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(source)
    return digest.hexdigest()[:16]


def instruction_set() -> str:
    """The instruction set that kernels are compiled for."""
    return os.environ.get("NUMBA_CPU_NAME", "host")


def _supports_portable() -> bool:
    if platform.machine() not in {"x86_64", "AMD64"}:
        return False
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return False
    flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "").split()
    return {"avx2", "fma", "bmi2"} <= set(flags)


def prepare() -> None:
    """Set numba's environment unless the user has; before any kernel is compiled, even if numba is imported already."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "twin" / "kernels"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache))
    os.environ.setdefault("NUMBA_CACHE_LOCATOR_CLASSES", "twin.kernel_cache.SourcesLocator")
    if _supports_portable():
        os.environ.setdefault("NUMBA_CPU_NAME", PORTABLE_CPU)
        os.environ.setdefault("NUMBA_CPU_FEATURES", PORTABLE_FEATURES)
    numba = sys.modules.get("numba")  # by pandapower, say
    if numba is not None:
        numba.config.reload_config()


def _compiled_mark() -> Path:
    """The file that says that a run with these sources came to its end on this machine."""
    where = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:8]
    return Path(os.environ["NUMBA_CACHE_DIR"]) / f"compiled-{source_hash()}-{where}-{instruction_set()}"


def are_compiled() -> bool:
    """Whether this machine's cache holds the kernels of a run."""
    return _compiled_mark().exists()


def mark_compiled() -> None:
    """Note that a run came to its end here, so that its kernels are in the cache."""
    mark = _compiled_mark()
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


_clock: list[Any] = []
"""The listener that adds up compilation, once it listens."""


def watch_compilation() -> None:
    """Start the clock of `compile_seconds` in this process. `twin.streams` does, since it needs numba in any case."""
    if _clock:
        return
    from numba.core import event

    _clock.append(event.TimingListener())
    event.register("numba:compile", _clock[0])


def compile_seconds() -> float:
    """Seconds that this process has spent compiling kernels since `watch_compilation`; loading from the cache is none.

    Nested compilations (a kernel and what it calls) count once.
    """
    watch_compilation()
    return float(_clock[0].duration) if _clock[0].done else 0.0
