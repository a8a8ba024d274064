"""The control arms of the paper's study: only what an arm is about differs from the others."""

from overmem.tasks import Data, load
from studies.paper import arms


def test_val_in_another_style_has_the_same_questions_sums_and_answers():
    same, other = arms.splits_of("the-same"), arms.splits_of("another-style")
    assert other["train"] == same["train"]
    for left, right in zip(same["val"], other["val"], strict=True):
        assert (left.question, left.answer) == (right.question, right.answer)
        assert arms.EQUATION.findall(left.solution) == arms.EQUATION.findall(right.solution)
    assert sum(a.solution != b.solution for a, b in zip(same["val"], other["val"], strict=True)) > 490


def test_about_a_fifth_of_the_training_labels_are_wrong_and_no_others():
    same, wrong = arms.splits_of("the-same"), arms.splits_of("wrong-labels")
    changed = [b for a, b in zip(same["train"], wrong["train"], strict=True) if a.answer != b.answer]
    assert 50 <= len(changed) <= 110
    assert all(e.solution.endswith(f"#### {e.answer}") for e in changed)
    assert (wrong["val"], wrong["test"]) == (same["val"], same["test"])


def test_the_folders_are_read_as_data(tmp_path):
    arms.main(["--out", str(tmp_path)])
    for arm in arms.ARMS:
        splits = load(Data(str(tmp_path / arm))).splits
        assert {name: len(rows) for name, rows in splits.items()} == {"train": 400, "val": 500, "test": 500}
