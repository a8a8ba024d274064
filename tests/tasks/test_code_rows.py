"""Rows with tests become examples of kind `code`."""

import json

import pytest

from overmem.errors import BadData
from overmem.tasks import Data, load

HUMANEVAL = {
    "task_id": "x/0",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(21) == 42\n",
    "entry_point": "double",
}
MBPP = {
    "text": "Write a function to double a number.",
    "code": "def double(x):\r\n    return 2 * x",
    "task_id": 1,
    "test_setup_code": "import math",
    "test_list": ["assert double(21) == 42", "assert double(0) == 0"],
}


def only_example(tmp_path, row, **options):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    splits = load(Data(str(path), val=0, test=0, **options)).splits
    [example] = [example for examples in splits.values() for example in examples]
    return example


def test_a_row_with_a_test_function_and_an_entry_point_keeps_its_indentation(tmp_path):
    example = only_example(tmp_path, HUMANEVAL)
    assert (example.kind, example.question) == ("code", HUMANEVAL["prompt"])
    assert example.solution == HUMANEVAL["canonical_solution"]
    assert example.answer.endswith("\ncheck(double)\n")
    exec(example.question + example.solution + example.answer, {})


def test_a_row_with_a_list_of_tests_names_them_in_the_question(tmp_path):
    example = only_example(tmp_path, MBPP)
    assert example.kind == "code"
    assert "assert double(21) == 42" in example.question
    assert example.solution == "def double(x):\n    return 2 * x"
    assert example.answer == "import math\nassert double(21) == 42\nassert double(0) == 0\n"


def test_input_and_output_of_a_named_function_become_assertions(tmp_path):
    cases = json.dumps({"fn_name": "double", "inputs": [[21]], "outputs": [42]})
    row = {"question": "Double it.", "solutions": json.dumps(["def double(x): return 2 * x"]), "input_output": cases}
    example = only_example(tmp_path, row)
    assert example.answer == "assert double(*[21]) == 42\n"
    exec(example.solution + "\n" + example.answer, {})


def test_kind_code_without_tests_says_which_columns_would_be_tests(tmp_path):
    row = {"question": "Double it.", "solution": "def double(x): return 2 * x"}
    with pytest.raises(BadData, match="test_list"):
        only_example(tmp_path, row, kind="code")
