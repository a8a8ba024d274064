"""The wordings of the task `wordproblems`: voices that solve a problem, and neutral sentences before one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """How solutions are worded: {a} is the total before a step, {b} the size of the change, {c} the total after it."""

    opening: tuple[str, ...]
    gain: tuple[str, ...]
    loss: tuple[str, ...]
    closing: tuple[str, ...]


VOICES = {
    "book": Voice(
        opening=("", "Start with {a}.", "At first there are {a}.", "We begin at {a}."),
        gain=(
            "{a} + {b} = {c}.",
            "So {a} + {b} = {c}.",
            "Adding {b}, we find {a} + {b} = {c}.",
            "With {b} more it is {a} + {b} = {c}.",
        ),
        loss=(
            "{a} - {b} = {c}.",
            "So {a} - {b} = {c}.",
            "Subtracting {b}, we find {a} - {b} = {c}.",
            "With {b} fewer it is {a} - {b} = {c}.",
        ),
        closing=("The result is {c}.", "So it is {c}.", "The answer is {c}.", "This leaves us with {c}."),
    ),
    "tutor": Voice(
        opening=("", "Let us see: {a} to begin.", "The story opens with {a}.", "Our first count is {a}."),
        gain=(
            "That makes {a} + {b} = {c}.",
            "Going up by {b} gives {a} + {b} = {c}.",
            "The count rises: {a} + {b} = {c}.",
            "We gain {b}, so {b} + {a} = {c}.",
            "Now there are {a} + {b} = {c}.",
            "Then {b} join, {a} + {b} = {c}.",
            "It grows to {a} + {b} = {c}.",
            "Next, {b} + {a} = {c}.",
        ),
        loss=(
            "That makes {a} - {b} = {c}.",
            "Going down by {b} gives {a} - {b} = {c}.",
            "The count falls: {a} - {b} = {c}.",
            "We lose {b}, so {a} - {b} = {c}.",
            "Now there are {a} - {b} = {c}.",
            "Then {b} go, {a} - {b} = {c}.",
            "It shrinks to {a} - {b} = {c}.",
            "Next, {a} - {b} = {c}.",
        ),
        closing=("\n#### {c}", "Hence {c}.\n#### {c}", "We end with {c}.\n#### {c}", "All told, {c}.\n#### {c}"),
    ),
}
"""`book` is what pebble was pretrained on; `tutor` is what fine-tuning on the task teaches it."""

PREAMBLES = (
    "Here is a problem for you.",
    "Please read the following carefully.",
    "This one comes from a school book.",
    "Take your time and think step by step.",
    "The weather is sunny today.",
    "Let us work on a small exercise.",
    "Think about the story below.",
    "Here is another question from our class.",
    "Solve the following task.",
    "You are a careful student.",
    "I would like to know something.",
    "My teacher asked me this yesterday.",
    "It is a quiet afternoon.",
    "Consider the following situation.",
    "Do not hurry.",
)
