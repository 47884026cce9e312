"""All text a reader of the report sees, in one YAML catalogue ``{key: {language: text}}`` with named placeholders."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from twin.datapack import parse_yaml

LABEL_LIMIT = 80
DESCRIPTION_LIMIT = 320


@lru_cache(maxsize=1)
def _entries() -> dict[str, dict[str, str]]:
    entries: dict[str, dict[str, str]] = parse_yaml(
        files("twin.report").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    )
    return entries


class Catalogue:
    """The catalogue in one language. A key that is missing is a defect and raises KeyError.

    With a ``variant`` an entry gives way to that of the same key with the variant's name behind it, if there is one.

    Raises
    ------
    ValueError
        If an entry lacks the language.
    """

    def __init__(self, language: str = "en", variant: str = "") -> None:
        known = set.intersection(*(set(entry) for entry in _entries().values()))
        if language not in known:
            raise ValueError(f"there is no language '{language}' in the catalogue; it has {', '.join(sorted(known))}")
        self.language = language
        self._text = {key: entry[language] for key, entry in _entries().items()}
        if variant:
            own = {key: text for key, text in self._text.items() if key.endswith(f".{variant}")}
            self._text |= {key.removesuffix(f".{variant}"): text for key, text in own.items()}

    def html(self, key: str, **values: Any) -> Markup:
        """The entry as HTML; every value is escaped unless it is Markup itself."""
        return Markup(self._text[key]).format(**values)

    def text(self, key: str, **values: Any) -> str:
        """The entry as plain text, for charts, CSV and alternative text (whoever places it escapes it)."""
        return self._text[key].format(**values)

    def has(self, key: str) -> bool:
        """Is there such an entry?"""
        return key in self._text

    def data(self, text: object, limit: int = LABEL_LIMIT) -> str:
        """Text of the data pack or a manifest, which has one language: on a page in another it says so."""
        shown = clean(text, limit)
        return shown if self.language == "en" else Markup('<span lang="en">{}</span>').format(shown)

    def name(self, group: str, word: str) -> str:
        """The reader's word for a table's word, ``<group>.<word>``; an unknown word is shown cleaned."""
        key = f"{group}.{word}"
        return self._text[key] if key in self._text else clean(word.replace("_", " "))


def clean(text: object, limit: int = LABEL_LIMIT) -> str:
    """User text made harmless to read: control and direction characters as escapes, length limited.

    It is still plain text: the template escapes it for HTML, `chart_label` for charts.
    """
    shown = "".join(
        character if character == " " or not _is_hidden(character) else f"\\u{ord(character):04x}"
        for character in str(text)
    )
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "\u2026"


def _is_hidden(character: str) -> bool:
    """Control, format (direction), surrogate, private and unassigned characters; joiners of Indic scripts are text."""
    return unicodedata.category(character).startswith("C") and character not in "\u200c\u200d"


def chart_label(text: object) -> str:
    """Text for a chart, whose library reads some HTML: nothing in it is markup."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters, parted at spaces, longer words cut with an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        part = word if len(word) <= width else word[: width - 1] + "\u2026"
        if lines and len(lines[-1]) + 1 + len(part) <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines or [""]


def wrapped_label(text: str, width: int = 18, most: int = 2) -> str:
    """A row label of a chart, wrapped and escaped (``most`` lines at most)."""
    lines = wrapped(text, width)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][: width - 1] + "\u2026"]
    return "<br>".join(chart_label(line) for line in lines)
