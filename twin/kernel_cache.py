"""When a compiled kernel in the cache is stale: when its module, or any module of ours that it imports, has changed.

numba looks at the kernel's own file alone. Named to it by ``NUMBA_CACHE_LOCATOR_CLASSES`` (see `twin.kernels`).
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from numba.core.caching import UserProvidedCacheLocator

ROOT = Path(__file__).parent
_FROM = re.compile(r"^\s*from\s+(twin[\w.]*)\s+import\s+(\([^)]*\)|[^\n#]*)", re.MULTILINE)
_IMPORT = re.compile(r"^\s*import\s+(twin[\w.]*)", re.MULTILINE)
_NAME = re.compile(r"(\w+)(?:\s+as\s+\w+)?")


class SourcesLocator(UserProvidedCacheLocator):
    """numba's cache in the user's folder, with a stamp of all sources that a kernel is made of."""

    def get_source_stamp(self) -> str:
        """Hash of the kernel's module and of all modules of the twin that it imports, directly or not."""
        return sources_hash(Path(self._py_file))


@cache
def sources_hash(path: Path, root: Path = ROOT) -> str:
    """Hash of a source file and of every file below ``root`` (the package ``twin``) that it needs."""
    digest = hashlib.sha256()
    for source in sorted(_needed(path, root)):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _needed(path: Path, root: Path) -> set[Path]:
    """The file and, over and over, what it imports."""
    found, open_ends = {path}, [path]
    while open_ends:
        for imported in _imports(open_ends.pop(), root):
            if imported not in found:
                found.add(imported)
                open_ends.append(imported)
    return found


@cache
def _imports(path: Path, root: Path) -> frozenset[Path]:
    """Files of the package that a source file names in its import statements, wherever they stand in it."""
    text = path.read_text(encoding="utf-8")
    modules = set(_IMPORT.findall(text))
    for module, names in _FROM.findall(text):
        modules.add(module)
        modules |= {f"{module}.{name}" for name in _NAME.findall(names.strip("()"))}
    files = (_file(module, root) for module in modules)
    return frozenset(file for file in files if file is not None)


def _file(module: str, root: Path) -> Path | None:
    """The file of a module's dotted name; None for a name within a module, and for the package itself."""
    below = root.joinpath(*module.split(".")[1:])
    if below.with_suffix(".py").is_file():
        return below.with_suffix(".py")
    inside = below / "__init__.py"
    return inside if inside.is_file() and below != root else None
