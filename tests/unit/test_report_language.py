"""No word of the pages stands outside the catalogue: in a made-up language no English is left, numbers included."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.pseudo_language import UNITS, pseudo, pseudo_entries
from tests.report_fixture import Made, make_run, read_embedded
from twin import datapack
from twin.report import catalogue, numbers
from twin.report.catalogue import Catalogue
from twin.report.comparison import page as comparison
from twin.report.page import render
from twin.results.reader import open_run

LANGUAGE = "xx"
SKIPPED = {"script", "style", "code", "pre"}
FREE = "q"
"""Names that the fixture may choose are written with this letter alone, so that they are told from English."""
DATA = {
    "Sheohar", "Gaya", "Bihar", "Patna", "Muzaffarpur", "Bhagalpur", "Purnia", "Saharsa", "Bettiah", "NEPAL", "UTTAR",
    "PRADESH", "JHARKHAND", "WEST", "BENGAL", "bihar", "weather", "rise", "NBPDCL", "SBPDCL", "FY",
}  # fmt: skip
"""Proper names, the tariff's file name, and a swept setting's path."""


class Words(HTMLParser):
    """Text that a reader sees or hears, outside code and outside what says that it is English data."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "line", "rect", "circle", "path", "br", "input"):
            self.open.append("data" if ("lang", "en") in attrs else tag)
        self.found += [value or "" for name, value in attrs if name == "aria-label"]

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() not in (tag, "data"):
            pass

    def handle_data(self, data: str) -> None:
        if "data" not in self.open and not SKIPPED & set(self.open):
            self.found.append(data)


def reader_words(page: str) -> set[str]:
    parser = Words()
    start = page.index("/**\n* plotly.js")
    parser.feed(page[:start] + page[page.index("</script>", start) :])
    charts = read_embedded(page, "figures")
    text = [*parser.found, *chart_words(charts)]
    return {
        word for line in text for word in re.findall(r"[A-Za-z]{2,}", html.unescape(re.sub(r"</?b>|<br>", " ", line)))
    }


def chart_words(value: object) -> list[str]:
    """Text of labels: annotations, ticks and axis titles."""
    if isinstance(value, dict):
        own = [entry for key, entry in value.items() if key == "text" and isinstance(entry, str)]
        own += [tick for key, entry in value.items() if key == "ticktext" for tick in entry]
        return own + [text for entry in value.values() for text in chart_words(entry)]
    return [text for entry in value for text in chart_words(entry)] if isinstance(value, list) else []


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> str:
    entries = pseudo_entries(catalogue._entries(), LANGUAGE)
    monkeypatch.setattr(catalogue, "_entries", lambda: entries)
    return LANGUAGE


def plain_made(**more: object) -> Made:
    """A run whose own texts hold no English: only the program's words are left to find."""
    manifest = {
        "assumed": [{"name": "tariff.qqq", "value": "1", "confidence": "assumed", "source": "qqq"},
                    {"name": "substitution_qqq", "value": "1", "confidence": "assumed", "source": "qqq"}],
        "synthetic": ["qqq"], "versions": {"qqq": "1"}, "instruction_set": "qqq",
        "digest": f"{more.get('replicates', 5)}" * 64,
    }  # fmt: skip
    return Made(name="qqq", description="qqq", arms=("qq", "qqqq", "qqqqq"), manifest=manifest, **more)


def test_the_report_has_no_word_outside_the_catalogue(tmp_path: Path, spoken: str) -> None:
    run = open_run(
        str(
            make_run(
                tmp_path / "run",
                plain_made(
                    sensitivity=True,
                    atc=True,
                    meters=True,
                    months_complete=True,
                    failed_solves=0,
                    scenario={"meters": {"devices": True, "prepaid": {"share": 1.0}}},
                ),
            )
        )
    )
    page = render(run, spoken)
    assert f'<html lang="{spoken}">' in page
    assert left_over(page) == set()


def test_the_answer_of_one_arm_has_no_word_outside_the_catalogue(tmp_path: Path, spoken: str) -> None:
    measures = ("saifi", "saidi", "maifi", "supplied", "unserved")
    supply = [
        {"arm": "qq", "area": "state", "feeders": "all", "measure": name, "value": 1.0, "low": None, "high": None,
         "unit": "h"}
        for name in measures
    ]  # fmt: skip
    made = plain_made(meters=True, replicates=1, scenario={"meters": {"devices": True}}, extra={"reliability": supply})
    made.arms, made.strength = ("qq",), (0.0,)
    page = render(open_run(str(make_run(tmp_path / "run", made))), spoken)
    assert left_over(page) == set()


def test_the_compare_page_has_no_word_outside_the_catalogue(tmp_path: Path, spoken: str) -> None:
    devices = {"meters": {"devices": True}}
    runs = [
        (name, open_run(str(make_run(tmp_path / name, plain_made(replicates=count, meters=True, scenario=devices)))))
        for name, count in (("q", 2), ("qq", 3))
    ]
    assert left_over(comparison.render(runs, spoken)) == set()


class _Place(datapack.Row):
    substation: str | None = None
    district: str | None = None


def left_over(page: str) -> set[str]:
    """English words of a page: neither made up, nor a unit, nor a proper name, nor the run's own text."""
    own = {word for word in reader_words(page) if set(word.lower()) == {FREE}}
    places = {
        word for station in datapack.read_rows("transmission", _Place) for word in re.findall("[A-Za-z]+", str(station))
    }
    return reader_words(page) - own - UNITS - DATA - places


def test_numbers_speak_the_language_of_the_page_and_english_outside(spoken: str) -> None:
    with numbers.spoken(Catalogue(spoken)):
        assert numbers.count(1.64e7).indian.endswith(pseudo("crore"))
        assert pseudo("to") in numbers.span(1.0, 2.0, 0)
        assert pseudo("lakh") in numbers.rupees(2.5e5).indian
        assert pseudo("under") in numbers.share(0.0001)
    assert numbers.count(1.64e7).both() == "1.64\u00a0crore (16.4\u00a0million)"
    assert numbers.span(1.0, 2.0, 0) == "1 to 2"


def test_a_language_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no language 'qq' in the catalogue; it has en"):
        Catalogue("qq")
