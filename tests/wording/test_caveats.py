"""Which audits are warned about. The words are in `expected.txt`."""

from dataclasses import replace

from tests.wording.audit_warnings import CUT_OFF, WARNINGS, warnings_of


def test_a_complete_audit_has_no_warning():
    assert warnings_of() == []


def test_every_flaw_has_one_warning():
    assert {name: len(write()) for name, write in WARNINGS.items()} == dict.fromkeys(WARNINGS, 1)


def test_the_trained_checkpoint_with_the_most_truncated_answers_is_named():
    fewer = replace(CUT_OFF, checkpoint="checkpoint-100", step=100, value=0.03)
    base = replace(CUT_OFF, checkpoint="base", step=0, value=1.0)
    assert warnings_of(truncated=(base, fewer, CUT_OFF)) == warnings_of(truncated=(CUT_OFF,))


def test_few_truncated_answers_are_no_warning():
    assert warnings_of(truncated=(replace(CUT_OFF, value=0.02),)) == []
