"""The first screen of an audited run."""

from pathlib import Path

from overmem import store
from overmem.report.flips import easiest_flip
from overmem.report.glossary import GLOSSARY, gloss

RUN = Path(__file__).parents[1] / "golden" / "run"


def test_the_question_that_went_wrong_is_of_the_split_that_lost_the_most():
    flip = easiest_flip(
        store.open_run(str(RUN)), "checkpoint-200", "checkpoint-350", ["test", "ood-domain", "ood-longer"]
    )
    assert (flip.split, flip.lost, flip.won, flip.n) == ("ood-longer", 9, 5, 50)
    assert flip.answer in flip.before
    assert flip.answer not in flip.after


def test_there_is_no_flip_between_a_checkpoint_and_itself_or_without_completions():
    run = store.open_run(str(RUN))
    assert easiest_flip(run, "checkpoint-200", "checkpoint-200", ["test"]) is None
    assert easiest_flip(run, "checkpoint-200", "checkpoint-350", ["nowhere"]) is None


def test_a_term_is_explained_by_mouse_and_by_keyboard():
    html = gloss("AUROC")
    assert 'tabindex="0"' in html
    assert GLOSSARY["AUROC"] in html
