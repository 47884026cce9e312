"""Where compiled kernels are cached and for which processor they are compiled. Imported before numba, by `twin`.

Kernels are compiled for one fixed instruction set, so that a result does not depend on the processor's generation; the
set is recorded in the manifest and a worker that differs is refused. numba's cache does not see that a *called*
function in another file changed, so the cache folder is keyed by a hash of all kernel sources.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

PORTABLE_CPU = "x86-64-v3"
PORTABLE_FEATURES = (
    "+avx,+avx2,+bmi,+bmi2,+cx16,+f16c,+fma,+lzcnt,+movbe,+popcnt,+sahf,+sse3,+sse4.1,+sse4.2,+ssse3,+xsave"
)


def source_hash() -> str:
    """Hash of every source that holds compiled kernels; part of the kernel cache's folder name."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        source = path.read_bytes()
        if b"numba" in source:
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
    """Set numba's environment unless the user has; must run before numba is imported."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "twin" / f"kernels-{source_hash()}"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache))
    if _supports_portable():
        os.environ.setdefault("NUMBA_CPU_NAME", PORTABLE_CPU)
        os.environ.setdefault("NUMBA_CPU_FEATURES", PORTABLE_FEATURES)
