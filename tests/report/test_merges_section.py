"""The section on a search for a merge: the path, the weights, each rule's pick, and what test says."""

from dataclasses import replace

import altair as alt

from overmem.records import Estimate
from overmem.records.searches import (
    LinePoint,
    MergeCandidate,
    MergeConfirmation,
    MergeCost,
    MergeLine,
    MergeSearch,
    Updates,
)
from overmem.report.sections.merges import merges

HIDDEN = "<script>alert(1)</script>"


def estimate(value):
    return Estimate(value, value - 0.02, value + 0.02, 200)


def candidate(rule, label, weights, nll, **answers):
    return MergeCandidate(rule, label, weights, estimate(nll), **answers)


ANSWERED = {"accuracy": estimate(0.91), "passed": estimate(0.95)}
PAIR = candidate(
    "pair", "checkpoint-75 and checkpoint-400", {"checkpoint-75": 0.5, "checkpoint-400": 0.5}, 0.4, **ANSWERED
)
BEST = candidate("simplex", f"0.300 {HIDDEN}", {"checkpoint-75": 0.3, "checkpoint-125": 0.7}, 0.39, **ANSWERED)
UNIFORM = candidate(
    "uniform", "all 3", dict.fromkeys(("checkpoint-75", "checkpoint-125", "checkpoint-400"), 1 / 3), 0.41
)
POINTS = tuple(
    LinePoint(share, estimate(0.4 + share * (1 - share)), estimate(0.9), estimate(0.95), {"ood-longer": estimate(0.6)})
    for share in (0.0, 0.5, 1.0)
)
SEARCH = MergeSearch(
    single="checkpoint-125",
    candidates=(BEST, PAIR, UNIFORM),
    picks={c.rule: c.label for c in (BEST, PAIR, UNIFORM)},
    winner=BEST,
    confirmation=MergeConfirmation(
        estimate(0.01), estimate(-0.03), 0.3, 0.02, 1, (MergeCost("pass@4", estimate(0.03), 0.04),)
    ),
    recommended=True,
    reasons=("shown to be as accurate at a lower perplexity: numbers", f"because {HIDDEN}"),
    lines=(MergeLine("checkpoint-75", "checkpoint-400", POINTS, estimate(0.2), estimate(0.1), Updates(0.5, 0.87)),),
    draws=4,
)


def test_the_path_the_weights_the_picks_and_the_confirmation_are_shown_and_escaped(findings):
    section = merges(replace(findings, search=SEARCH))
    assert not section.is_empty
    assert set(section.charts) == {"nll-0", "accuracy-0", "weights"}
    for spec in section.charts.values():
        alt.LayerChart.from_dict(spec)
    text = str(section.body)
    assert HIDDEN not in text
    assert "&lt;script&gt;" in text
    for what in ("optimised weights", "the paper&#39;s pair", "uniform soup", "pass@4", "cosine of 0.50", "0.020"):
        assert what in text, what
    assert section.lead.startswith("Shown to be as accurate")
    names = {r["line"] for rows in section.charts["accuracy-0"]["datasets"].values() for r in rows}
    assert names == {"validation", "pass@4", "ood-longer"}
    weights = [rows for rows in section.charts["weights"]["datasets"].values() if "rule" in rows[0]]
    assert sum(r["value"] for r in weights[0] if r["rule"] == "optimised weights") == 1


def test_a_search_that_confirmed_nothing_and_answered_nothing_is_shown_too(findings):
    bare = replace(
        SEARCH,
        winner=None,
        confirmation=None,
        recommended=False,
        draws=0,
        candidates=(UNIFORM,),
        picks={"uniform": "all 3"},
        reasons=("no finalist is as accurate on val as checkpoint-125, so none was tested",),
        lines=(MergeLine("a", "b", POINTS[:1], Estimate(None, note="not observed")),),
    )
    section = merges(replace(findings, search=bare))
    assert set(section.charts) == {"weights"}
    assert "not measured" in str(section.body)


def test_without_a_search_the_section_says_how_to_search(findings):
    section = merges(findings)
    assert section.is_empty
    assert "--search" in str(section.body)
