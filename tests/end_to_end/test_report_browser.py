"""The report in a real browser: no network, no console message, every chart drawn, nothing overflows, prints well."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.pseudo_language import pseudo_entries
from tests.report_fixture import Made, make_run
from twin.report import catalogue, write_report
from twin.report.comparison.page import write_comparison
from twin.results.reader import open_run

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
READY_MS = 10_000
WIDTHS = (390, 1280)
MOST_PAGES = 14
"""Pages before the annex: the guide aims at 12; the resolved scenario may add two."""
EVIL = "<script>window.bad=1</script><img src=x onerror=window.bad=1> \"quoted' {{7*7}} \u0936\u093f\u0935\u0939\u0930 "

MADE = {
    "quickstart": Made(sensitivity=True),
    "stronger": Made(strength=(0.0, 0.7, 1.6)),
    "one-arm": Made(arms=("flat",), strength=(0.0,), replicates=1, days=1),
    "exact-zero": Made(strength=(0.0, 0.0, 0.0), replicates=2),
    "many-arms": Made(
        arms=("flat", "a-long-treatment-name", "second", "third", "fourth", "fifth"),
        strength=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        replicates=2,
    ),
    "one-draw": Made(replicates=1, status="complete_with_failures", failed_solves=5),
    "many-draws": Made(replicates=20, days=1),
    "sweep": Made(
        replicates=2,
        days=1,
        sensitivity=True,
        points=tuple(f'{{"experiment.parameters.substitution_urban": {0.02 * point:.2f}}}' for point in range(1, 10)),
    ),
    "month": Made(
        replicates=2, days=1, atc=True, meters=True, months_complete=True, scenario={"meters": {"devices": True}}
    ),
    "evil": Made(description=EVIL * 5, arms=("flat", EVIL, "{{7*7}}"), place=EVIL, replicates=2, failed_solves=2),
}
"""Reports to look at: the guide's list, as far as this run folder's tables go."""
COMPARED = {"two-runs": ("quickstart", "stronger"), "six-runs-of-all-kinds": tuple(MADE)[:6]}
"""Compare pages, and the runs on them."""
VISITS = [
    *((name, width) for name in ("quickstart", "evil") for width in WIDTHS),
    ("one-arm", 390),
    ("exact-zero", 1280),
    ("one-draw", 390),
    ("many-draws", 1280),
    ("sweep", 390),
    ("month", 390),
    *(("two-runs", width) for width in WIDTHS),
    ("six-runs-of-all-kinds", 390),
    ("made-up-language", 390),
]


@dataclass
class Visit:
    """What a page did while it was open."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def browser_path(own: str) -> str:
    """The browser to test with: named, installed, or playwright's own. Its absence is a failure, not a skip."""
    path = os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), own)
    if not Path(path).is_file():
        pytest.fail(
            "no Chromium found: run `playwright install --with-deps chromium`, or install one (Debian: apt-get install "
            "chromium), or set CHROMIUM to its path"
        )
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=browser_path(driver.chromium.executable_path), args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    runs = {name: open_run(str(make_run(folder / name, made))) for name, made in MADE.items()}
    pages = {name: write_report(run, folder / f"{name}.html") for name, run in runs.items()}
    for name, parts in COMPARED.items():
        pages[name] = write_comparison([(part, runs[part]) for part in parts], folder / f"{name}.html")
    entries = pseudo_entries(catalogue._entries(), "hi")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "_entries", lambda: entries)
        pages["made-up-language"] = write_report(runs["quickstart"], folder / "made-up-language.html", "hi")
    return pages


def visit(browser: Browser, report: Path, width: int) -> Visit:
    page = browser.new_page(viewport={"width": width, "height": 900})
    seen = Visit(page)
    page.on("console", lambda message: seen.console.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.console.append(f"error: {error}"))
    page.on("dialog", lambda dialog: seen.console.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_selector('html[data-ready="1"]', timeout=READY_MS, state="attached")
    return seen


def settle(page: Page, condition: str) -> None:
    """Wait until a condition holds, asking from outside: the page's policy forbids evaluating strings inside."""
    for _ in range(50):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never came true: {condition}")


UNDRAWN = """() => [...document.querySelectorAll('.chart')].filter(place => {
  const marks = place.querySelectorAll('.scatterlayer .trace path, .barlayer .point path');
  return marks.length === 0 || place.clientHeight === 0;
}).map(place => place.id)"""

OUTSIDE = """() => [...document.querySelectorAll('.chart')].flatMap(place => {
  const frame = place.getBoundingClientRect();
  return [...place.querySelectorAll('svg text')].filter(text => text.textContent.trim()).filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - 2 || box.right > frame.right + 2
      || box.top < frame.top - 2 || box.bottom > frame.bottom + 2;
  }).map(text => place.id + ': ' + text.textContent);
})"""

OVERLAPS = """() => [...document.querySelectorAll('.chart')].flatMap(place => {
  const boxes = [...place.querySelectorAll('svg text')].filter(text => text.textContent.trim())
    .map(text => [text.textContent, text.getBoundingClientRect()]);
  const found = [];
  boxes.forEach(([words, a], i) => boxes.slice(i + 1).forEach(([others, b]) => {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && high > 4) found.push(place.id + ': ' + words + ' / ' + others);
  }));
  return found;
})"""


@pytest.mark.parametrize(("name", "width"), VISITS)
def test_report_opens_alone_and_draws_everything(
    browser: Browser, reports: dict[str, Path], name: str, width: int
) -> None:
    seen = visit(browser, reports[name], width)
    page = seen.page
    assert seen.console == []
    assert seen.requests == [reports[name].as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(UNDRAWN) == []
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate("window.bad") is None
    page.close()


def test_every_figure_has_marks_of_its_kind(browser: Browser, reports: dict[str, Path]) -> None:
    page = visit(browser, reports["quickstart"], 1280).page

    def count(chart: str, selector: str) -> int:
        return page.locator(f"#{chart} {selector}").count()

    assert count("fig01-chart1", ".scatterlayer .points path") >= 8
    assert count("fig02-chart1", ".scatterlayer .js-line") >= 5
    assert page.locator("#fig03 .chart").count() == 6
    assert count("fig03-chart1", ".scatterlayer .js-line") >= 6
    assert page.locator("#fig04 .chart").count() == 2
    assert count("fig04-chart1", ".barlayer .point") >= 30
    assert count("fig05-chart1", ".barlayer .point") >= 60
    assert count("fig06-chart1", ".scatterlayer .points path") >= 10
    assert count("fig07-chart1", ".scatterlayer .points path") == 70 + 1  # stations and the square of the district
    assert page.locator("#fig08 .chart").count() == 3
    assert count("fig09-chart1", ".barlayer .point") == 6
    assert count("fig10-chart1", ".barlayer .point") == 6
    assert count("fig11-chart1", ".scatterlayer .points path") >= 5
    page.close()


def test_figures_of_months_and_meters_have_marks(browser: Browser, reports: dict[str, Path]) -> None:
    page = visit(browser, reports["month"], 1280).page
    for chart, bars in (
        ("fig06b-chart1", 5),
        ("fig09b-chart1", 11),
        ("fig09c-chart2", 10),
        ("fig14c-chart1", 4),
        ("fig14e-chart1", 3),
    ):
        assert page.locator(f"#{chart} .barlayer .point").count() == bars, chart
    assert page.locator("#fig14-chart1 .scatterlayer .points path").count() == 7
    assert page.locator("#fig14f-chart1 .scatterlayer .points path").count() == 1
    page.close()


def test_compare_page_draws_every_run(browser: Browser, reports: dict[str, Path]) -> None:
    page = visit(browser, reports["two-runs"], 1280).page
    assert (
        page.locator("#fig01-chart1 .scatterlayer .points path").count() == 4 + 4 * 5
    )  # dots and a tick for every draw
    assert page.locator("#fig05 .chart").count() == 2
    assert page.locator("#fig06-chart1 .barlayer .point").count() == 8
    assert page.locator("#answer").inner_text().startswith("Can these runs be compared?")
    page.close()


def test_fonts_for_devanagari_are_there(browser: Browser, reports: dict[str, Path]) -> None:
    """Without one the made-up language is drawn as empty boxes of equal width, and its visit shows nothing."""
    page = visit(browser, reports["made-up-language"], 390).page
    widths = page.evaluate(
        """() => ["\u0905\u0905\u0905\u0905", "\u0930\u0930\u0930\u0930"].map(text => {
          const span = document.createElement("span");
          span.textContent = text;
          document.querySelector("h1").append(span);
          return span.getBoundingClientRect().width;
        })"""
    )
    assert widths[0] != widths[1]
    page.close()


def test_chart_resizes_with_the_window(browser: Browser, reports: dict[str, Path]) -> None:
    page = visit(browser, reports["quickstart"], 1280).page
    page.set_viewport_size({"width": 390, "height": 900})
    settle(page, "document.querySelector('#fig02-chart1 .main-svg').getBoundingClientRect().width < 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_nothing_in_a_chart_takes_focus(browser: Browser, reports: dict[str, Path]) -> None:
    page = visit(browser, reports["quickstart"], 1280).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(25):
        page.keyboard.press("Tab")
        assert not page.evaluate("!!document.activeElement.closest('.chart')")
    assert page.locator('.chart svg:not([aria-hidden="true"])').count() == 0
    assert page.locator(".modebar-btn").count() == 0
    page.close()


def test_user_text_is_inert(browser: Browser, reports: dict[str, Path]) -> None:
    page = visit(browser, reports["evil"], 1280).page
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 3
    heading = page.locator("h1").inner_text()
    assert "{{7*7}}" in heading
    assert "<script>window.bad=1</script>" in heading
    assert "\u0936\u093f\u0935\u0939\u0930" in heading
    labels = page.locator("#fig01-chart1 svg text").all_text_contents()
    assert "{{7*7}}" in labels
    page.close()


def outline_titles(pdf: bytes) -> list[str]:
    """Titles of the outline of a PDF, which the browser makes of the headings it laid out."""
    titles = []
    for raw in re.findall(rb"/Title \((.*?)(?<!\\)\)", pdf, re.S):
        plain = re.sub(rb"\\([()\\])", rb"\1", raw)
        plain = re.sub(rb"\\(\d{3})", lambda match: bytes([int(match[1], 8)]), plain)
        titles.append(plain.decode("utf-16") if plain.startswith(b"\xfe\xff") else plain.decode("latin-1"))
    titles += [bytes.fromhex(raw.decode()).decode("utf-16") for raw in re.findall(rb"/Title <(FEFF[0-9A-F]+)>", pdf)]
    return titles


def page_of(pdf: bytes, marker: str) -> int:
    """Pages of a PDF before the heading ``marker``, by the objects its outline points to."""
    order = [int(number) for number in re.findall(rb"(\d+) 0 obj\s*<<\s*/Type /Page\b", pdf)]
    for block in re.findall(rb"<</Title .*?>>", pdf, re.S):
        target = re.search(rb"/Dest \[(\d+) 0 R", block)
        if target and marker in "".join(outline_titles(block)):
            return order.index(int(target[1]))
    raise AssertionError(f"no heading {marker!r} in the PDF")


PAPER_PX = 680
"""Width of the text on A4 with margins of 15 mm."""


@pytest.mark.parametrize("name", ["quickstart", "many-arms", "month"])
def test_nothing_is_wider_than_the_paper(browser: Browser, reports: dict[str, Path], name: str) -> None:
    """What is wider makes the browser shrink every page, below the least size of text."""
    page = visit(browser, reports[name], PAPER_PX).page
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    settle(page, "document.querySelectorAll('#annex-body .scroll').length > 5")
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER_PX
    page.close()


def test_prints_within_the_limit_with_every_title_as_text(
    browser: Browser, reports: dict[str, Path], tmp_path: Path
) -> None:
    page = visit(browser, reports["quickstart"], 1280).page
    wanted = page.locator("h3").all_inner_texts()
    pdf = page.pdf(path=str(tmp_path / "report.pdf"), prefer_css_page_size=True, tagged=True, outline=True)
    pages = len(re.findall(rb"/Type /Page\b", pdf))
    titles = ["".join(title.split()) for title in outline_titles(pdf)]
    for title in wanted:  # at a page break the browser writes a title twice into the outline
        assert any("".join(title.split()) in found for found in titles), title
    assert 5 < page_of(pdf, "Annex") <= MOST_PAGES < pages
    assert page_of(pdf, "Figure 1.") == 0
    assert page_of(pdf, "Figure 2.") > 0
    settle(page, "document.querySelector('#fig02-chart1 .main-svg').getBoundingClientRect().height > 400")
    assert page.locator("#annex-body .scroll").count() == 0
    page.close()
