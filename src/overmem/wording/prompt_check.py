"""Whether an audit reads the model as it was trained, in sentences."""

from overmem.records import ShownExample
from overmem.wording.numbers import format_n

_REPLACED = "\ufffd"
_ROWS = {
    "same by callback": "These are the rows that the run's callback measured in training.",
    "same by recipe": "These are the rows that the trainer evaluated, by the run's own recipe.",
    "as many": "The trainer evaluated as many rows, so they are probably the same.",
    "unknown": "Whether these are the trainer's evaluation rows, or others of the same kind, is not known.",
}


def rows_sentence(rows: str, split: str) -> str:
    """Whether the audit's rows are those that the trainer evaluated."""
    if rows.startswith("others"):
        count = int(rows.removeprefix("others "))
        return f"The trainer evaluated {count:,} rows, so {split} is at most of the same kind, not the same."
    return _ROWS[rows]


def agreement_sentence(checkpoint: str, own: float, theirs: float, *, split: str, n: int, steps: int, rows: str) -> str:
    """That the model is read as it was trained.

    Args:
        checkpoint: the last one that both measured.
        own: nats per token by the audit.
        theirs: the evaluation loss that the trainer logged.
        split: which rows the audit scored.
        n: how many.
        steps: checkpoints that both measured.
        rows: what is known of the trainer's rows, as `diagnose.prompt_check.same_rows` has it.
    """
    more = f" (of {steps} common steps the last)" if steps > 1 else ""
    return (
        f"The model is read as it was trained, as far as the log tells: at {checkpoint}{more} this audit measures "
        f"{own:.3f} nats per token on {split} ({format_n(n)}), and the trainer logged {theirs:.3f}. "
        f"{rows_sentence(rows, split)}"
    )


def difference_sentence(
    checkpoint: str, own: float, theirs: float, *, split: str, n: int, rows: str, shown: ShownExample | None
) -> str:
    """That it is read otherwise, what may be wrong, and one example as the model read it.

    Args:
        checkpoint: where the two differ most.
        own: nats per token by the audit.
        theirs: the evaluation loss that the trainer logged.
        split: which rows the audit scored.
        n: how many.
        rows: what is known of the trainer's rows.
        shown: the example; None where none was kept.
    """
    sure = rows.startswith("same")
    begin = "The" if sure else "If these are the trainer's evaluation rows, the"
    example = "" if shown is None else f" {shown_sentence(shown)}"
    return (
        f"At {checkpoint} this audit measures {own:.3f} nats per token on {split} ({format_n(n)}), where the trainer "
        f"logged an evaluation loss of {theirs:.3f}. {rows_sentence(rows, split)} {begin} model is not read as it was "
        "trained: check the template, the tokenizer, and which tokens are masked (a trainer that also counts the "
        f"prompt's tokens logs another loss).{example}"
    )


def shown_sentence(shown: ShownExample) -> str:
    """One example token by token: what is read, and what is scored."""
    return (
        "One example as the model read it, a bar between tokens; not scored: "
        f"{_bars(shown.prompt)}; scored: {_bars(shown.scored)}{' (shortened)' if shown.cut else ''}."
    )


def _bars(tokens: tuple[str, ...]) -> str:
    text = "|".join(tokens).replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")
    return '"' + "".join(c if c.isprintable() else _REPLACED for c in text) + '"'
