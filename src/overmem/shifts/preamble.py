"""A harmless sentence before the question."""

import random
from dataclasses import replace

from overmem.records import Example

PREAMBLES = (
    "Hello.",
    "Hi there!",
    "Good morning.",
    "Next one.",
    "Here is a question.",
    "I have a question for you.",
    "Please read the following.",
    "Thank you for your time.",
    "This came up at work today.",
    "A friend sent me this yesterday.",
    "Below you will find a question that I would like answered.",
    "I was reading on the train this morning and saw the following.",
    "The weather is fine today, and I am sitting down with a cup of tea.",
    "Before we begin, let me say that I appreciate your help with this.",
    "My sister and I were talking about this over dinner last weekend.",
    "This is one of several questions on a sheet that our school handed out.",
    "I hope that you are well. I am writing to ask you about something small.",
    "We are putting together a collection of questions. The next one in it reads as follows.",
    "I do not mind how long it takes. There is no hurry at all, and nothing depends on it.",
    "It is a quiet afternoon here. The radio is on, the window is open, and I have a sheet of paper in front of me.",
    "I copied the following from a notebook that I found on my desk. The handwriting was clear, so it should be as it "
    "was written.",
    "Thank you for looking at this. I have asked the same question of other people too, and I am curious to hear from "
    "everyone. It is given here in full.",
    "Our group meets every week in the library. We talk about books, about films, and now and then we read a question "
    "aloud and everyone answers it. The one for this week is given below.",
    "You may already know how these messages usually go. Someone writes a few friendly lines, says where they are and "
    "what the day has been like, and only then comes to the point. Here is the point.",
)
"""Wordings of several lengths that neither help nor mislead: no number, no advice on how to answer."""


def preamble(example: Example, random: random.Random) -> Example:
    """A neutral preamble before the question, one of two dozen wordings of several lengths. Keeps the answer.

    Source: Ruan et al. 2025, https://arxiv.org/abs/2508.04117 (the idea; the wordings are our own).
    """
    return replace(example, question=f"{random.choice(PREAMBLES)} {example.question}")
