import json
from pathlib import Path
from typing import Any

import pytest

from overmem.errors import BadData, BadRequest
from overmem.tasks import load
from overmem.tasks.data import Data, Row
from overmem.tasks.layouts import field_columns
from overmem.tasks.parsing import content_id, parse_rows


def made(values: dict[str, Any], **data: Any) -> Any:
    request = Data(**data)
    return parse_rows([Row("rows.jsonl", 1, values)], request, request.fields).examples[0]


def test_gsm8k_keeps_its_annotations_unless_they_are_to_go() -> None:
    row = {"question": "How many?", "answer": "48/2 = <<48/2=24>>24 clips\n#### 24"}
    assert made(row).solution == row["answer"]
    assert made(row).answer == "24"
    assert made(row, strip_calculations=True).solution == "48/2 = 24 clips\n#### 24"


def test_metamathqa_groups_rephrasings_of_one_question() -> None:
    row = {"query": "A?", "response": "So.\n#### 5\nThe answer is: 5", "original_question": "Original?", "type": "x"}
    one, other = made(row), made({**row, "query": "B?"})
    assert (one.answer, one.kind) == ("5", "math")
    assert one.group == other.group != ""
    assert one.id != other.id


def test_math_takes_the_boxed_answer() -> None:
    example = made({"problem": "P?", "solution": r"Thus $\boxed{\frac{1}{2}}$.", "level": "1"})
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
    example = made(row)
    assert example.kind == "exact"
    assert example.solution == (
        "Let us think.\nAssume Zoey is a knight.\nNo contradiction.\nThis is feasible.\n"
        "#### Zoey is a knight, and Bo is a knave."
    )


def test_svamp_joins_body_and_question_with_one_full_stop() -> None:
    row = {"Body": "He had $ 3.", "Question": "How much?", "Equation": "( 4.0 - 3.0 )", "Answer": 1.0}
    assert made(row).question == "He had $ 3. How much?"
    assert made({**row, "Body": "He had $ 3"}).question == "He had $ 3. How much?"
    assert made(row).solution == "( 4.0 - 3.0 )\n#### 1"
    assert made(row).answer == "1"


def test_choices_are_written_out_with_their_letters() -> None:
    row = {"question": "Which?", "choices": {"text": ["ice", "fire"], "label": ["A", "B"]}, "answerKey": "B"}
    example = made(row)
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
    example = made(row)
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
    path.write_text("".join(json.dumps({"messages": some}) + "\n" for some in rows))
    notes = load(Data(str(path), near_duplicates=1.0)).notes
    assert "train: 2 examples with their own system turn, rendered with it" in notes
    assert any("1 conversations of several replies, of which the last reply is scored" in note for note in notes)


ASKED, REPLIED = {"role": "user", "content": "Q?"}, {"role": "assistant", "content": "#### 3"}
BRIEF = {"role": "system", "content": "Be brief."}


TURN, ANSWERED = {"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}


@pytest.mark.parametrize(
    ("row", "before"),
    [
        ({"messages": [ASKED, REPLIED]}, []),
        ({"messages": [BRIEF, ASKED, REPLIED]}, [BRIEF]),
        ({"messages": [BRIEF, ASKED], "solution": "#### 3"}, [BRIEF]),
        ({"messages": [TURN, ANSWERED, ASKED, REPLIED]}, [TURN, ANSWERED]),
        ({"messages": [ASKED, REPLIED], "system": "Be brief."}, [BRIEF]),
        (
            {
                "conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Q?"}],
                "answer": "3",
            },
            [BRIEF],
        ),
        ({"prompt": [ASKED], "completion": [REPLIED]}, []),
        ({"prompt": [BRIEF, ASKED], "completion": [REPLIED]}, [BRIEF]),
        ({"prompt": [BRIEF, ASKED], "chosen": [REPLIED], "rejected": [REPLIED]}, [BRIEF]),
        ({"instruction": "Q?", "input": "", "output": "#### 3", "system": "", "history": []}, []),
        ({"instruction": "Q?", "input": "", "output": "#### 3", "system": "Be brief."}, [BRIEF]),
        ({"instruction": "Q?", "input": "", "output": "#### 3", "history": [["Hello?", "Hello."]]}, [TURN, ANSWERED]),
        ({"question": "Which system?", "answer": "3", "system": "Linux"}, []),
    ],
)
def test_a_system_turn_and_earlier_turns_are_kept_wherever_they_stand(row: dict[str, Any], before: list[Any]) -> None:
    (example,) = parse_rows([Row("rows.jsonl", 1, row)], Data(), {}).examples
    assert (json.loads(example.context)["before"] if example.context else []) == before
    assert example.answer == "3"


def test_every_reply_of_a_conversation_is_an_example_and_all_of_one_group() -> None:
    row = {"messages": [BRIEF, TURN, ANSWERED, ASKED, REPLIED]}
    parsed = parse_rows([Row("rows.jsonl", 1, row)], Data(replies="each", kind="none"), {})
    assert [(e.question, e.solution) for e in parsed.examples] == [("Hello?", "Hello."), ("Q?", "#### 3")]
    assert len({e.group for e in parsed.examples}) == 1
    assert parsed.examples[0].group
    assert json.loads(parsed.examples[1].context)["before"] == [BRIEF, TURN, ANSWERED]
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
    example = made(row, fields=fields)
    assert example.question == "Ann has 3. How many?"
    assert example.solution == "She has 3.\n#### 3"
    assert example.group == content_id("s1")


def test_a_template_reaches_nothing_but_columns() -> None:
    with pytest.raises(BadRequest, match=r"unknown column for question 'q\.__class__'"):
        made({"q": "Q?", "answer": "3"}, fields={"question": "{q.__class__}"})


def test_a_field_or_a_column_that_does_not_exist_is_refused_with_the_ones_that_do() -> None:
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
        made({"question": "How many?", "solution": "2+2=4\n#### 4", "answer": "5"})


def test_an_answer_after_a_mark_of_its_own_is_marked_the_usual_way_too() -> None:
    example = made(
        {"question": "How many?", "solution": "Two and two. Result -> 4"}, answer_after="Result ->", kind="math"
    )
    assert (example.answer, example.solution) == ("4", "Two and two. Result -> 4\n#### 4")


def test_the_kind_is_what_most_answers_look_like() -> None:
    assert made({"question": "Q?", "answer": "(B)"}).kind == "choice"
    assert made({"question": "Q?", "answer": "1,000"}).kind == "math"
    assert made({"question": "Q?", "answer": "Paris"}).kind == "exact"
    assert made({"question": "Q?", "answer": "7"}, kind="exact").kind == "exact"


def test_an_id_depends_on_the_words_of_the_question_alone() -> None:
    assert content_id("How  many\nApples?") == content_id("how many apples?") == content_id("ｈow many apples?")
    assert content_id("how many apples?") != content_id("how many pears?")
    assert len(content_id("x")) == 16


def raw(values: dict[str, Any], **data: Any) -> Any:
    """The parsed rows as an audit of another trainer's run has them: nothing appended."""
    request = Data(**data)
    return parse_rows([Row("rows.jsonl", 1, values)], request, request.fields, append_answers=False)


def test_a_solution_is_scored_as_it_was_trained_on_and_the_answer_only_grades() -> None:
    row = {"question": "How many?", "solution": "She has 3.", "answer": "3"}
    assert made(row).solution == "She has 3.\n#### 3"
    parsed = raw(row)
    assert (parsed.examples[0].solution, parsed.examples[0].answer, parsed.appended) == ("She has 3.", "3", 0)


def test_answers_alone_are_no_solution_to_score() -> None:
    (example,) = raw({"question": "How many?", "answer": "3"}).examples
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
        ({"problem": "P?", "solution": "short #### 3", "messages": [ASKED, REPLIED]}, "Q?", "#### 3"),
        ({"chosen": [ASKED, REPLIED], "rejected": [ASKED, {"role": "assistant", "content": "4"}]}, "Q?", "#### 3"),
        ({"prompt": [ASKED], "chosen": [REPLIED], "rejected": [REPLIED]}, "Q?", "#### 3"),
        ({"instruction": "Q?", "context": "C.", "response": "#### 3"}, "Q?\nC.", "#### 3"),
    ],
)
def test_conversations_and_columns_give_the_text_that_was_trained_on(
    row: dict[str, Any], question: str, solution: str
) -> None:
    (example,) = raw(row).examples
    assert (example.question, example.solution, example.answer) == (question, solution, "3")


def test_a_prompt_of_several_turns_is_not_glued_into_one() -> None:
    turns = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello!"}, ASKED]
    parsed = raw({"prompt": turns, "completion": [REPLIED]})
    assert parsed.examples[0].question == "Q?"
    assert json.loads(parsed.examples[0].context)["before"] == turns[:2]


def test_mmlu_choices_get_letters_and_the_answer_its_letter() -> None:
    (example,) = raw({"question": "Which?", "choices": ["ice", "fire"], "answer": 1}).examples
    assert (example.question, example.answer, example.kind) == ("Which?\n(A) ice\n(B) fire", "B", "choice")


def test_a_nested_field_can_be_named_and_verl_rows_need_no_names() -> None:
    row = {"prompt": [ASKED], "reward_model": {"style": "rule", "ground_truth": "3"}, "extra_info": {"index": 1}}
    assert (raw(row).examples[0].question, raw(row).examples[0].answer) == ("Q?", "3")
    named = raw({"q": "Q?", "gold": {"value": 3}}, fields={"question": "q", "answer": "gold.value"})
    assert named.examples[0].answer == "3"


def test_plain_prompts_and_completions_keep_their_white_space() -> None:
    parsed = raw({"prompt": "Q?\nA:", "completion": " 1 + 2\n#### 3"})
    assert (parsed.verbatim, parsed.examples[0].solution) == (True, " 1 + 2\n#### 3")
    code = raw({"prompt": "def f():\n", "canonical_solution": "    return 3\n", "test": "assert"}, kind="none")
    assert (code.verbatim, code.examples[0].question, code.examples[0].solution) == (
        True,
        "def f():\n",
        "    return 3\n",
    )
    assert not raw({"question": "Q?", "solution": "#### 3"}).verbatim
