import base64
import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import altair as alt
import pytest

from overmem import store
from overmem.errors import BadRequest
from overmem.records import Estimate, Measurement
from overmem.report import Report, report
from overmem.report.findings import Findings
from overmem.report.markup import Section, render_inline
from overmem.report.page import page
from overmem.report.sections import SECTIONS

HOSTILE = "</script><img src=x onerror=alert(1)><!-- '\"&"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Reading(HTMLParser):
    """The elements of a page, its text, and what stands in its scripts."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self.scripts = [], "", []
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.text += data + " "


@pytest.fixture(scope="module")
def html(findings):
    return page(findings)


@pytest.fixture
def bare(make_verdict):
    """A verdict of curves alone that could not decide anything."""
    missing = Estimate(None, note="no validation split was scored")
    verdict = make_verdict(
        regime="undecided", headline="The data cannot tell.", sentences=(), onset=None, severity=None, recommended=None,
        choices=(), costs=(), warnings=(), knobs={}, evidence="curves only",
    )  # fmt: skip
    blank = {"nll": missing, "accuracy": missing, "excess": missing, "accuracy_gap": missing, "p_costly": None}
    unknown = tuple(dataclasses.replace(c, **blank, p_kept=None, reason="Nothing.") for c in verdict.checkpoints)
    return Findings("bare", dataclasses.replace(verdict, checkpoints=unknown))


def charts_of(html):
    return json.loads(Reading(html).scripts[0])["charts"]


def test_the_first_words_are_the_verdict_and_the_checkpoint_to_ship(html, findings):
    text = Reading(html).text
    words = text.partition("How this was made")[2]  # after the navigation
    assert words.index(findings.verdict.headline) < words.index("chosen on validation") < words.index("Along the run")
    assert findings.verdict.recommended.checkpoint in text
    assert "89.0%" in text
    assert "85.9–92.1" in text


def test_every_section_with_content_is_shown_once_and_the_others_are_listed(html, findings):
    ids = [attrs["id"] for tag, attrs in Reading(html).elements if tag == "section"]
    made = {name: section(findings) for name, section in SECTIONS.items()}
    assert ids == [*(name for name in SECTIONS if not made[name].is_empty), "not-measured"]
    text = Reading(html).text
    assert all(section.title in text for section in made.values() if section.is_empty)
    assert "No shifted split was measured" in text


def test_the_navigation_names_the_headings(html):
    reading = Reading(html)
    links = re.findall(r'<a href="#([^"]+)">([^<]+)</a>', html)
    assert len(links) >= 8
    for key, title in links:
        assert re.search(rf'<section id="{key}">\s*<h2>{re.escape(title)}</h2>', html)
    assert reading.text.count("How this was made") >= 2


def test_one_chart_of_the_chooser_is_shown_and_every_other_can_be_chosen(html):
    reading = Reading(html)
    keys = [a["value"] for t, a in reading.elements if t == "option"]
    figures = [a for t, a in reading.elements if "data-choice" in a]
    assert keys == [a["data-choice"] for a in figures]
    assert [a["data-choice"] for a in figures if "hidden" not in a] == ["0"]
    assert all(f"probes-{key}" in charts_of(html) for key in keys)


def test_the_page_asks_for_nothing_outside_itself(html):
    reading = Reading(html)
    links = [
        (t, a) for t, attrs in reading.elements for a in attrs.items() if a[0] in ("src", "href", "srcset", "action")
    ]
    assert links
    assert all(value.startswith(("#", "data:")) for _, (_, value) in links)
    assert "@import" not in html
    policy = next(a["content"] for t, a in reading.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_the_policy_lets_the_scripts_of_the_page_run_and_no_other(html):
    reading = Reading(html)
    policy = next(a["content"] for t, a in reading.elements if a.get("http-equiv") == "Content-Security-Policy")
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in reading.scripts[1:]]
    assert re.findall(r"sha256-([^']+)", policy) == digests
    assert "unsafe-eval" not in policy


def test_text_from_models_and_data_is_escaped_everywhere(html, findings):
    def named(checkpoint):
        return dataclasses.replace(checkpoint, name=HOSTILE + checkpoint.name)

    verdict = findings.verdict
    hostile = dataclasses.replace(
        verdict,
        headline=HOSTILE,
        regime=HOSTILE,
        sentences=(HOSTILE,),
        warnings=(HOSTILE,),
        evidence=HOSTILE,
        onset=dataclasses.replace(verdict.onset, checkpoint=HOSTILE),
        checkpoints=tuple(
            dataclasses.replace(c, checkpoint=named(c.checkpoint), reason=HOSTILE, regime=HOSTILE)
            for c in verdict.checkpoints
        ),
        recommended=dataclasses.replace(verdict.recommended, checkpoint=HOSTILE, reason=HOSTILE),
        choices=tuple(dataclasses.replace(c, rule=HOSTILE, reason=HOSTILE) for c in verdict.choices),
        costs=tuple(dataclasses.replace(c, name=HOSTILE + c.name) for c in verdict.costs),
        knobs={HOSTILE: HOSTILE},
    )
    rows = tuple(
        dataclasses.replace(m, checkpoint=HOSTILE + m.checkpoint, probe=HOSTILE, metric=HOSTILE, note=HOSTILE)
        for m in findings.measurements
    )
    result = Findings(
        HOSTILE, hostile, rows, findings.log, plan={HOSTILE: [HOSTILE]}, recipe={HOSTILE: {HOSTILE: HOSTILE}}
    )
    reading = Reading(page(result))
    assert not [t for t, _ in reading.elements if t == "img"]
    assert len(reading.scripts) == len(Reading(html).scripts)
    assert not any(name.startswith("on") for _, attrs in reading.elements for name in attrs)
    assert "<img" not in reading.scripts[0]
    assert any(
        HOSTILE in json.dumps(c, ensure_ascii=False).replace('\\"', '"') for c in charts_of(page(result)).values()
    )


def test_missing_values_are_explained_and_never_shown_as_a_number(bare):
    html = page(bare)
    text = Reading(html).text
    for reason in (
        "no recommendation",
        "cannot tell",
        "no validation split was scored",
        "No selection rule was scored",
    ):
        assert reason in text
    assert not re.search(r"\b(nan|none|null|inf|undefined)\b", text, flags=re.IGNORECASE)
    assert charts_of(html) == {}


def test_not_a_number_in_a_measurement_is_null_in_the_chart(findings):
    broken = Measurement("checkpoint-75", 75, "val", "calibration", "ece", float("nan"), n=3, note="not finite")
    whole = [
        Measurement(
            c.checkpoint.name, c.checkpoint.step, "test", "calibration", "ece", 0.1, None, 0.05, float("inf"), 3
        )
        for c in findings.trained
    ]
    html = page(dataclasses.replace(findings, measurements=(*findings.measurements, broken, *whole)))
    assert "NaN" not in Reading(html).scripts[0]
    assert "Infinity" not in Reading(html).scripts[0]


def test_a_metric_without_any_value_says_why(html):
    assert "unanswered: not sampled" in Reading(html).text


def test_every_chart_is_valid_vega_lite(html):
    charts = charts_of(html)
    assert len(charts) >= 8
    for spec in charts.values():
        alt.LayerChart.from_dict(spec)


def test_a_rule_that_picks_the_recommended_checkpoint_costs_nothing_and_has_no_interval(findings):
    same = dataclasses.replace(findings.verdict.choices[1], checkpoint=findings.verdict.recommended.checkpoint)
    html = page(dataclasses.replace(findings, verdict=dataclasses.replace(findings.verdict, choices=(same,))))
    assert "same checkpoint" in Reading(html).text
    assert "choices-regret" not in charts_of(html)
    assert "every rule picks the same checkpoint" in Reading(html).text


def test_a_choice_that_no_test_examples_confirmed_is_not_called_tested(findings):
    def flattered(choice):
        noted = dataclasses.replace(choice.accuracy, note="on val, where it was chosen: flattering")
        return dataclasses.replace(choice, accuracy=noted, measured_on="val")

    verdict = findings.verdict
    verdict = dataclasses.replace(
        verdict, recommended=flattered(verdict.recommended), choices=tuple(map(flattered, verdict.choices))
    )
    text = Reading(page(Findings("flattered", verdict))).text
    assert "measured on val, where it was chosen: flattering" in text
    assert "validation accuracy" in text
    assert "confirmed on test" not in text
    assert "test accuracy" not in text.lower()


def test_same_findings_give_the_same_page(html, findings):
    assert page(findings) == html


def test_the_written_page_comes_from_the_run_directory_alone(tmp_path, make_verdict, findings):
    run = store.open_run(tmp_path)
    store.write_verdict(run, make_verdict())
    store.write_measurements(run, findings.measurements)
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": list(findings.log)}))
    path = report(Report(str(tmp_path)))
    assert path == run.report_path
    text = Reading(path.read_text(encoding="utf-8")).text
    assert tmp_path.name in text
    assert "step 200" in text
    assert "dynamics-loss" in charts_of(path.read_text(encoding="utf-8"))


def test_a_run_without_a_verdict_is_refused_with_the_command_to_run(tmp_path):
    with pytest.raises(BadRequest, match="overmem diagnose"):
        report(Report(str(tmp_path)))


def test_the_report_loads_no_torch_and_the_command_loads_no_charts():
    code = "import sys, overmem.report; early = 'altair' in sys.modules; import overmem.report.page; " \
           "sys.exit(bool(early or {'torch', 'transformers'} & set(sys.modules)))"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to open the page with")
def test_a_browser_draws_every_chart_and_its_console_stays_empty(html, tmp_path):
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
             "--virtual-time-budget=8000", "--enable-logging=stderr", "--v=0", "--dump-dom"]  # fmt: skip
    command = [CHROMIUM, *flags, (tmp_path / "report.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "CONSOLE" not in done.stderr
    places = [a for t, a in Reading(done.stdout).elements if "chart" in a.get("class", "").split()]
    drawn = [a for a in places if a.get("data-drawn")]
    marks = [a for t, a in Reading(done.stdout).elements if t == "svg" and "marks" in a.get("class", "")]
    assert len(drawn) == len(marks) >= 6


def toy(findings):
    """A section is one file, its template included."""
    return Section("Toys", render_inline("<p>{{ name }} of {{ n }}</p>", name="<b>", n=len(findings.trained)))


def test_a_section_is_one_function_with_its_template_and_one_line_of_the_table(findings):
    html = page(findings, {**SECTIONS, "toys": toy})
    assert '<section id="toys">' in html
    assert "<p>&lt;b&gt; of 7</p>" in html
    assert 'href="#toys"' in html
