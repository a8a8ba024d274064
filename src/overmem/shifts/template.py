"""Another layout around the question."""

import random
from dataclasses import replace

from overmem.records import Example

TEMPLATES = (
    "Q: {question}",
    "Question: {question}",
    "Problem:\n{question}",
    "### Question\n{question}",
    "[Question]\n{question}\n[End of question]",
    "Exercise.\n\n{question}",
    '"{question}"',
    "<question>{question}</question>",
)
"""Layouts that say nothing about how to answer."""


def template(example: Example, random: random.Random) -> Example:
    """Another prompt template inside the checkpoint's own: a label or frame around the question. Keeps the answer."""
    return replace(example, question=random.choice(TEMPLATES).replace("{question}", example.question))
