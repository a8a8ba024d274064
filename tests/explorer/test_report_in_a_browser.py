"""The rest of the report in a real browser: saved charts, values by keyboard, glosses."""

import csv

from overmem.report.export import charts_of, csv_of
from overmem.report.findings import read_findings


def open_report(reader, audited):
    reader.open(audited.report_path.as_uri())
    reader.page.wait_for_selector("#trajectory .chart svg")
    return reader.page


def saved(page, section, kind):
    with page.expect_download() as download:
        page.locator(f"#{section} .save button", has_text=kind).first.click()
    return download.value


def test_a_chart_is_saved_as_png_and_svg_and_its_numbers_as_csv(reader, audited, tmp_path):
    page = open_report(reader, audited)
    files = {}
    for kind in ("PNG", "SVG", "CSV"):
        download = saved(page, "trajectory", kind)
        assert download.suggested_filename == f"golden-trajectory-accuracy.{kind.lower()}"
        files[kind] = tmp_path / kind
        download.save_as(files[kind])
    assert files["PNG"].read_bytes().startswith(b"\x89PNG")
    assert files["PNG"].stat().st_size > 10_000
    svg = files["SVG"].read_text()
    assert "ship checkpoint-200" in svg or "checkpoint-" in svg
    assert "<text" in svg
    assert "var(--" not in svg
    spec = {name: spec for name, spec, _ in charts_of(read_findings(audited))}["trajectory-accuracy"]
    ours, theirs = (list(csv.reader(text.splitlines())) for text in (csv_of(spec), files["CSV"].read_text()))
    assert ours[0] == theirs[0]
    for left, right in zip(ours, theirs, strict=True):
        assert [_number(a) for a in left] == [_number(b) for b in right]


def _number(text):
    try:
        return round(float(text), 12)
    except ValueError:
        return text


def test_the_values_of_a_chart_are_read_by_arrow_keys(reader, audited):
    page = open_report(reader, audited)
    page.locator("#trajectory .chart").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    words = page.inner_text("#trajectory .reading >> nth=0")
    assert "%" in words
    assert "n = " in words
    assert "(2 of" in words


def test_a_term_explains_itself_on_focus_and_on_hover_and_escape_closes_it(reader, audited):
    page = open_report(reader, audited)
    tip = page.locator(".tip")
    term = page.locator("#answer .gloss", has_text="perplexity").first
    term.focus()
    assert "equally likely tokens" in tip.inner_text()
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    page.locator(".gloss", has_text="perplexity").first.hover()
    assert tip.is_visible()
    box = tip.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1280


def test_a_question_that_went_wrong_is_one_link_from_the_first_screen(reader, audited):
    page = open_report(reader, audited)
    assert page.locator(".flip").bounding_box()["y"] < 900
    page.get_by_role("link", name="Read this one").click()
    page.wait_for_selector(".completion-box.wrong")
    assert page.locator(".completion-box.right").count() >= 1
