"""What a verdict takes from the examples of a run: what guessing gives, and whether words alone tell train from val."""

from dataclasses import replace

import numpy as np
import pytest

from overmem import store
from overmem.diagnose import Diagnose, diagnose
from overmem.diagnose.evidence import audited
from overmem.errors import BadRequest
from overmem.probes.mechanism import mechanism
from overmem.records import Example
from overmem.verdict.assess import assess
from overmem.verdict.evidence import Evidence
from studies.worlds import World, drawn
from studies.worlds.kinds import OVER

GUESSING = World(n=500, top=0.27, start=0.24, discordance=0.3)


@pytest.fixture
def guessing_run(tmp_path, write_run):
    """A run that is right in 27% of questions with four choices."""
    run = write_run(tmp_path, None, drawn=drawn(GUESSING, "guessing"))
    for split in ("val", "test", "train"):
        questions = [
            Example(f"{split}{i}", "Which? (A) a (B) b (C) c (D) d", "s", "ABCD"[i % 4], "choice") for i in range(500)
        ]
        store.write_examples(run, split, questions)
    return run


def test_a_run_that_does_not_beat_guessing_is_undecided_and_says_what_guessing_gives(guessing_run):
    verdict = diagnose(Diagnose(str(guessing_run.root)))
    assert {c.regime for c in verdict.checkpoints if c.checkpoint.step} == {"undecided"}
    assert "guessing, which is right in 25.0%" in verdict.checkpoints[-1].reason
    assert "guessing" in verdict.headline


def test_without_choices_in_its_questions_the_same_run_is_judged(guessing_run):
    assert diagnose(Diagnose(str(guessing_run.root), chance=0.0)).checkpoints[-1].tests.solvable


def test_chance_is_a_fraction(guessing_run):
    with pytest.raises(BadRequest, match=r"chance is 1\.5; allowed: a number from 0 to below 1"):
        diagnose(Diagnose(str(guessing_run.root), chance=1.5))


def test_a_best_checkpoint_no_better_than_guessing_is_not_worth_shipping(guessing_run):
    verdict = diagnose(Diagnose(str(guessing_run.root), chance=0.5))
    assert verdict.recommended is None
    assert verdict.headline.startswith("Ship none: ")
    assert "answers no better than guessing, which is right in 50.0%" in verdict.headline


def test_other_words_in_train_than_in_val_are_not_called_memorization(tmp_path, write_run):
    run = write_run(tmp_path, None, drawn=drawn(replace(OVER, n=300), "words"))
    for split, words in (("val", "so the sum is"), ("test", "so the sum is"), ("train", "therefore we obtain")):
        rows = [Example(f"{split}{i}", "q", f"{words} {i % 50}", "a") for i in range(300)]
        store.write_examples(run, split, rows)
    evidence, _ = audited(run, Diagnose(str(run.root)))
    assert evidence.blind.low > 0.9
    verdict = diagnose(Diagnose(str(run.root)))
    assert verdict.onset is None
    assert "over-memorized" not in {c.regime for c in verdict.checkpoints}
    assert "the words of a solution alone, without any model, tell whether it is a training row" in verdict.sentences[0]
    declared = diagnose(Diagnose(str(run.root), same_distribution="yes"))
    assert declared.regime == "over-memorized"


def test_the_end_is_confirmed_on_test_or_not():
    curves = drawn(OVER, "on test")
    same = assess(Evidence(val=curves["val"], test=curves["test"], train=curves["train"]))
    assert (same.regime, same.end_on_test.regime) == ("over-memorized", "over-memorized")
    lost = np.where(np.random.default_rng(0).random(curves["test"].correct.shape[1]) < 0.15, 0.0, 1.0)
    correct = curves["test"].correct.copy()
    correct[6:] *= lost
    other = assess(Evidence(val=curves["val"], test=replace(curves["test"], correct=correct), train=curves["train"]))
    assert (other.regime, other.end_on_test.regime) == ("over-memorized", "over-fitted")


def test_the_shares_of_severity_are_those_of_the_probe_on_the_same_tokens(tmp_path, write_run):
    run = write_run(tmp_path, None, drawn=drawn(replace(OVER, n=700), "shares"))
    severity = diagnose(Diagnose(str(run.root))).severity
    snapshots = {s.checkpoint.name: s for s in store.snapshots(run)}
    rows = mechanism(snapshots[severity.checkpoint], minimum=snapshots[severity.minimum])
    for name in ("agree_share", "scale_share"):
        probed = next(m for m in rows if m.split == "test" and m.metric == name)
        share = getattr(severity, name)
        assert (share.value, share.low, share.high) == (probed.value, probed.low, probed.high)
