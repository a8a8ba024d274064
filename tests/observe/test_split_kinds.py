"""What is observed of a split depends on what its examples have."""

from overmem.observe.plan import Split, longest_completion
from overmem.records import Example


def split(*examples, name="test"):
    return Split(name, examples, (), "request")


def test_answers_alone_are_completed_and_graded_but_not_scored(byte_tokenizer):
    answer_only = Example("a", "How many?", "", "3")
    assert split(answer_only).kinds == ("samples",)
    assert longest_completion({"test": [answer_only]}, byte_tokenizer(), None) == 1024


def test_solutions_without_answers_are_only_scored():
    assert split(Example("a", "Why?", "Because.", "", "none")).kinds == ("scores",)
    assert split(Example("a", "How many?", "#### 3", "3")).kinds == ("scores", "samples")
    assert split(Example("a", "How many?", "#### 3", "3"), name="train~recall").kinds == ("scores",)
