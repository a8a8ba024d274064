"""Layouts: the columns of question, solution, answer and group in well-known data sets."""

import re
from collections.abc import Mapping, Sequence

from overmem.errors import BadData, unknown
from overmem.tasks import code_rows

FIELDS = ("question", "solution", "answer", "group")

LAYOUTS: dict[str, dict[str, str]] = {
    "metamathqa": {"question": "query", "solution": "response", "group": "original_question"},
    "knights-and-knaves": {
        "question": "quiz",
        "solution": "{cot_head}\n{cot_repeat_steps}\n{cot_foot}",
        "answer": "solution_text",
    },
    "svamp": {"question": "{Body}. {Question}", "solution": "Equation", "answer": "Answer"},
    "multiple-choice": {"question": "{question}\n{choices}", "answer": "answerKey"},
    "mmlu": {"question": "{question}\n{choices}", "answer": "answer"},
    "openbookqa": {"question": "{question_stem}\n{choices}", "answer": "answerKey"},
    "aqua": {"question": "{question}\n{options}", "solution": "rationale", "answer": "correct"},
    "instruction": {"question": "{instruction}\n{input}", "solution": "output", "answer": "answer"},
    "alpaca": {"question": "{instruction}\n{input}", "solution": "output"},
    "dolly": {"question": "{instruction}\n{context}", "solution": "response"},
    "verl": {"question": "prompt", "answer": "reward_model.ground_truth"},
    "preference": {"question": "prompt", "solution": "chosen"},
    "gsm-hard": {"question": "input", "answer": "target"},
    **code_rows.LAYOUTS,
}
"""Layouts recognized by their columns; the first one whose columns are all present is used."""

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "question": ("question", "problem", "query", "quiz", "prompt", "instruction", "input"),
    "solution": ("solution", "rationale", "response", "output", "completion", "cot", "reasoning", "solutions", "code"),
    "answer": ("answer", "final_answer", "final_ans", "target", "ground_truth", "answerkey"),
    "group": ("seed_question", "original_question"),
}
"""Usual column names of each field, in order of preference; case does not matter."""

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
"""A column in a template of several columns."""


def field_columns(columns: Sequence[str], overrides: Mapping[str, str], where: str) -> dict[str, str]:
    """The column or template of each field: the override, else that of a known layout, else a usual name.

    Args:
        columns: the columns of the file.
        overrides: the `fields` of the data.
        where: the file, for messages.

    Raises:
        BadRequest: an unknown field or column.
        BadData: no column for the question, or none for solution and answer.
    """
    for field, template in overrides.items():
        if field not in FIELDS:
            raise unknown("field", field, FIELDS, "data.fields")
        for column in PLACEHOLDER.findall(template) or [template]:
            if column not in columns:
                raise unknown(f"column for {field}", column, columns, where)
    layout = next((layout for layout in LAYOUTS.values() if _columns(layout) <= set(columns)), None)
    if layout is None:
        by_case = {column.casefold(): column for column in reversed(columns)}
        layout = {
            field: next(by_case[name] for name in names if name in by_case)
            for field, names in USUAL_NAMES.items()
            if any(name in by_case for name in names)
        }
    fields = {**layout, **overrides}
    if "question" not in fields or not {"solution", "answer"} & set(fields):
        raise BadData(
            f"{where}: no column for {'question' if 'question' not in fields else 'solution or answer'} among "
            f"{', '.join(columns)}; name it under fields:"
        )
    return fields


def _columns(layout: Mapping[str, str]) -> set[str]:
    return {column for template in layout.values() for column in (PLACEHOLDER.findall(template) or [template])}
