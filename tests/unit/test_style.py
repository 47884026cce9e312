"""Habits that a reader can rely on: short files, docstrings on what is public, no broad except."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import twin

ROOT = Path(twin.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MAX_LINES = 400
BROAD = {"Exception", "BaseException"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def identify(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_files_fit_a_reader(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def public_definitions(tree: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = [node.name for node in public_definitions(tree) if not ast.get_docstring(node)]
    assert not bare


def handled(handler: ast.ExceptHandler) -> set[str]:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {kind.id for kind in kinds if isinstance(kind, ast.Name)}


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_no_error_is_swallowed(path: Path) -> None:
    """A bare or broad except may only tidy up and raise again."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler) and (node.type is None or handled(node) & BROAD):
            assert isinstance(node.body[-1], ast.Raise), f"line {node.lineno}"
            assert node.body[-1].exc is None, f"line {node.lineno}"
