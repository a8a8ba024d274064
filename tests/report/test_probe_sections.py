"""The sections on single probes, drawn from what the probes themselves measure."""

import dataclasses
import json
from html.parser import HTMLParser

import altair as alt
import numpy as np
import pytest

from overmem import store
from overmem.probes.carriers import Carrier
from overmem.probes.measure import measured
from overmem.records import Checkpoint, Estimate, Example, Snapshot
from overmem.report.findings import Findings
from overmem.report.page import page
from overmem.report.sections.diversity import diversity
from overmem.report.sections.mechanism import heat, mechanism, visible
from overmem.report.sections.membership import membership
from overmem.report.sections.memorization import memorization
from overmem.report.sections.ood import ood
from overmem.report.sections.robustness import robustness
from overmem.report.tokens import TokenBreakdown, TokenizedSolution, token_breakdown

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"
QUESTIONS = 12
SPLITS = ("train", "val", "test", "test+typos", "test+names", "ood-longer", "ood-new")
WORDS = ("so 3 + 4 = 7", "then 4 + 3 = 7", "first 7 - 3 = 4 , 4 + 3 = 7")


def snapshot_of(checkpoint, make_samples, make_scores):
    """Observations in which later checkpoints are better on train and worse on shifted questions."""
    late = checkpoint.step / 400
    scores, samples, examples = {}, {}, {}
    for split in SPLITS:
        random = np.random.default_rng([len(split), checkpoint.step])
        origin, plus, shift = split.partition("+")
        ids = [f"{origin}-{i:02d}{plus}{shift}" for i in range(QUESTIONS)]
        examples[split] = tuple(Example(i, f"How many are in {i}?", WORDS[0], "7") for i in ids)
        level = 0.6 - 0.5 * late if split == "train" else 0.4 + late * random.random()
        scores[split] = make_scores(
            [list(random.exponential(level, 5)) for _ in ids], ids=ids, tokens=list(range(5)) * QUESTIONS
        )
        right = 0.9 - 0.4 * late * (plus == "+" or origin.startswith("ood"))
        rows = [
            (name, draw, "7" if hit else "8", bool(hit), {"text": WORDS[draw % 3] if hit else "8"})
            for name in ids
            for draw, hit in enumerate(random.random(5) < right)
        ]
        samples[split] = make_samples(*rows)
    return Snapshot(checkpoint, examples, scores, samples)


@pytest.fixture(scope="module")
def breakdown():
    share = Carrier(7, 9, Estimate(0.4, 0.2, 0.6, 12), Estimate(1.2, 1.0, 1.4, 12))
    solution = TokenizedSolution("val-03", "How many?", 4.5, ((" so", 4.2, False), (" 3", 0.3, True)))
    return TokenBreakdown("checkpoint-400", "checkpoint-75", "val", ((" so", share),), (solution,))


@pytest.fixture(scope="module")
def full(findings, make_samples, make_scores, breakdown):
    """The findings of a run that was audited with every probe."""
    seen = [c.checkpoint for c in findings.trained]
    rows = measured(seen, lambda c: snapshot_of(c, make_samples, make_scores))
    questions = {f"train-{i:02d}": f"How many are in train-{i:02d}?" for i in range(QUESTIONS)}
    return dataclasses.replace(findings, measurements=tuple(rows), questions=questions, tokens=breakdown)


class Text(HTMLParser):
    """The text of a page and its elements."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags = "", []
        self.feed(str(html))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data + " "


def rows_of(spec, layer):
    """The rows that one layer of a chart draws."""
    drawn = spec["layer"][layer]["data"]
    return drawn["values"] if "values" in drawn else spec["datasets"][drawn["name"]]


CHARTS = {
    robustness: {"drops", "mean", "always"},
    ood: {"accuracy", "perplexity"},
    diversity: {"draws", "variety"},
    membership: {"attacks", "course"},
    memorization: {"nll"},
    mechanism: {"parts", "carriers"},
}


@pytest.mark.parametrize("section", CHARTS, ids=lambda s: s.__name__)
def test_each_probe_has_its_figures_and_both_checkpoints_in_numbers(section, full):
    made = section(full)
    assert set(made.charts) == CHARTS[section]
    for spec in made.charts.values():
        alt.LayerChart.from_dict(spec)
        assert "NaN" not in json.dumps(spec)
    text = Text(made.body).text
    assert "checkpoint-400" in text
    assert section is membership or "checkpoint-125" in text
    assert section in (membership, mechanism) or "n = 12" in text


@pytest.mark.parametrize("section", CHARTS, ids=lambda s: s.__name__)
def test_a_section_without_measurements_is_empty_and_gives_the_reason(section, make_verdict):
    made = section(Findings("bare", make_verdict()))
    assert made.charts == {}
    assert made.is_empty
    assert 'class="none"' in made.body


def test_every_number_of_the_robustness_table_is_that_of_the_probe(full):
    text = " ".join(Text(robustness(full).body).text.split())
    asp = full.measured("checkpoint-400", "test+typos", ("robustness", "asp"))
    assert f"{100 * asp.value:.1f}%" in text
    assert "McNemar" in text


def test_the_mean_of_the_sets_is_a_line_and_a_row(full):
    made = ood(full)
    assert "mean of the sets" in {row["line"] for row in rows_of(made.charts["accuracy"], 1)}
    assert Text(made.body).text.count("mean of the sets") == 3  # in the legend, and once for each checkpoint


def test_draws_are_drawn_at_every_k_that_was_measured(full):
    points = rows_of(diversity(full).charts["draws"], -1)
    assert {p["k"] for p in points} == {1, 2, 4}
    assert {p["kind"] for p in points} == {"pass", "maj", "best"}


def test_draws_at_several_temperatures_are_drawn_against_them(full):
    assert "temperatures" not in diversity(full).charts
    drawn = [m for m in full.measurements if m.probe == "diversity"]
    hot = [dataclasses.replace(m, at={**m.at, "temperature": 1.2}) for m in drawn]
    both = dataclasses.replace(full, measurements=(*full.measurements, *hot))
    section = diversity(both)
    points = rows_of(section.charts["temperatures"], -1)
    assert {p["temperature"] for p in points} == {1.0, 1.2}
    assert {p["kind"] for p in points} == {"pass", "maj", "best"}
    assert "Correct, against the sampling temperature" in Text(section.body).text


def test_the_most_exposed_examples_are_named_with_their_questions(full):
    (first,) = [
        m.at["example"]
        for m in full.measurements
        if (m.checkpoint, m.metric, m.at.get("rank")) == ("checkpoint-400", "exposed", 1)
    ]
    text = Text(membership(full).body).text
    assert f"How many are in {first}?" in text
    assert "blind: text alone, no model" in text
    assert "cannot resolve" in text


def test_rows_per_example_are_not_drawn_as_a_figure(full):
    drawn = Text(page(full))
    labels = {attrs.get("aria-label", "") for tag, attrs in drawn.tags if tag == "div"}
    assert not [label for label in labels if label.startswith(("exposed", "lt iqr,", "lt iqr exposed"))]


def test_a_token_is_shaded_by_its_excess_and_underlined_where_decoding_differs(full):
    tokens = [attrs for tag, attrs in Text(mechanism(full).body).tags if tag == "span" and "title" in attrs]
    assert [t["class"].split() for t in tokens] == [["token", "heat-5", "wrong"], ["token", "heat-1"]]
    assert tokens[0]["title"] == "+4.20 nats"


def test_the_shade_of_a_token_is_the_number_of_steps_below_its_excess():
    assert [heat(x) for x in (-3.0, 0.05, 0.1, 1.5, 99.0)] == [0, 0, 1, 3, 5]


def test_whitespace_in_a_token_is_made_visible():
    assert (visible(" so"), visible("\n"), visible("")) == ("␣so", "⏎", "(empty)")


def test_texts_of_tokens_and_questions_are_escaped(full, breakdown):
    solution = TokenizedSolution(HOSTILE, HOSTILE, 1.0, ((HOSTILE, 1.0, True),))
    hostile = dataclasses.replace(breakdown, carriers=((HOSTILE, breakdown.carriers[0][1]),), examples=(solution,))
    questions = dict.fromkeys(full.questions, HOSTILE)
    html = page(dataclasses.replace(full, tokens=hostile, questions=questions))
    assert not [tag for tag, _ in Text(html).tags if tag == "img"]


@pytest.fixture
def run(tmp_path, make_scores):
    run = store.open_run(tmp_path)
    ids = ["a", "b"]
    for name, nlls in (("checkpoint-1", [[0.1, 0.2], [0.1, 0.1]]), ("checkpoint-2", [[0.1, 0.2], [3.1, 0.1]])):
        scores = make_scores(nlls, ids=ids, tokens=[4, 5, 4, 6])
        kept = dataclasses.replace(scores, **{
            f: getattr(scores, f).astype(np.float32)
            for f in ("logprob", "entropy", "top1_logprob", "mean_logprob", "std_logprob")
        }, token_id=scores.token_id.astype(np.int32))  # fmt: skip
        store.write_scores(run, name, "val", kept, weights="w", request="r")
    store.write_examples(run, "val", [Example(i, f"Why {i}?", "so", "7") for i in ids])
    return run


def test_the_breakdown_by_token_is_read_from_the_run(run):
    store.write_token_texts(run, {4: " so", 5: " 3", 6: "."})
    breakdown = token_breakdown(run, Checkpoint("checkpoint-2", 2), Checkpoint("checkpoint-1", 1), "val")
    assert breakdown.carriers[0][0] == " so"
    assert breakdown.carriers[0][1].share.value == pytest.approx(1.0)
    assert (breakdown.examples[0].id, breakdown.examples[0].question) == ("b", "Why b?")
    assert breakdown.examples[0].tokens[0] == (" so", pytest.approx(3.0), False)


def test_without_scores_or_texts_or_another_checkpoint_there_is_a_reason_instead(run):
    one, two, three = (Checkpoint(f"checkpoint-{i}", i) for i in (1, 2, 3))
    assert "texts of the tokens" in token_breakdown(run, two, one, "val")
    assert "not scored" in token_breakdown(run, three, one, "val")
    assert "lower perplexity" in token_breakdown(run, one, one, "val")
