"""The verdict on a run is the same on every surface: ten runs, seven surfaces, and whatever each of them states."""

import dataclasses
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from overmem import store
from overmem.callback.config import config_of
from overmem.callback.judge import judge_run
from overmem.cli import verdict_screen
from overmem.diagnose import Diagnose, diagnose, markdown
from overmem.records import REGIMES, Checkpoint, Curves, Example
from overmem.report.findings import read_findings
from overmem.report.page import page
from overmem.report.sections.answer import RULES
from overmem.verdict.selection import REASONS
from studies.trajectories import World
from studies.worlds import World as Grown
from studies.worlds import drawn


def guessing(n=300):
    """A run that answers at random among two choices, at the loss of guessing."""
    rng = np.random.default_rng(0)
    checkpoints = tuple(Checkpoint(f"checkpoint-{s}", s, s / 100, s * 1e-4) for s in (100, 200, 300))
    curves = []
    for _ in range(2):
        nll = np.full((3, n), 10 * np.log(2)) * (1 + 0.005 * rng.standard_normal((3, n)))
        correct = np.array([rng.permutation(n) < n / 2 for _ in checkpoints], dtype=float)
        curves.append(Curves(checkpoints, nll, np.full(n, 10), correct))
    return curves


def late_peak(n=1500):
    """A run whose accuracy has fallen over neighbouring checkpoints, though that of the last one is the highest."""
    rng = np.random.default_rng(1)
    accuracy = (0.40, 0.78, 0.84, 0.845, 0.84, 0.74, 0.70, 0.72, 0.70, 0.71, 0.69, 0.85)
    nll = (0.60, 0.45, 0.40, 0.41, 0.44, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80)
    checkpoints = tuple(Checkpoint(f"checkpoint-{s}", s, s / 100, s * 1e-4) for s in range(100, 1300, 100))
    curves = []
    for _ in range(2):
        ease, each = rng.random(n), rng.lognormal(-0.02, 0.2, n)
        sums = 10 * np.array(nll)[:, None] * each * (1 + 0.05 * rng.standard_normal((len(nll), n)))
        right = np.array([(ease + 0.05 * rng.standard_normal(n) < a).astype(float) for a in accuracy])
        curves.append(Curves(checkpoints, sums, np.full(n, 10), right))
    return curves


def uneven_end(n=600):
    """A run that is over-fitted by its trend, though the accuracy of the last checkpoint alone is the highest."""
    rng = np.random.default_rng(0)
    accuracy = np.array([0.5, 0.75, *[0.8] * 8, *np.minimum(0.7 + 0.04 * rng.standard_normal(13), 0.8), 0.812])
    nll = np.array([0.6, 0.45, *np.linspace(0.4, 0.5, 8), *np.linspace(0.52, 0.9, 14)])
    checkpoints = tuple(Checkpoint(f"checkpoint-{s}", s, s / 100, s * 1e-4) for s in range(100, 2500, 100))
    curves = []
    rng = np.random.default_rng(0)
    for _ in range(2):
        ease, each = rng.random(n), rng.lognormal(-0.02, 0.2, n)
        sums = 10 * nll[:, None] * each * (1 + 0.05 * rng.standard_normal((len(nll), n)))
        right = np.array([(ease + 0.05 * rng.standard_normal(n) < a).astype(float) for a in accuracy])
        curves.append(Curves(checkpoints, sums, np.full(n, 10), right))
    return curves


EXAMPLES = [Example("val0", "q", "s", "a"), Example("val1", "q", "s", "a")]
SMALL = World(n=300, checkpoints=6, discordance=0.04)
RUNS = {
    "healthy": (dataclasses.replace(SMALL, shape="healthy", n=1000), {"base": 0.3}),
    "still under-trained before its end": (dataclasses.replace(SMALL, shape="under-trained"), {"base": 0.2}),
    "over-memorized": (SMALL, {}),
    "over-memorized, harm confirmed": (SMALL, {"ood_loss": 0.15, "base": 0.3}),
    "over-memorized, no harm": (dataclasses.replace(SMALL, n=400), {"ood_loss": 0.001}),
    "over-fitted": (dataclasses.replace(SMALL, shape="over-fitted", loss=0.15, n=400), {"base": 0.3}),
    "undecided": (dataclasses.replace(SMALL, n=30), {}),
    "the base model is better": (dataclasses.replace(SMALL, n=400), {"base": 0.97}),
    "no better than the base model": (dataclasses.replace(SMALL, shape="healthy", n=400), {"base": 0.8}),
    "guessing": (World(n=300), {"splits": guessing()}),
    "undecided, its accuracy fallen but for the last checkpoint": (World(n=1500), {"splits": late_peak()}),
    "over-fitted, judged through its neighbours": (World(n=600), {"splits": uneven_end()}),
    "risen-not-memorized": (None, {"drawn": drawn(Grown(n=1500, memory=0.0, checkpoints=6), "w0")}),
    "healthy-memorizing": (None, {"drawn": drawn(Grown(n=1500, rise=0.0, checkpoints=6), "w0")}),
    "still-learning": (
        None,
        {"drawn": drawn(Grown(n=1200, learning=0.9, settling=0.02, growth="early", rise=0.8, checkpoints=6), "w1")},
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def audited(request, tmp_path_factory, write_run):
    world, more = RUNS[request.param]
    run = write_run(tmp_path_factory.mktemp("run"), world, **more)
    verdict = diagnose(Diagnose(str(run.root)))
    return SimpleNamespace(name=request.param, run=run, verdict=verdict)


def of_record(run, verdict):
    """Everything that the verdict decides."""
    last = [v for v in verdict.checkpoints if v.checkpoint.step > 0][-1]
    best = verdict.recommended or verdict.best
    onset = verdict.onset
    return {
        "regime": verdict.regime,
        "last": last.regime,
        "harm": verdict.harm_confirmed,
        "shipped": [verdict.shipped] if verdict.shipped else [],
        "best": verdict.best_of_run,
        "rule": best.rule if best else None,
        "onset": onset.checkpoint if onset else None,
        "onset step": f"{onset.step.value:,.0f}" if onset and onset.step.value is not None else None,
        "n": last.accuracy.n,
    }


def of_headline(run, verdict):
    text = verdict.headline
    named = re.match(r"(?:Ship|The best choice of the run is) (checkpoint-\d+)", text)
    facts = {"shipped": [named[1]] if named else []}
    if named:
        onset = re.search(r"from about step ([\d,]+) on", text)
        facts["onset step"] = onset[1] if onset else None
    if "harm" in text:
        facts["harm"] = "shown to do harm" in text
    elif "the best choice of the run" in text:
        facts["best"] = re.search(r"checkpoint-\d+", text)[0]
    return facts


def of_table(run, verdict):
    rows = [dict(zip(verdict.HEADINGS, row, strict=True)) for row in verdict.rows()]
    shipped = [row["checkpoint"].removesuffix(" ←") for row in rows if row["checkpoint"].endswith(" ←")]
    return {"shipped": shipped, "last": rows[-1]["regime"], "n": int(rows[-1]["n"])}


def of_sentences(sentences):
    """What the sentences state, which the terminal and Markdown both print."""
    (advice,) = [s for s in sentences if "Recommended is" in s or "best of the run is" in s]
    name, reason = re.search(r"is (checkpoint-\d+): (.*?)\. ", advice).groups()
    onset = re.search(r"first shown at (checkpoint-\d+); it began near step ([\d,]+)", " ".join(sentences))
    return {
        "best": name,
        "shipped": [name] if "Recommended is" in advice else [],
        "rule": next(rule for rule, words in REASONS.items() if words == reason),
        "onset": onset[1] if onset else None,
        "onset step": onset[2] if onset else None,
        "regime": re.search(r"At its end \(checkpoint-\d+\) the run is ([\w-]+)", " ".join(sentences))[1],
    }


def of_terminal(run, verdict):
    shown = Console(file=io.StringIO(), width=400)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdict_screen, "stdout", shown)
        verdict_screen.show_verdict(run, verdict, why=True)
    lines = shown.file.getvalue().splitlines()
    rows = [line for line in lines if re.match(r"(base|checkpoint-\d+)\b", line) and "  " in line]
    last = [row for row in rows if row.startswith("checkpoint-")][-1].split()
    sentences = of_sentences([line.strip() for line in lines])
    arrows = [row.split()[0] for row in rows if "←" in row]
    assert arrows == sentences.pop("shipped")
    return sentences | {"shipped": arrows, "last": last[-1], "n": int(last[-3])}


def of_json(run, verdict):
    raw = json.loads(json.dumps(store.to_jsonable(verdict)))
    recommended, best, onset = raw["recommended"], raw["best"], raw["onset"]
    return {
        "regime": raw["regime"],
        "harm": raw["harm_confirmed"],
        "shipped": [recommended["checkpoint"]] if recommended else [],
        "best": best["checkpoint"],
        "rule": best["rule"],
        "onset": onset["checkpoint"] if onset else None,
        "last": raw["checkpoints"][-1]["regime"],
        "n": raw["checkpoints"][-1]["accuracy"]["n"],
    }


def of_markdown(run, verdict):
    text = re.sub(r"\\(.)", r"\1", markdown(verdict))
    lines = text.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    shipped = [row[0].removesuffix("** (ship)").removeprefix("**") for row in rows if row[0].endswith("(ship)")]
    sentences = of_sentences([line.removeprefix("- ") for line in lines if line.startswith("- ")])
    assert shipped == sentences.pop("shipped")
    n = int(re.search(r"^n = ([\d,]+);", text, re.MULTILINE)[1].replace(",", ""))
    return sentences | {"shipped": shipped, "last": rows[-1][1].split()[-1], "n": n}


def of_page(run, verdict):
    store.write_verdict(run, verdict)
    text = page(read_findings(run))
    head = text[text.index('class="eyebrow"') : text.index('class="fact onset"')]
    chips = re.findall(r'<span class="chip [\w-]+">([^<]*)</span>', head)
    big = re.search(r'<p class="big[^"]*">(\S+) <span class="quiet small">(?:the best of the run is (\S+?),)?', head)
    begins = re.search(r"It begins near <strong>step ([\d,]+)</strong>", text)
    tagged = re.findall(r"<code>(checkpoint-\d+)</code>(?:<small>[^<]*</small>)?<small class=\"tag ship\">", text)
    drawn = set(re.findall(r"ship (checkpoint-\d+)", text[text.index('"charts"') :]))
    onset = re.search(r"<code>(checkpoint-\d+)</code>(?:<small[^>]*>[^<]*</small>)*?<small class=\"tag onset\">", text)
    table = text[text.index("change of accuracy</th>") :]
    rule = re.search(r'<th scope="row">([^<]*)</th>', table)[1].replace("&#39;", "'")
    shipped = [] if big[1] == "none" else [big[1]]
    assert tagged == shipped
    assert drawn == set(shipped)
    facts = {
        "regime": chips[0],
        "shipped": shipped,
        "best": big[2] or big[1],
        "onset step": begins[1] if begins else None,
        "onset": onset[1] if onset else None,
        "rule": next(name for name in REASONS if RULES.get(name, name) == rule),
        "n": int(re.search(r"accuracy<small>n = ([\d,]+)</small>", text)[1].replace(",", "")),
    }
    return facts | ({"harm": "harm confirmed" in chips} if verdict.regime == "over-memorized" else {})


def of_callback(run, verdict):
    """The callback sees val alone: neither the harm, nor a choice that was changed for it, is its to know."""
    observed = [store.read_snapshot(run, c) for c in store.read_checkpoints(run)]
    on_disk = {c.name for c in store.read_checkpoints(run) if (run.root / c.name).is_dir()}
    config = config_of({"data": EXAMPLES, "answers": True})
    seen = judge_run([s for s in observed if s.scores], config, on_disk)
    last = seen.assessment.trained[-1]
    onset = seen.assessment.onset
    facts = {
        "regime": seen.assessment.regime,
        "last": last.regime,
        "onset": onset.checkpoint if onset else None,
        "onset step": f"{onset.step.value:,.0f}" if onset else None,
        "n": last.accuracy.n,
    }
    if verdict.harm_confirmed:
        return facts
    recommended, best = seen.recommended, seen.best
    if seen.warning and recommended is not None:
        assert f"{recommended.checkpoint} is the one to ship" in seen.warning
    elif seen.warning:
        assert "Ship none" in seen.warning
    shipped = [recommended.checkpoint] if recommended else []
    return facts | {"shipped": shipped, "best": best.checkpoint, "rule": best.rule}


SURFACES = {
    "headline": of_headline,
    "table": of_table,
    "terminal": of_terminal,
    "JSON": of_json,
    "Markdown": of_markdown,
    "page": of_page,
    "callback": of_callback,
}


def disagreement(audited, surface, shown=None):
    """What a surface states that the verdict does not decide; of another verdict where `shown` is given."""
    truth = of_record(audited.run, audited.verdict)
    stated = SURFACES[surface](audited.run, shown or audited.verdict)
    return {key: value for key, value in stated.items() if value != truth[key]}


def test_every_surface_states_the_same_verdict(audited):
    assert {surface: disagreement(audited, surface) for surface in SURFACES} == {surface: {} for surface in SURFACES}


def test_none_is_shipped_exactly_where_the_headline_says_so(audited):
    ships_none = audited.name in ("the base model is better", "no better than the base model", "guessing")
    assert (audited.verdict.shipped is None) == ships_none
    assert audited.verdict.headline.startswith("Ship none") == ships_none


@pytest.mark.parametrize("audited", ["healthy"], indirect=True)
@pytest.mark.parametrize("surface", ["table", "terminal", "JSON", "Markdown", "page"])
def test_a_surface_that_names_another_checkpoint_is_seen(audited, surface):
    verdict = audited.verdict
    other = next(v.checkpoint.name for v in verdict.checkpoints if v.checkpoint.name not in ("base", verdict.shipped))
    swapped = dataclasses.replace(verdict.recommended, checkpoint=other)
    words = tuple(s.replace(f"Recommended is {verdict.shipped}", f"Recommended is {other}") for s in verdict.sentences)
    broken = dataclasses.replace(verdict, recommended=swapped, best=swapped, sentences=words)
    assert disagreement(audited, surface, broken)["shipped"] == [other]


@pytest.mark.parametrize("audited", ["over-fitted, judged through its neighbours"], indirect=True)
def test_the_run_judged_through_its_neighbours_ends_at_its_highest_accuracy(audited):
    trained = [v for v in audited.verdict.checkpoints if v.checkpoint.step > 0]
    assert trained[-1].accuracy.value >= max(v.accuracy.value for v in trained[:-1])
    assert "accuracy has, over neighbouring checkpoints, fallen" in audited.verdict.headline


def test_the_runs_are_of_the_regimes_that_they_are_named_after(audited):
    named = audited.name.partition(",")[0]
    assert audited.verdict.regime == named or named not in REGIMES
    assert audited.verdict.harm_confirmed == audited.name.endswith("harm confirmed")
