"""Defaults of an audit that follow the trainer's own arguments, if the run's folder has them; each is printed."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from overmem.encoding import LITERAL
from overmem.encoding.chat import drops_thought
from overmem.models.files import relevant_config
from overmem.models.trainer_files import TrainerFile
from overmem.records import Example
from overmem.tasks import Data

_CHECKED = 50
"""Number of examples that are checked for <think> blocks that the chat template drops."""


def data_as_trained(data: Data | None, trained: TrainerFile | None, say: Callable[[str], None]) -> Data | None:
    """The data, with unset options filled in from the trainer's arguments.

    Args:
        data: from the options or the run; None if the run has the only copy of its examples.
        trained: the trainer's arguments; None if there are none.
        say: called with every default that was taken from them.
    """
    if data is None or trained is None:
        return data
    if data.replies == "auto" and trained.replies == "each":
        say(f"replies: each, as {trained.trainer} trained them (replies: last in --data changes it)")
        return replace(data, replies="each")
    return data


def base_note(base: str, trained: TrainerFile) -> str:
    """A note if adapters were trained on a quantized base and are audited on a full one; empty otherwise."""
    if not trained.bits or relevant_config(Path(base)).get("quantization_config"):
        return ""
    return (
        f"the adapters were trained on a base in {trained.bits} bits and are audited on {base} in full precision, "
        "as a merge would ship them; to measure what was trained, pass a quantized copy of it as --base"
    )


def template_as_trained(
    tokenizer: Any, examples: Iterable[Example], trained: TrainerFile | None, say: Callable[[str], None]
) -> str | None:
    """None for the tokenizer's chat template; LITERAL if that drops <think> blocks that were trained.

    Args:
        tokenizer: the run's tokenizer.
        examples: the examples that are scored.
        trained: the trainer's arguments; None if there are none.
        say: called if blocks are dropped.
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    checked = list(islice((e for e in examples if e.solution), _CHECKED))
    dropped = sum(drops_thought(tokenizer, example) for example in checked)
    if not dropped:
        return None
    if trained is not None and trained.is_literal:
        say(f"the chat template drops <think> blocks, which {trained.trainer} trained: replies are scored literally")
        return LITERAL
    say(
        f"the chat template drops the <think> block of {dropped} of {len(checked)} replies, which are scored without "
        f"it, as TRL trains them; if the trainer kept it, give --template '{LITERAL}'"
    )
    return None
