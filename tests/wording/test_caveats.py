"""Every warning about how a run was audited, word for word."""

from dataclasses import replace

import numpy as np
import pytest

from overmem.records import Checkpoint, Limits, Measurement
from overmem.verdict.assess import assess
from overmem.verdict.evidence import Evidence
from overmem.wording.caveats import AuditContext, caveats
from studies.trajectories import World, simulated

VAL, TEST = simulated(World("flat", 400, checkpoints=6), "caveats", splits=2)
CUT_OFF = Measurement("checkpoint-200", 200, "val", "accuracy", "cut_off", 0.12, 0.01, 0.09, 0.15, 400, "")


def warnings(evidence=None, limits=None, **context):
    """The warnings, without the one that no training rows were scored."""
    assessment = assess(evidence or Evidence(val=VAL, test=TEST), limits or Limits())
    return [w for w in caveats(assessment, AuditContext(**context)) if "no training rows were scored" not in w]


def test_an_audit_with_everything_has_no_warning():
    assert warnings() == []


def test_splits_carved_from_training_rows():
    text = (
        "{} cut out of the training rows of the data that was given: if the run was trained on those too, nothing was "
        "held out, and none of this holds."
    )
    assert warnings(carved_splits=("val", "test")) == [text.format("Val and test were")]
    assert warnings(carved_splits=("test",)) == [text.format("Test was")]


@pytest.mark.parametrize(("limit", "option"), [(None, ""), (64, ", --max-new-tokens 64")])
def test_truncated_answers(limit, option):
    fewer = replace(CUT_OFF, checkpoint="checkpoint-100", step=100, value=0.03)
    base = replace(CUT_OFF, checkpoint="base", step=0, value=1.0)
    assert warnings(truncated=(base, fewer, CUT_OFF), max_new_tokens=limit) == [
        "12.0% of the answers at checkpoint-200 on val ran into the length limit (95% interval 9.0 to 15.0, n = 400"
        f"{option}) and were read as far as they came, which can look like lost accuracy; audit with a larger "
        "--max-new-tokens (a model that has not learned to stop runs into any)."
    ]


def test_few_truncated_answers_are_no_warning():
    assert warnings(truncated=(replace(CUT_OFF, value=0.02),)) == []


def test_splits_that_are_missing():
    assert warnings(Evidence(val=VAL)) == [
        "There is no test split: the choice was not confirmed on other examples.",
    ]
    assert warnings(selected_on="test") == [
        "There is no val split: checkpoints were judged and chosen on test, which flatters the choice."
    ]


def test_deleted_checkpoints():
    assert warnings(not_on_disk=("checkpoint-50", "checkpoint-100")) == [
        "Audited, but no longer on disk, so not recommended: checkpoint-50, checkpoint-100."
    ]


def test_answers_that_were_not_measured():
    nothing = replace(VAL, correct=np.full_like(VAL.correct, np.nan))
    assert warnings(Evidence(val=nothing, test=TEST)) == [
        "No answers were measured, and perplexity alone cannot tell over-memorization from over-fitting, so no "
        "checkpoint is judged; perplexity, membership and memorization are measured all the same."
    ]


def test_a_limit_that_is_most_of_the_nll():
    rising, test = simulated(World(n=400, checkpoints=6), "caveats", splits=2)
    (warning,) = warnings(Evidence(val=rising, test=test), Limits(d_nll=0.3))
    assert warning.startswith("The solutions are predictable (")
    assert "% before that is called costly; judge with a lower --d-nll. At checkpoint-1000 it has risen by " in warning
    (short,) = warnings(limits=Limits(d_nll=0.3))
    assert short.endswith("judge with a lower --d-nll.")


def test_a_model_that_is_not_shown_to_beat_its_base():
    right = (np.arange(400) < 0.8 * 400).astype(float)
    val, test = (
        replace(
            curves,
            checkpoints=(Checkpoint("base", 0), *curves.checkpoints),
            nll_sums=np.vstack([curves.nll_sums[0] * 1.5, curves.nll_sums]),
            correct=np.vstack([right, curves.correct]),
        )
        for curves in (VAL, TEST)
    )
    (warning,) = warnings(Evidence(val=val, test=test))
    assert "is not shown to be more accurate than the base model: " in warning
    assert warning.endswith("n = 400).")
