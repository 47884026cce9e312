"""Reading YAML from a stranger: plain data with the line of every key, or a list of problems; never anything else.

Built on PyYAML's safe parser events instead of its constructor, because a scenario needs the line of every key,
duplicate keys refused, and limits on size, depth and alias expansion. Scalars follow YAML 1.2 (`true`/`false` only,
decimal numbers, ISO dates); `10:30` and `on` are text.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from unicodedata import category

import yaml

from twin.errors import Problem

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_VALUES = 50_000
MAX_NUMBER_CHARACTERS = 40

INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
NULLS = {"", "~", "null", "Null", "NULL"}

KeyPath = tuple[str | int, ...]
"""Keys and list positions from the top of a document to a value."""


@dataclass
class Document:
    """Plain data with where each path stands (``file:line`` or ``--set``), and what was wrong on the way."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    readable: bool = True
    """False when the text could not be read as a mapping at all; then ``data`` is empty."""


def printable(text: str, most: int = 60) -> str:
    """``text`` as a message shows it: shortened, and without characters that would move a terminal's cursor."""
    text = text if len(text) <= most else text[: most - 3] + "..."
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def shown(value: Any) -> str:
    """A value as a message shows it: never longer than a line."""
    return printable(repr(value))


def dotted(path: KeyPath) -> str:
    """A path as a user writes it: ``experiment.arms.tod``, ``grid.resolve.districts[0]``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{printable(part, 200)}" for part in path)
    return "".join(parts).removeprefix(".")


def read_document(path: Path) -> Document:
    """The YAML file as a `Document`; every failure to read it is a problem in it."""
    text = _read_text(path)
    if isinstance(text, Problem):
        return Document(problems=[text], readable=False)
    return parse_document(text, str(path))


def _read_text(path: Path) -> str | Problem:
    name = str(path)
    try:
        info = path.stat()
        if stat.S_ISDIR(info.st_mode):
            return Problem(name, "", "is a directory, not a scenario file", "name a YAML file in it")
        if not stat.S_ISREG(info.st_mode):
            return Problem(name, "", "is not an ordinary file", "name a YAML file")
        if info.st_size > MAX_BYTES:
            size = f"has {info.st_size:,} bytes, more than the {MAX_BYTES:,} a scenario may have"
            return Problem(name, "", size, "name a scenario file; large inputs belong in files of their own")
        raw = path.read_bytes()[: MAX_BYTES + 1]
    except FileNotFoundError:
        return Problem(name, "", "no such file", _nearby(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Problem(name, "", f"cannot be read ({reason})", "check the path and its permissions")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 text (byte {error.start} is 0x{raw[error.start]:02x})"
        return Problem(name, "", what, "save it as UTF-8 text, or name another file")
    if "\0" in text:
        return Problem(name, "", "is a binary file (it holds zero bytes)", "name a YAML text file")
    return text


def _nearby(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix in {".yaml", ".yml"})
    except OSError:
        return "check the path"
    near = get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"did you mean '{path.parent / near[0]}'?" if near else "check the path"


@dataclass(frozen=True)
class _Node:
    """One YAML value before aliases are expanded: ``content`` is a scalar, child nodes, or (key, line, child)."""

    line: int
    kind: str
    content: Any
    tag: str | None = None


class _Stop(Exception):
    """The text cannot be read further; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def parse_document(text: str, name: str) -> Document:
    """The YAML mapping in ``text`` as a `Document`; ``name`` is the file in messages."""
    document = Document()
    try:
        root = _Composer(text, name, document.problems).compose()
        if root.kind != "mapping":
            got = "a list" if root.kind == "list" else shown(root.content)
            what = f"must be a mapping of settings, got {got}"
            raise _Stop(Problem(f"{name}:{root.line}", "", what, "start with `name: ...`"))
        document.data = _Expander(name, document).value(root, ())
    except _Stop as stop:
        document.problems.append(stop.problem)
        document.data, document.readable = {}, False
    return document


def parse_value(text: str, place: str) -> Document:
    """A single YAML value (as in ``--set path=value``), held under the key ``value`` of the document's data."""
    document = Document()
    try:
        root = _Composer(text, place, document.problems, lines=False).compose(empty_is_null=True)
        document.data = {"value": _Expander(place, document, lines=False).value(root, ())}
    except _Stop as stop:
        document.problems.append(stop.problem)
        document.readable = False
    return document


class _Composer:
    """Builds the tree of nodes from parser events, refusing what a scenario must not hold."""

    def __init__(self, text: str, name: str, problems: list[Problem], lines: bool = True) -> None:
        self.events = self._events(text, name)
        self.name, self.problems, self.lines = name, problems, lines
        self.anchors: dict[str, _Node] = {}
        self.left = 2 * MAX_VALUES  # keys and values

    def place(self, line: int) -> str:
        return f"{self.name}:{line}" if self.lines else self.name

    def _events(self, text: str, name: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            opened = f" (begun at line {error.context_mark.line + 1})" if error.context_mark else ""
            what = " ".join(part for part in (error.context, error.problem) if part) + opened
            line = mark.line + 1 if mark else 1
            fix = "repair the YAML at or just before this line (indent with spaces, quote texts that hold : or #)"
            raise _Stop(Problem(self.place(line), "", f"is not valid YAML: {what}", fix)) from error
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
            what = f"holds a character that YAML does not allow ({error.character!r})"
            raise _Stop(Problem(self.place(line), "", what, "remove it, or name a YAML text file")) from error
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            what = f"is not valid YAML: {shown(str(error))}"
            raise _Stop(Problem(self.place(1), "", what, "repair the YAML")) from error

    def compose(self, empty_is_null: bool = False) -> _Node:
        """The root node of the only document in the text."""
        next(self.events)
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            if empty_is_null:
                return _Node(1, "scalar", None)
            raise _Stop(Problem(self.name, "", "is empty", "start from a file in scenarios/"))
        root = self._node(next(self.events), 0)
        next(self.events)
        if not isinstance(next(self.events), yaml.StreamEndEvent):
            raise _Stop(Problem(self.name, "", "holds more than one YAML document", "keep one; remove the `---`"))
        return root

    def _node(self, event: Any, depth: int) -> _Node:
        line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            raise _Stop(Problem(self.place(line), "", f"is nested deeper than {MAX_DEPTH} levels", "flatten it"))
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                what = f"alias *{event.anchor} has no anchor before it"
                raise _Stop(Problem(self.place(line), "", what, f"write &{event.anchor} at the value it repeats"))
            return self.anchors[event.anchor]
        self.left -= 1
        if self.left < 0:
            raise _Stop(Problem(self.name, "", f"holds more than {MAX_VALUES:,} values", "write fewer values"))
        if isinstance(event, yaml.ScalarEvent):
            node = _Node(line, "scalar" if event.implicit[0] else "text", event.value, event.tag)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = _Node(line, "list", self._items(depth), event.tag)
        else:
            node = _Node(line, "mapping", self._pairs(depth), event.tag)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _items(self, depth: int) -> list[_Node]:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _pairs(self, depth: int) -> list[tuple[str, int, _Node]]:
        pairs = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self.events), depth + 1)
            line = event.start_mark.line + 1
            if isinstance(key.content, str) and key.tag is None:
                pairs.append((key.content, line, value))
            else:
                what = "a key must be plain text without a tag"
                self.problems.append(Problem(self.place(line), "", what, "write `key: value`"))
        return pairs


class _Expander:
    """Turns nodes into plain data, noting where every path stands; aliases are counted as often as they are used."""

    def __init__(self, name: str, document: Document, lines: bool = True) -> None:
        self.name, self.document, self.lines = name, document, lines
        self.left = MAX_VALUES

    def value(self, node: _Node, path: KeyPath, line: int | None = None) -> Any:
        line = line or node.line
        place = f"{self.name}:{line}" if self.lines else self.name
        self.document.places[path] = place
        self.left -= 1
        if self.left < 0:
            what = f"holds more than {MAX_VALUES:,} values once its aliases are expanded"
            raise _Stop(Problem(self.name, "", what, "write fewer values, and no aliases of aliases"))
        if node.tag is not None:
            self._problem(place, path, f"YAML tag {node.tag} is not allowed", "remove the tag; write the plain value")
        if node.kind == "list":
            return [self.value(child, (*path, i)) for i, child in enumerate(node.content)]
        if node.kind == "mapping":
            return self._mapping(node, path)
        return self._scalar(node, path, place)

    def _mapping(self, node: _Node, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first_line: dict[str, int] = {}
        for key, line, child in node.content:
            where = (*path, key)
            place = f"{self.name}:{line}" if self.lines else self.name
            if not _plain(key):
                self._problem(place, where, f"key {shown(key)} is not plain text", "use printable letters")
            elif key in first_line:
                what = f"is set twice, first at line {first_line[key]}"
                self._problem(place, where, what, "keep one of the two")
            elif key == "<<":
                self._problem(place, where, "merge keys are not supported", "write the settings out")
            else:
                first_line[key] = line
                result[key] = self.value(child, where, line)
        return result

    def _scalar(self, node: _Node, path: KeyPath, place: str) -> Any:
        text = node.content
        if not (text is None or _plain(text)):
            self._problem(place, path, f"{shown(text)} is not plain text", "use printable letters")
            return ""
        if node.kind == "text":
            return text
        if text is None or text in NULLS:
            return None
        if text in WORDS:
            return WORDS[text]
        if NOT_FINITE.fullmatch(text):
            self._problem(place, path, f"must be a finite number, got {text}", "write a number")
            return None
        if DATE.fullmatch(text):
            return self._date(text, path, place)
        return self._number(text, path, place)

    def _date(self, text: str, path: KeyPath, place: str) -> date | None:
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            self._problem(place, path, f"there is no date {text} ({error})", "write a date as YYYY-MM-DD")
            return None

    def _number(self, text: str, path: KeyPath, place: str) -> Any:
        whole, real = INTEGER.fullmatch(text), FLOAT.fullmatch(text)
        if not (whole or real):
            return text
        if len(text) > MAX_NUMBER_CHARACTERS or not math.isfinite(float(text)):
            self._problem(place, path, f"number {shown(text)} is too long or too large", "write a smaller number")
            return None
        return int(text) if whole else float(text)

    def _problem(self, place: str, path: KeyPath, what: str, fix: str) -> None:
        self.document.problems.append(Problem(place, dotted(path), what, fix))


def _plain(text: str) -> bool:
    """Whether every character can be encoded and shown: no lone surrogates, no control characters but newline, tab."""
    return all(character in "\n\t" or category(character) not in {"Cs", "Cc"} for character in text)
