"""The rest of the report in a real browser: saved charts, values by keyboard, glosses."""

import csv
from dataclasses import replace

import pytest

from overmem.records import Consequence, Estimate, Onset
from overmem.report.export import charts_of, csv_of
from overmem.report.findings import read_findings
from overmem.report.page import page


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


def first_screen(audited, costs):
    """The report of a run whose onset lies a few steps before the recommended checkpoint, and that has some costs."""
    findings = read_findings(audited)
    sentence = "accuracy on questions of another kind than it was trained on is {} lower"
    confirmed = Consequence("ood", "checkpoint-350", Estimate(0.061, 0.012, 0.11, 400), 0.01, True, sentence, True)
    changed = replace(
        findings.verdict,
        onset=Onset("checkpoint-350", Estimate(196.0, 150.0, 300.0, 120), Estimate(7.8, 6.0, 12.0, 120)),
        costs=(confirmed,) * costs,
        privacy=(replace(confirmed, name="extraction", is_privacy=True, confirmed=False, absent=True),),
        harm_confirmed=True,
    )
    return page(replace(findings, verdict=changed, observed=0))


@pytest.mark.parametrize("costs", [0, 2, 5])
def test_the_first_screen_holds_decision_chart_costs_and_an_example(reader, audited, tmp_path, costs):
    file = tmp_path / "report.html"
    file.write_text(first_screen(audited, costs))
    page = reader.page
    page.goto(file.as_uri())
    page.wait_for_selector("#trajectory .chart svg")
    for part in (".fact.ship", ".fact.onset", "#trajectory .chart >> nth=1", ".flip .pair"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] + box["height"] <= 900, part
    assert page.locator(".harms li").count() == costs
    assert page.locator(".harms strong").all_inner_texts() == ["6.1 points"] * costs
    assert "1 too small to matter" in page.inner_text(".tested")


def test_the_label_of_the_onset_is_whole_and_apart_from_the_recommended_checkpoint(reader, audited, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(first_screen(audited, 1))
    page = reader.page
    page.goto(file.as_uri())
    page.wait_for_selector("#trajectory .chart svg")
    panel = page.locator("#trajectory .chart >> nth=1")
    label = panel.locator("text", has_text="onset").bounding_box()
    svg, plot = panel.locator("svg").bounding_box(), panel.locator("path.background").nth(1).bounding_box()
    assert svg["x"] <= label["x"]
    assert label["x"] + label["width"] <= svg["x"] + svg["width"]
    assert svg["y"] <= label["y"]
    ring = min(mark["y"] for mark in map(lambda m: m.bounding_box(), panel.locator(".mark-symbol path").all()))
    assert label["y"] + label["height"] <= min(ring, plot["y"] + 1)
