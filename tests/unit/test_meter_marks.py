"""Every number of the meters', interruptions' and payments' data says where it comes from."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from twin.meters.datasheets import SOURCE

DATA = Path(str(files("twin"))) / "data"
ENTRY_BY_ENTRY = [*sorted((DATA / "devices").rglob("*.yaml")), DATA / "meter_fleet.yaml", DATA / "outages.yaml"]
"""Each number, or the few that belong together, has a source of its own."""
AS_A_WHOLE = [DATA / "meter_classes.yaml", DATA / "collection.yaml"]
MARKS = {"found", "derived", "recalled", "assumed"}


def unmarked(node, path="", marked=False):
    """Paths of numbers without a source beside or above them."""
    if isinstance(node, dict):
        marked |= bool(re.search(SOURCE, str(node.get("source", "")))) or node.get("confidence") in MARKS
        return [p for key, value in node.items() for p in unmarked(value, f"{path}.{key}", marked)]
    if isinstance(node, list):
        return [p for k, value in enumerate(node) for p in unmarked(value, f"{path}[{k}]", marked)]
    is_number = isinstance(node, int | float) and not isinstance(node, bool)
    return [path] if is_number and not marked else []


def read(file):
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", ENTRY_BY_ENTRY, ids=lambda file: file.name)
def test_every_number_has_a_source_of_its_own(file):
    content = read(file)
    content.pop("phases", None)  # what the type is, not a measured number
    for key in ("source", "confidence"):  # what holds for the file is not enough
        content.pop(key, None)
    for model in content.get("models", {}).values():
        model.pop("phases", None)
    assert unmarked(content) == []


@pytest.mark.parametrize("file", AS_A_WHOLE, ids=lambda file: file.name)
def test_every_number_has_a_source(file):
    assert unmarked(read(file)) == []


def test_a_number_without_one_is_found():
    assert unmarked({"a": {"value": 1.0}, "b": {"value": 2, "source": "found: here"}}) == [".a.value"]
    assert unmarked({"a": {"value": [1, 2], "source": "somewhere"}}) == [".a.value[0]", ".a.value[1]"]
    assert unmarked({"source": "assumed: all", "a": 3}) == []
