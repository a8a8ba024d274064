"""The callback's options: read strictly, before anything is loaded."""

import pytest

from overmem.callback.config import EvaluationData, config_of, load_examples
from overmem.errors import BadRequest
from overmem.records import Example
from overmem.tasks import Data, load

EXAMPLE = Example("1", "What is 1 plus 1?", "1 + 1 = 2\n#### 2", "2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "wordproblems", "row": 5}, "OvermemCallback: unknown key 'row'; allowed: .*rows"),
        ({"rows": 5}, "OvermemCallback: key 'data' is missing"),
        ({"data": "wordproblems", "rows": 1}, "rows: .* greater than or equal to 2, got 1"),
        ({"data": "wordproblems", "rows": "many"}, "rows: .* valid integer.*, got 'many'"),
        ({"data": "wordproblems", "seconds": 0}, "seconds: .* greater than 0, got 0"),
        ({"data": "wordproblems", "margin": 1.5}, "margin: .* less than 1, got 1.5"),
        ({"data": "wordproblems", "when": "always"}, "when: .*'evaluate', 'save' or 'both', got 'always'"),
        ({"data": "wordproblems", "stop": True}, r"stop=True\) needs answers=True"),
        ({"data": "wordproblems", "keep": True, "answers": True, "record": False}, r"keep=True\) needs record=True"),
    ],
)
def test_a_wrong_keyword_or_value_is_refused_with_what_is_allowed(options, message):
    with pytest.raises(BadRequest, match=message):
        config_of(options)


def test_a_source_name_a_mapping_and_a_data_object_are_equivalent():
    data = Data("wordproblems", train=5, val=5, test=5)
    keys = {"source": "wordproblems", "train": 5, "val": 5, "test": 5}
    assert load_examples(data) == load_examples(keys) == EvaluationData(data, dict(load(data).splits))


def test_examples_can_be_passed_directly():
    assert load_examples([EXAMPLE]) == EvaluationData(None, {"val": (EXAMPLE,)})
    assert load_examples({"train": [EXAMPLE], "val": (EXAMPLE,)}) == EvaluationData(
        None, {"train": (EXAMPLE,), "val": (EXAMPLE,)}
    )


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"test": [EXAMPLE], "val": [EXAMPLE]}, "unknown split 'test'.*train, val"),
        ([], "no val example"),
        ({"train": [EXAMPLE]}, "no val example"),
        ({"source": "wordproblems", "vall": 5}, "unknown key 'vall'"),
        ("wordproblem", "unknown data source 'wordproblem'"),
        (Data("wordproblems", val=0), "no val example"),
    ],
)
def test_data_that_cannot_be_judged_on_is_refused(argument, message):
    with pytest.raises(BadRequest, match=message):
        load_examples(argument)
