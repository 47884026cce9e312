"""A made-up language for tests of the report's catalogue: words 30 % longer, in Devanagari, placeholders kept."""

from __future__ import annotations

import re

LETTERS = (
    "\u0905\u0915\u0917\u091a\u091c\u091f\u0921\u0924\u0926\u0928\u092a\u092c\u092e\u092f\u0930\u0932\u0935\u0938\u0939"
)
SIGNS = "\u093e\u093f\u0940\u0941\u0947\u0902"
"""Vowel signs, which stand on or beside a letter: every second character of the made-up words, as in Hindi."""
KEPT = re.compile(r"\{\{.*?\}\}|\{[^{}]*\}|<[^>]*>|&\w+;|`[^`]*`")
"""Placeholders, markup and entities stay as they are."""
UNITS = {
    "MW", "kW", "kWh", "GWh", "MWh", "MU", "GSS", "PSS", "PSSs", "DT", "DTs", "LV", "HT", "EHT", "LT", "pu", "kV", "V",
    "IST", "CSV", "AT", "C", "R", "km", "kB", "h", "Rs", "JavaScript",
}  # fmt: skip
"""Abbreviations that stay in Latin letters in every language."""


def pseudo(text: str) -> str:
    """``text`` in the made-up language."""
    parts, last = [], 0
    for match in KEPT.finditer(text):
        parts += [_words(text[last : match.start()]), match[0]]
        last = match.end()
    return "".join([*parts, _words(text[last:])])


def _words(text: str) -> str:
    return re.sub(r"[A-Za-z]+", lambda match: match[0] if match[0] in UNITS else _word(match[0]), text)


def _word(word: str) -> str:
    length = max(round(len(word) * 1.3), len(word) + 1)
    own = [ord(word[i % len(word)]) + i for i in range(length)]
    return "".join(SIGNS[n % len(SIGNS)] if i % 2 else LETTERS[n % len(LETTERS)] for i, n in enumerate(own))


def pseudo_entries(entries: dict[str, dict[str, str]], language: str) -> dict[str, dict[str, str]]:
    """The catalogue with this language added."""
    return {key: entry | {language: pseudo(entry["en"])} for key, entry in entries.items()}
