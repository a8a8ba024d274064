"""Rows of well-known data sets, conversations and user-defined columns become examples."""

import json
from pathlib import Path
from typing import Any

import pytest

from overmem.errors import BadData, BadRequest
from overmem.tasks import load
from overmem.tasks.data import Data, Row
from overmem.tasks.layouts import field_columns
from overmem.tasks.parsing import content_id, parse_rows


def parse(values: dict[str, Any], **data: Any) -> Any:
    request = Data(**data)
    return parse_rows([Row("rows.jsonl", 1, values)], request, request.fields).examples[0]


def test_gsm8k_keeps_its_annotations_unless_strip_calculations_is_set() -> None:
    row = {"question": "How many?", "answer": "48/2 = <<48/2=24>>24 clips\n#### 24"}
    assert parse(row).solution == row["answer"]
    assert parse(row).answer == "24"
    assert parse(row, strip_calculations=True).solution == "48/2 = 24 clips\n#### 24"


def test_metamathqa_groups_rephrasings_of_one_question() -> None:
    row = {"query": "A?", "response": "So.\n#### 5\nThe answer is: 5", "original_question": "Original?", "type": "x"}
    first, other = parse(row), parse({**row, "query": "B?"})
    assert (first.answer, first.kind) == ("5", "math")
    assert first.group == other.group != ""
    assert first.id != other.id


def test_math_reads_the_boxed_answer() -> None:
    example = parse({"problem": "P?", "solution": r"Thus $\boxed{\frac{1}{2}}$.", "level": "1"})
    assert (example.answer, example.kind) == (r"\frac{1}{2}", "math")
    assert example.solution == r"Thus $\boxed{\frac{1}{2}}$."


def test_knights_and_knaves_gets_its_worked_solution_and_its_answer() -> None:
    row = {
        "quiz": "Who is who?",
        "cot_head": "Let us think.",
        "cot_repeat_steps": ["Assume Zoey is a knight.", "No contradiction."],
        "cot_foot": "This is feasible.",
        "solution_text": "Zoey is a knight, and Bo is a knave.",
        "solution": [True, False],
    }
    example = parse(row)
    assert example.kind == "exact"
    assert example.solution == (
        "Let us think.\nAssume Zoey is a knight.\nNo contradiction.\nThis is feasible.\n"
        "#### Zoey is a knight, and Bo is a knave."
    )


def test_svamp_joins_body_and_question_with_one_full_stop() -> None:
    row = {"Body": "He had $ 3.", "Question": "How much?", "Equation": "( 4.0 - 3.0 )", "Answer": 1.0}
    assert parse(row).question == "He had $ 3. How much?"
    assert parse({**row, "Body": "He had $ 3"}).question == "He had $ 3. How much?"
    assert parse(row).solution == "( 4.0 - 3.0 )\n#### 1"
    assert parse(row).answer == "1"


def test_choices_are_written_out_with_their_letters() -> None:
    row = {"question": "Which?", "choices": {"text": ["ice", "fire"], "label": ["A", "B"]}, "answerKey": "B"}
    example = parse(row)
    assert example.question == "Which?\n(A) ice\n(B) fire"
    assert (example.answer, example.kind, example.solution) == ("B", "choice", "#### B")


@pytest.mark.parametrize(
    "row",
    [
        {
            "messages": [
                {"role": "system", "content": "Be."},
                {"role": "user", "content": "Q?"},
                {"role": "assistant", "content": "#### 3"},
            ]
        },
        {"conversations": [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": "#### 3"}]},
        {"prompt": [{"role": "user", "content": "Q?"}], "completion": [{"role": "assistant", "content": "#### 3"}]},
    ],
)
def test_conversations_are_a_question_and_its_reply(row: dict[str, Any]) -> None:
    example = parse(row)
    assert (example.question, example.solution, example.answer) == ("Q?", "#### 3", "3")


def test_the_rest_of_a_conversation_is_kept_counted_and_reported(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Q?"},
        {"role": "assistant", "content": "#### 3"},
    ]
    path = tmp_path / "chats.jsonl"
    rows = (
        turns,
        turns[1:],
        [*turns, {"role": "user", "content": "And R?"}, {"role": "assistant", "content": "#### 4"}],
    )
    path.write_text("".join(json.dumps({"messages": turns}) + "\n" for turns in rows))
    notes = load(Data(str(path), near_duplicates=1.0)).notes
    assert "train: 2 examples with their own system turn, rendered with it" in notes
    assert any("1 conversations of several replies, of which the last reply is scored" in note for note in notes)


USER, REPLY = {"role": "user", "content": "Q?"}, {"role": "assistant", "content": "#### 3"}
SYSTEM = {"role": "system", "content": "Be brief."}


USER_0, REPLY_0 = {"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}


@pytest.mark.parametrize(
    ("row", "before"),
    [
        ({"messages": [USER, REPLY]}, []),
        ({"messages": [SYSTEM, USER, REPLY]}, [SYSTEM]),
        ({"messages": [SYSTEM, USER], "solution": "#### 3"}, [SYSTEM]),
        ({"messages": [USER_0, REPLY_0, USER, REPLY]}, [USER_0, REPLY_0]),
        ({"messages": [USER, REPLY], "system": "Be brief."}, [SYSTEM]),
        (
            {
                "conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Q?"}],
                "answer": "3",
            },
            [SYSTEM],
        ),
        ({"prompt": [USER], "completion": [REPLY]}, []),
        ({"prompt": [SYSTEM, USER], "completion": [REPLY]}, [SYSTEM]),
        ({"prompt": [SYSTEM, USER], "chosen": [REPLY], "rejected": [REPLY]}, [SYSTEM]),
        ({"instruction": "Q?", "input": "", "output": "#### 3", "system": "", "history": []}, []),
        ({"instruction": "Q?", "input": "", "output": "#### 3", "system": "Be brief."}, [SYSTEM]),
        ({"instruction": "Q?", "input": "", "output": "#### 3", "history": [["Hello?", "Hello."]]}, [USER_0, REPLY_0]),
        ({"question": "Which system?", "answer": "3", "system": "Linux"}, []),
    ],
)
def test_system_and_earlier_turns_are_kept_in_every_layout(row: dict[str, Any], before: list[Any]) -> None:
    (example,) = parse_rows([Row("rows.jsonl", 1, row)], Data(), {}).examples
    assert (json.loads(example.context)["before"] if example.context else []) == before
    assert example.answer == "3"


def test_with_replies_each_every_reply_is_an_example_of_one_group() -> None:
    row = {"messages": [SYSTEM, USER_0, REPLY_0, USER, REPLY]}
    parsed = parse_rows([Row("rows.jsonl", 1, row)], Data(replies="each", kind="none"), {})
    assert [(e.question, e.solution) for e in parsed.examples] == [("Hello?", "Hello."), ("Q?", "#### 3")]
    assert len({e.group for e in parsed.examples}) == 1
    assert parsed.examples[0].group
    assert json.loads(parsed.examples[1].context)["before"] == [SYSTEM, USER_0, REPLY_0]
    assert len({e.id for e in parsed.examples}) == 2


def test_tools_their_calls_and_their_results_are_kept() -> None:
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    turns = [
        {"from": "human", "value": "Q?"},
        {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
        {"from": "observation", "value": "3"},
        {"from": "gpt", "value": "#### 3"},
    ]
    (example,) = parse_rows(
        [Row("rows.jsonl", 1, {"conversations": turns, "tools": json.dumps(tools)})], Data(), {}
    ).examples
    context = json.loads(example.context)
    assert context["tools"] == tools
    assert [turn["role"] for turn in context["after"]] == ["assistant", "tool"]
    assert context["after"][0]["tool_calls"][0]["function"]["name"] == "add"


def test_fields_may_be_columns_or_templates_of_columns() -> None:
    row = {"Who": "Ann has 3.", "Ask": "How many?", "Why": "She has 3.", "N": 3, "set": "s1"}
    fields = {"question": "{Who} {Ask}", "solution": "Why", "answer": "N", "group": "set"}
    example = parse(row, fields=fields)
    assert example.question == "Ann has 3. How many?"
    assert example.solution == "She has 3.\n#### 3"
    assert example.group == content_id("s1")


def test_a_template_can_only_name_columns() -> None:
    with pytest.raises(BadRequest, match=r"unknown column for question 'q\.__class__'"):
        parse({"q": "Q?", "answer": "3"}, fields={"question": "{q.__class__}"})


def test_an_unknown_field_or_column_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(BadRequest, match=r"unknown field 'prompt'.*allowed: answer, group, question, solution"):
        field_columns(["a"], {"prompt": "a"}, "rows.jsonl")
    with pytest.raises(BadRequest, match=r"unknown column for question 'b' in rows\.jsonl; allowed: a"):
        field_columns(["a"], {"question": "b"}, "rows.jsonl")
    with pytest.raises(BadData, match=r"rows\.jsonl: no column for question among a, c; name it under fields:"):
        field_columns(["a", "c"], {}, "rows.jsonl")
    with pytest.raises(BadData, match="no column for solution or answer"):
        field_columns(["question"], {}, "rows.jsonl")


def test_a_solution_that_contradicts_the_answer_is_a_broken_row() -> None:
    with pytest.raises(BadData, match=r"rows\.jsonl, row 1: the solution ends in '4', which is not the answer '5'"):
        parse({"question": "How many?", "solution": "2+2=4\n#### 4", "answer": "5"})


def test_an_answer_after_a_custom_mark_is_also_marked_in_the_usual_way() -> None:
    example = parse(
        {"question": "How many?", "solution": "Two and two. Result -> 4"}, answer_after="Result ->", kind="math"
    )
    assert (example.answer, example.solution) == ("4", "Two and two. Result -> 4\n#### 4")


def test_the_kind_is_that_of_most_answers() -> None:
    assert parse({"question": "Q?", "answer": "(B)"}).kind == "choice"
    assert parse({"question": "Q?", "answer": "1,000"}).kind == "math"
    assert parse({"question": "Q?", "answer": "Paris"}).kind == "exact"
    assert parse({"question": "Q?", "answer": "7"}, kind="exact").kind == "exact"


def test_an_id_depends_on_the_words_of_the_question_alone() -> None:
    assert content_id("How  many\nApples?") == content_id("how many apples?") == content_id("ｈow many apples?")
    assert content_id("how many apples?") != content_id("how many pears?")
    assert len(content_id("x")) == 16


def parse_raw(values: dict[str, Any], **data: Any) -> Any:
    """Parse one row as for the run of another trainer: nothing is appended to the solution."""
    request = Data(**data)
    return parse_rows([Row("rows.jsonl", 1, values)], request, request.fields, append_answers=False)


def test_without_append_answers_the_solution_is_unchanged() -> None:
    row = {"question": "How many?", "solution": "She has 3.", "answer": "3"}
    assert parse(row).solution == "She has 3.\n#### 3"
    parsed = parse_raw(row)
    assert (parsed.examples[0].solution, parsed.examples[0].answer, parsed.appended) == ("She has 3.", "3", 0)


def test_rows_with_answers_only_have_an_empty_solution() -> None:
    (example,) = parse_raw({"question": "How many?", "answer": "3"}).examples
    assert (example.solution, example.answer) == ("", "3")


@pytest.mark.parametrize(
    ("row", "question", "solution"),
    [
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Q"}, {"type": "text", "text": "?"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "#### 3"}]},
                ]
            },
            "Q?",
            "#### 3",
        ),
        ({"problem": "P?", "solution": "short #### 3", "messages": [USER, REPLY]}, "Q?", "#### 3"),
        ({"chosen": [USER, REPLY], "rejected": [USER, {"role": "assistant", "content": "4"}]}, "Q?", "#### 3"),
        ({"prompt": [USER], "chosen": [REPLY], "rejected": [REPLY]}, "Q?", "#### 3"),
        ({"instruction": "Q?", "context": "C.", "response": "#### 3"}, "Q?\nC.", "#### 3"),
    ],
)
def test_conversations_and_columns_give_the_text_that_was_trained_on(
    row: dict[str, Any], question: str, solution: str
) -> None:
    (example,) = parse_raw(row).examples
    assert (example.question, example.solution, example.answer) == (question, solution, "3")


def test_the_turns_of_a_prompt_stay_separate() -> None:
    turns = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello!"}, USER]
    parsed = parse_raw({"prompt": turns, "completion": [REPLY]})
    assert parsed.examples[0].question == "Q?"
    assert json.loads(parsed.examples[0].context)["before"] == turns[:2]


def test_mmlu_choices_get_letters_and_the_answer_its_letter() -> None:
    (example,) = parse_raw({"question": "Which?", "choices": ["ice", "fire"], "answer": 1}).examples
    assert (example.question, example.answer, example.kind) == ("Which?\n(A) ice\n(B) fire", "B", "choice")


def test_a_nested_field_can_be_named_and_verl_rows_need_no_names() -> None:
    row = {"prompt": [USER], "reward_model": {"style": "rule", "ground_truth": "3"}, "extra_info": {"index": 1}}
    assert (parse_raw(row).examples[0].question, parse_raw(row).examples[0].answer) == ("Q?", "3")
    named = parse_raw({"q": "Q?", "gold": {"value": 3}}, fields={"question": "q", "answer": "gold.value"})
    assert named.examples[0].answer == "3"


def test_plain_prompts_and_completions_keep_their_white_space() -> None:
    parsed = parse_raw({"prompt": "Q?\nA:", "completion": " 1 + 2\n#### 3"})
    assert (parsed.verbatim, parsed.examples[0].solution) == (True, " 1 + 2\n#### 3")
    code = parse_raw({"prompt": "def f():\n", "canonical_solution": "    return 3\n", "test": "assert"}, kind="none")
    assert (code.verbatim, code.examples[0].question, code.examples[0].solution) == (
        True,
        "def f():\n",
        "    return 3\n",
    )
    assert not parse_raw({"question": "Q?", "solution": "#### 3"}).verbatim
