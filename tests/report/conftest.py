import math

import pytest

from overmem.records import (
    Checkpoint,
    CheckpointVerdict,
    Choice,
    Consequence,
    Estimate,
    Limits,
    Measurement,
    Onset,
    Severity,
    Verdict,
)
from overmem.report.findings import Findings

REGIMES = ["under-trained", "under-trained", "healthy", "healthy", "over-memorized", "over-memorized", "over-memorized"]
NLLS = [0.69, 0.47, 0.43, 0.45, 0.55, 0.66, 0.78]
TRAIN = [0.70, 0.39, 0.34, 0.31, 0.21, 0.10, 0.04]
ACCURACIES = [0.31, 0.62, 0.88, 0.90, 0.905, 0.90, 0.89]
EPOCHS = [0, 1, 3, 5, 8, 12, 16]


def proportion(p, n=200):
    half = 1.96 * math.sqrt(p * (1 - p) / n)
    return Estimate(p, max(0.0, p - half), min(1.0, p + half), n)


def nats(value, half=0.02, n=200):
    return Estimate(value, value - half, value + half, n)


def checkpoints():
    return [Checkpoint("base" if e == 0 else f"checkpoint-{25 * e}", 25 * e, float(e), e * 1e-3) for e in EPOCHS]


def judged(i, checkpoint):
    return CheckpointVerdict(
        checkpoint,
        REGIMES[i],
        nats(NLLS[i]),
        proportion(ACCURACIES[i]),
        nats(NLLS[i] - 0.43, 0.018) if i >= 2 else Estimate(None, note="before the perplexity minimum"),
        Estimate(ACCURACIES[i] - 0.90, ACCURACIES[i] - 0.93, ACCURACIES[i] - 0.87, 200),
        0.0004 if i >= 4 else 0.8,
        0.01 if i >= 2 else 0.9,
        "Accuracy is kept (-0.5 points, p = 0.01) and perplexity costs 0.12 nats a token (p < 0.001)."
        if i >= 4
        else "Accuracy is kept and the upper bound of the excess is below 0.05 nats a token.",
    )


def verdict(**changes):
    def choice(rule, i, regret):
        name = checkpoints()[i].name
        return Choice(rule, name, proportion(ACCURACIES[i] - 0.01, 400), nats(NLLS[i] + 0.01), regret, "by val")

    fields = {
        "regime": "over-memorized",
        "headline": "Ship checkpoint-125: from step 200 on the run over-memorizes.",
        "sentences": (
            "Validation perplexity is lowest at checkpoint-75 and rises from there; accuracy stays at its plateau.",
            "The last checkpoint keeps its accuracy (89.0%) at 0.35 nats a token above the minimum.",
            "Two costs are confirmed on held-out data: neutral preambles and longer problems hurt it more.",
        ),
        "checkpoints": tuple(judged(i, c) for i, c in enumerate(checkpoints())),
        "onset": Onset("checkpoint-200", Estimate(200.0, 125.0, 300.0, 200), Estimate(8.0, 5.0, 12.0, 200)),
        "severity": Severity("checkpoint-400", "checkpoint-75", nats(0.35), Estimate(0.62, 0.5, 0.71, 200)),
        "recommended": choice("overmem", 3, Estimate(0.0, 0.0, 0.0, 400)),
        "choices": (
            choice("paper", 3, Estimate(0.0, 0.0, 0.0, 400)),
            choice("last", 6, Estimate(0.01, -0.012, 0.032, 400)),
            choice("min-nll", 2, Estimate(0.02, 0.002, 0.038, 400)),
            choice("max-accuracy", 4, Estimate(-0.005, -0.02, 0.01, 400)),
        ),
        "costs": (
            Consequence("robustness", "checkpoint-400", Estimate(0.085, 0.04, 0.13, 400), 0.0004, True),
            Consequence("ood-longer", "checkpoint-400", Estimate(0.06, 0.01, 0.11, 400), 0.03, True),
            Consequence("calibration", "checkpoint-400", Estimate(0.01, -0.02, 0.04, 400), 0.7, False),
            Consequence("membership", "checkpoint-400", Estimate(None, note="no train split was sampled"), None, False),
        ),
        "warnings": ("At n = 200 a loss of accuracy below 3.1 points cannot be seen.",),
        "harm_confirmed": True,
        "limits": Limits(d_nll=0.05, margin=0.03),
        "knobs": {"d_nll": 0.05, "margin": 0.03},
    }
    return Verdict(**(fields | changes))


def measurements():
    rows = []
    for i, c in enumerate(checkpoints()):
        for split, nll, accuracy in (
            ("train", TRAIN[i], min(1.0, ACCURACIES[i] + 0.05)),
            ("val", NLLS[i], ACCURACIES[i]),
            ("test", NLLS[i] + 0.015, ACCURACIES[i] - 0.01),
            ("ood-longer", NLLS[i] + 0.2, ACCURACIES[i] - 0.3),
        ):
            where, e, p = (c.name, c.step, split), nats(nll), proportion(max(0.0, accuracy))
            rows += [
                Measurement(*where, "perplexity", "nll", e.value, 0.01, e.low, e.high, 200),
                Measurement(*where, "accuracy", "accuracy", p.value, 0.02, p.low, p.high, 200),
                Measurement(*where, "accuracy", "unanswered", None, note="not sampled"),
            ]
    for i, c in enumerate(checkpoints()):
        for k in range(5):
            sure, half = 0.1 + 0.2 * k, 0.06
            right = max(0.03, sure - 0.05 * i * sure)
            where = (c.name, c.step, "test", "calibration")
            rows += [
                Measurement(*where, "token_confidence_bin", sure, 0.01, sure - 0.01, sure + 0.01, 400, at={"bin": k}),
                Measurement(
                    *where, "token_accuracy_bin", right, 0.03, max(0, right - half), right + half, 400, at={"bin": k}
                ),
            ]
        rows.append(Measurement(*where, "token_ece", 0.02 + 0.03 * i, 0.01, 0.01 + 0.03 * i, 0.03 + 0.03 * i, 400))
    merged = ("merged-linear-75-400", 400, "val")
    return (
        *rows,
        Measurement(*merged, "perplexity", "nll", 0.46, 0.01, 0.44, 0.48, 200),
        Measurement(*merged, "accuracy", "accuracy", 0.91, 0.02, 0.87, 0.95, 200),
    )


def log():
    return tuple(
        {"step": s, "epoch": s / 25, "loss": 0.04 + 0.6 * math.exp(-s / 140), "learning_rate": 1e-3 * (1 - s / 400)}
        for s in range(5, 401, 5)
    )


@pytest.fixture(scope="session")
def findings():
    recipe = {"model": "pebble", "data": {"source": "wordproblems", "train": 400}, "seed": 1}
    plan = {"schema": 1, "splits": {"val": 200, "test": 400}, "versions": {"torch": "2.13.0"}}
    return Findings("run-1e-3", verdict(), measurements(), log(), plan=plan, recipe=recipe)


@pytest.fixture
def make_verdict():
    return verdict
