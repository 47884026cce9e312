"""The page as a file: escaping, CSV, same bytes, budget, catalogue, numbers that agree with tables."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
from datetime import datetime
from pathlib import Path

import pytest

from tests.report_fixture import Made, make_run, read_embedded
from twin.errors import RunFolderError
from twin.report import csvs, numbers, page
from twin.report.catalogue import Catalogue, _entries, chart_label, clean, wrapped_label
from twin.report.facts import COLOURS, clock_spans
from twin.report.figures import base
from twin.results.reader import open_run

EVIL = "<script>window.bad=1</script> \"quoted' {{7*7}} %{x} & \u0936\u093f\u0935\u0939\u0930 \u202e"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("report") / "run", Made(sensitivity=True))


@pytest.fixture(scope="module")
def report(folder: Path) -> str:
    return page.render(open_run(str(folder)))


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("evil")
    made = Made(
        name="../evil <b>",
        description=EVIL * 10,
        arms=("flat", EVIL, "=cmd()"),
        place=EVIL,
        replicates=2,
        failed_solves=3,
    )
    return page.render(open_run(str(make_run(folder / "run", made))))


def own_part(text: str) -> str:
    """The page without the library."""
    start = text.index("/**\n* plotly.js")
    return text[:start] + text[text.index("</script>", start) :]


def test_user_text_is_inert_in_the_page(evil: str) -> None:
    own = own_part(evil)
    assert "<script>window" not in own
    assert "evil <b>" not in own
    assert own.count("<script") == 3
    assert "&lt;script&gt;window.bad=1" in own
    assert "{{7*7}}" in html.unescape(own)
    assert "\u202e" not in own
    assert "\\u202e" in own


def test_long_text_is_limited(evil: str) -> None:
    heading = re.search(r"<h1>(.*?)</h1>", evil, re.S)
    assert heading is not None
    assert len(html.unescape(heading[1])) <= 320


def test_chart_labels_hold_no_markup(evil: str) -> None:
    charts = read_embedded(evil, "figures")
    assert charts

    def strings(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for entry in value.values() for text in strings(entry)]
        if isinstance(value, list):
            return [text for entry in value for text in strings(entry)]
        return [value] if isinstance(value, str) else []

    for text in strings(charts):
        assert "<script" not in text
        assert re.sub(r"</?b>|<br>", "", text).count("<") == 0
    assert "hovertemplate" not in str(charts)
    assert "texttemplate" not in str(charts)


def test_file_names_are_tame(evil: str) -> None:
    names = re.findall(r'download="([^"]+)"', evil)
    assert names
    assert names.count("scenario.yaml") == 1
    for name in set(names) - {"scenario.yaml"}:
        assert re.fullmatch(r"[\w-]+_fig\d\d[a-z]?_synthetic\.csv", name)


def test_every_csv_parses_and_is_guarded(evil: str) -> None:
    links = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', evil)
    assert len(links) >= 10
    for link in links:
        content = base64.b64decode(html.unescape(link))
        assert content.startswith(b"\xef\xbb\xbf")
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
        assert len({len(row) for row in rows}) == 1
        assert all(not cell.startswith("=") for row in rows for cell in row)
        assert not any(cell.startswith("=cmd") for row in rows for cell in row)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (None, ""),
        (float("nan"), ""),
        (True, "true"),
        (datetime(2026, 6, 8, 21, 45), "2026-06-08T21:45:00+05:30"),
    ],
)
def test_csv_cells(value: object, cell: str) -> None:
    assert csvs.cell(value) == cell


def test_csv_keeps_full_precision_and_quotes() -> None:
    content = csvs.csv_bytes(("a", "b"), [(1 / 3, 'say "x", y')]).decode("utf-8-sig")
    assert content == 'a,b\r\n0.3333333333333333,"say ""x"", y"\r\n'


def test_same_run_same_bytes(folder: Path, report: str, tmp_path: Path) -> None:
    again = page.write_report(open_run(str(folder)), tmp_path / "again.html").read_bytes()
    assert again == report.encode()


def test_budget(report: str) -> None:
    assert len(report.encode()) < 8 * MEGABYTE
    figures = report[report.index('id="figures"') :]
    assert len(figures[: figures.index("</script>")].encode()) < MEGABYTE
    assert len("".join(re.findall(r'href="data:text/csv[^"]+"', report))) < 2 * MEGABYTE


def test_policy_forbids_everything_but_the_two_scripts(report: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', report)
    assert policy is not None
    parts = dict(part.strip().split(" ", 1) for part in html.unescape(policy[1]).split(";"))
    assert parts["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]+' 'sha256-[\w+/=]+'", parts["script-src"])
    assert "connect-src" not in parts


def test_page_one_holds_what_must_survive_being_passed_on(report: str) -> None:
    front = report[: report.index('id="load"')]
    assert "Model study on a synthetic network." in front
    assert "Does a solar-hours rebate with an evening surcharge cut the June evening peak, and who pays?" in front
    assert "range of 5 draws" in front
    assert "tou-summer-evening" in front
    assert "Energy ledger" in front
    assert ">closes<" in front


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (Made(replicates=1, failed_solves=4), "4 power-flow solves failed"),
        (Made(replicates=1, status="interrupted"), "The run is not complete"),
        (Made(replicates=1, manifest={"energy_balance": {}}), "The run holds no energy ledger."),
        (
            Made(
                replicates=1,
                manifest={"energy_balance": {"ehv": {"closure": 1e-3, "closure_limit": 1e-6}}},
            ),
            "does not close within its limits",
        ),
    ],
)
def test_banner_comes_first(tmp_path: Path, made: Made, words: str) -> None:
    text = page.render(open_run(str(make_run(tmp_path / "run", made))))
    banner = text[text.index('class="banner"') : text.index("<h1>")]
    assert words in banner


def test_an_interrupted_run_is_reported_as_far_as_it_got(tmp_path: Path) -> None:
    made = Made(replicates=1, status="interrupted", analysed=False)
    text = page.render(open_run(str(make_run(tmp_path / "run", made))))
    assert "This run holds no effect on the evening peak." in text
    assert "not in this run" in text
    assert 'id="fig02"' in text
    assert 'id="fig01"' not in text


def test_a_run_without_a_day_is_refused(tmp_path: Path) -> None:
    run = open_run(str(make_run(tmp_path / "run", Made(replicates=1, simulated=False))))
    with pytest.raises(RunFolderError, match="no simulated day"):
        page.render(run)


def test_no_banner_on_a_sound_run(report: str) -> None:
    assert 'class="banner"' not in report


def test_one_replicate_has_no_interval_of_draws(tmp_path: Path) -> None:
    text = own_part(page.render(open_run(str(make_run(tmp_path / "run", Made(replicates=1, sampling=False))))))
    assert "range of" not in text
    assert "draws and parameters, 90" not in text
    assert "One draw was run: intervals of draws and parameters are not estimated." in text
    assert "one draw, not estimated" in text


def test_figures_are_complete_and_in_order(report: str) -> None:
    numbers = re.findall(r'<span class="figure-number">Figure (\w+)\.', report)
    assert numbers == ["1", "2", "2b", "2c", "3", "4", "5", "5b", "6", "6c", "7", "8", "9", "10", "11", "12"]
    for block in re.findall(r'<section class="figure.*?</section>', report, re.S):
        assert "<caption>" in block
        if "columns-" in block:
            assert 'role="img"' in block
            assert re.search(r'class="alt"[^>]*>[^<]{20,}<', block)


def test_headings_never_skip_a_level(report: str) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", own_part(report))]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_tiles_and_csv_say_what_the_tables_hold(folder: Path, report: str) -> None:
    run = open_run(str(folder))
    (row,) = run.table(
        "effects", where="arm = 'shaped' and outcome = 'evening_peak' and area = 'state' and kind = 'range'"
    ).to_pylist()
    value, low, high = (row[name] / row["reference"] * 100 for name in ("value", "low", "high"))
    decimals = numbers.decimals_for(value, low, high)
    tile = re.search(r'tile-value">([^<]*)</p><p class="tile-line">([^<]*)<', report)
    assert tile is not None
    assert html.unescape(tile[1]) == numbers.with_unit(numbers.number(value, decimals, signed=True), "%")
    assert html.unescape(tile[2]).startswith(numbers.span(low, high, decimals, "%", signed=True))
    assert round(value, decimals) == pytest.approx(value, abs=(high - low) / 2)
    link = re.search(r'fig01_synthetic.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)"', report)
    assert link is not None
    lines = csv.DictReader(io.StringIO(base64.b64decode(html.unescape(link[1])).decode("utf-8-sig")))
    own = next(line for line in lines if line["arm"] == "shaped" and line["kind"] == "range")
    assert float(own["value"]) / float(own["reference"]) == row["value"] / row["reference"]


def test_titles_are_short(report: str) -> None:
    for title in re.findall(r"Figure \w+\.</span> (.*?)</h3>", report):
        assert len(html.unescape(title).split()) <= 15, title


def test_short_runs_do_not_report_at_and_c(report: str) -> None:
    assert "AT&amp;C loss is not reported for runs under one billing month." in report


def test_words_the_guide_forbids_are_absent() -> None:
    for key, entry in _entries().items():
        words = set(re.findall(r"[a-z]+", entry["en"].lower()))
        assert not words & {"proves", "guarantees", "optimal", "significant"}, key


def test_loss_parts_add_to_the_printed_total(report: str) -> None:
    chart = read_embedded(report, "figures")["fig09-chart1"]
    (trace,) = chart["data"]
    assert sum(trace["x"][:-1]) == pytest.approx(trace["x"][-1], abs=5e-3)
    assert trace["base"][0] == 0


def test_load_difference_is_paired_and_agrees_with_the_table(folder: Path, report: str) -> None:
    run = open_run(str(folder))
    chart = read_embedded(report, "figures")["fig02-chart1"]
    lines = {trace["name"]: trace for trace in chart["data"] if trace["yaxis"] == "y2" and "fill" not in trace}
    rows = run.query(
        'select avg(a.sent_mw - b.sent_mw) as mw from system a join cases ca on a."case" = ca."case" '
        'join cases cb on ca.replicate = cb.replicate join system b on b."case" = cb."case" '
        "and a.interval_start = b.interval_start where ca.arm = 'shaped' and cb.arm = 'flat' "
        "and hour(a.interval_start) = 21 and minute(a.interval_start) = 45"
    ).to_pylist()
    assert lines["shaped"]["y"][87] == pytest.approx(rows[0]["mw"], abs=0.06)


def test_points_stay_within_the_limit(report: str) -> None:
    for name, chart in read_embedded(report, "figures").items():
        for trace in chart["data"]:
            assert len(trace["x"]) <= base.MOST_POINTS, name


@pytest.mark.parametrize(
    ("start", "end", "spans"),
    [
        ("09:00", "17:00", [(9.0, 17.0)]),
        ("23:00", "09:00", [(23.0, 24.0), (0.0, 9.0)]),
        ("00:00", "24:00", [(0.0, 24.0)]),
        ("17:30", "00:00", [(17.5, 24.0)]),
        ("00:00", "00:00", [(0.0, 24.0)]),
    ],
)
def test_periods_on_the_clock(start: str, end: str, spans: list[tuple[float, float]]) -> None:
    assert clock_spans(start, end) == spans


def test_clean_shows_control_and_direction_characters() -> None:
    assert clean("a\u202eb\x07") == "a\\u202eb\\u0007"
    assert clean("\u0936\u093f\u0935\u0939\u0930") == "\u0936\u093f\u0935\u0939\u0930"
    assert clean("x" * 100, 10) == "x" * 9 + "\u2026"


def test_chart_labels_are_escaped_and_wrapped() -> None:
    assert chart_label("a<b>&c") == "a&lt;b&gt;&amp;c"
    assert wrapped_label("a long name that wraps twice or more", 12) == "a long name<br>that wraps\u2026"


def test_catalogue_escapes_values_and_refuses_unknown_keys() -> None:
    catalogue = Catalogue()
    assert "&lt;b&gt;" in catalogue.html("answer.zero", model="", arm="<b>", area="x")
    with pytest.raises(KeyError):
        catalogue.text("no.such.key")


def contrast(colour: str) -> float:
    """Contrast with white, WCAG 2 relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)


def test_marks_of_arms_contrast_with_paper() -> None:
    assert min(contrast(colour) for colour in COLOURS) >= 3.0
    assert contrast(base.INK) >= 4.5
    assert contrast(base.MUTED) >= 4.5
