"""Every sentence of a verdict, for constructed runs and logs: the one place where wording is asserted.

`python tests/wording/test_words.py` writes `expected.txt` again: read its difference before committing it.
"""

import tempfile
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from overmem.diagnose import Diagnose, diagnose
from overmem.records import REGIMES, Checkpoint, Consequence, Estimate, Leaning, Limits
from overmem.verdict.assess import assess
from overmem.verdict.evidence import Evidence, LoggedCurve
from overmem.wording.caveats import AuditContext, caveats
from overmem.wording.headline import ENDINGS
from overmem.wording.verdict import worded
from studies.trajectories import World, simulated
from studies.worlds import World as Grown
from studies.worlds import drawn
from tests.wording.audit_warnings import WARNINGS
from tests.wording.comparisons import COMPARISONS
from tests.wording.logs import LOGS

EXPECTED = Path(__file__).parent / "expected.txt"
NAN = float("nan")
ACCURACY = (0.40, 0.70, 0.80, 0.80, 0.80, 0.80, 0.80, 0.80)


def logged(nll, accuracy=ACCURACY, **more):
    checkpoints = tuple(Checkpoint(f"checkpoint-{100 * i}", 100 * i, float(i)) for i in range(1, len(nll) + 1))
    return Evidence(val=LoggedCurve(checkpoints, np.array(nll), np.array(accuracy), 4000), **more)


def audited(world, *, harm=None, base_accuracy=None):
    """A simulated audit: val and test, the base model before them, and consequences that are planted."""
    splits = []
    for curves in simulated(world, "words", splits=2):
        if base_accuracy is not None:
            right = (np.arange(curves.correct.shape[1]) < base_accuracy * curves.correct.shape[1]).astype(float)
            curves = replace(
                curves,
                checkpoints=(Checkpoint("base", 0), *curves.checkpoints),
                nll_sums=np.vstack([curves.nll_sums[0] * 1.5, curves.nll_sums]),
                correct=np.vstack([right, curves.correct]),
            )
        splits.append(curves)

    def consequences(reference, checkpoint, luck):
        size = Estimate(0.08, 0.03, 0.13, 400) if harm else Estimate(0.01, -0.03, 0.05, 400)
        words = "accuracy on questions of another kind than it was trained on is {} lower"
        small, auroc = Estimate(0.002, -0.004, 0.008, 400), Estimate(0.21, 0.15, 0.27, 400)
        gap, leaks = (
            "its confidence is {} further from how often it is right",
            "training rows are easier to tell, by {}",
        )
        return (
            Consequence("ood-far", checkpoint, size, 0.001 if harm else 0.7, bool(harm), words, True, 0.03),
            Consequence("calibration (tokens)", checkpoint, small, 0.5, False, gap, True, 0.03, absent=True),
            Consequence("membership (ratio)", checkpoint, auroc, 0.0001, True, leaks, False, 0.05, is_privacy=True),
        )

    return Evidence(val=splits[0], test=splits[1], consequences=None if harm is None else consequences)


def trained(world):
    """A simulated audit with training rows and the base model."""
    curves = drawn(world, "words")
    return Evidence(val=curves["val"], test=curves["test"], train=curves["train"])


FALLING = (0.60, 0.45, 0.41, 0.40, 0.40, 0.40, 0.40, 0.40)
RISING = (0.60, 0.45, 0.40, 0.40, 0.45, 0.52, 0.60, 0.70)
CASES = {
    "healthy": lambda: logged(FALLING),
    "still improving": lambda: logged((0.60, 0.50, 0.45, 0.40), (0.40, 0.60, 0.70, 0.80)),
    "over-memorized": lambda: logged(RISING),
    "shipped after the onset": lambda: logged(RISING, (0.40, 0.60, 0.70, 0.80, 0.80, 0.80, 0.80, 0.83)),
    "over-fitted": lambda: logged(RISING, (0.40, 0.70, 0.80, 0.80, 0.75, 0.70, 0.65, 0.60)),
    "accuracy fell alone": lambda: logged(FALLING, (0.40, 0.70, 0.80, 0.80, 0.80, 0.75, 0.70, 0.65)),
    "small loss within the margin": lambda: logged(RISING, (0.40, 0.70, 0.80, 0.80, 0.80, 0.795, 0.79, 0.785)),
    "no accuracy": lambda: logged(RISING, (NAN,) * 8),
    "loss is not a number": lambda: logged((*RISING[:6], NAN, NAN), (*ACCURACY[:6], 0.0, 0.0)),
    "guessing": lambda: logged((0.70, 0.695, 0.693, 0.694), (0.49, 0.51, 0.50, 0.50)),
    "nothing is solved": lambda: logged(RISING, (0.0,) * 8),
    "one checkpoint": lambda: logged((0.4,), (0.8,)),
    "trainer's choice": lambda: logged(RISING, trainers_choice="checkpoint-800"),
    "val declared to be unlike train": lambda: logged(RISING, same_distribution="no"),
    "audited, harm confirmed": lambda: audited(World(n=400, checkpoints=6, discordance=0.04), harm=True),
    "audited, no harm shown": lambda: audited(World(n=400, checkpoints=6, discordance=0.04), harm=False),
    "audited, base model is better": lambda: audited(World(n=400, checkpoints=6), base_accuracy=0.97),
    "audited, not better than the base": lambda: audited(World("healthy", 400, checkpoints=6), base_accuracy=0.8),
    "rows memorized, perplexity flat": lambda: trained(Grown("flat", rise=0.0, n=800)),
    "rows memorized, perplexity risen": lambda: trained(Grown(n=800)),
    "risen without memory": lambda: trained(Grown(n=800, memory=0.0)),
    "still learning": lambda: trained(Grown(n=2000, learning=1.2, settling=0.02, growth="early", rise=0.8)),
    "too few to decide": lambda: trained(Grown(n=200)),
    "audited, flat": lambda: audited(World("flat", 300, checkpoints=6)),
}


def verdict_of_case(name):
    assessment = assess(CASES[name](), Limits())
    warnings = () if assessment.from_curves else caveats(assessment, AuditContext())
    return worded(assessment, warnings=warnings, options={})


def verdict_of_log(name):
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        LOGS[name](Path())
        return diagnose(Diagnose(".", save=False))


def sections():
    """Title -> its lines. Of logs only what the other cases do not show: remarks, and what a loss alone means."""
    made = {}
    for name in CASES:
        verdict = verdict_of_case(name)
        made[name] = [
            *lines_of(verdict),
            *(f"- {v.checkpoint.name} [{v.regime}] {v.reason}" for v in verdict.checkpoints),
        ]
    for name in LOGS:
        verdict = verdict_of_log(name)
        has_accuracy = any(v.accuracy.value is not None for v in verdict.checkpoints)
        made[f"log: {name}"] = lines_of(replace(verdict, sentences=()) if has_accuracy else verdict)
    made |= {f"compare: {name}": list(write()) for name, write in COMPARISONS.items()}
    return made | {f"warning: {name}": [f"! {text}" for text in write()] for name, write in WARNINGS.items()}


def lines_of(verdict):
    headline = f"[{verdict.regime}] {verdict.headline}"
    return [headline, *verdict.sentences, *(f"! {warning}" for warning in verdict.warnings)]


def expected_sections():
    texts = EXPECTED.read_text(encoding="utf-8").removeprefix("## ").split("\n## ")
    return {text.split("\n")[0]: text.strip().split("\n")[1:] for text in texts}


@pytest.fixture(scope="module")
def written():
    return sections()


@pytest.mark.parametrize(
    "name",
    [
        *CASES,
        *(f"log: {name}" for name in LOGS),
        *(f"compare: {name}" for name in COMPARISONS),
        *(f"warning: {name}" for name in WARNINGS),
    ],
)
def test_the_words_are_the_expected_ones(written, name):
    assert written[name] == expected_sections()[name]


def test_the_cases_reach_every_regime():
    text = EXPECTED.read_text(encoding="utf-8")
    assert all(f"[{name}]" in text for name in REGIMES)


def test_every_regime_has_its_sentence_in_the_headline():
    assert set(ENDINGS) == set(REGIMES)


def test_a_leaning_is_named_with_its_probability():
    assessment = assess(CASES["small loss within the margin"](), Limits(margin=0.012))
    last = replace(assessment.verdicts[-1], regime="undecided", leaning=Leaning("healthy", 0.84))
    verdict = worded(replace(assessment, verdicts=(*assessment.verdicts[:-1], last), onset=None), options={})
    assert "leans to healthy" in verdict.headline + verdict.checkpoints[-1].reason


if __name__ == "__main__":
    texts = ("\n".join([f"## {name}", *lines]) + "\n" for name, lines in sections().items())
    EXPECTED.write_text("\n".join(texts), encoding="utf-8")
