"""Defaults of an audit that follow the trainer's own arguments, where the run's folder has them; each is printed."""

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

_LOOKED_AT = 50
"""Examples that are looked at for thoughts that a chat template drops."""


def data_as_trained(data: Data | None, trained: TrainerFile | None, say: Callable[[str], None]) -> Data | None:
    """The data with what is left open filled in from the trainer's arguments.

    Args:
        data: as given, or as the run names it; None if the run has the only copy of its examples.
        trained: the trainer's arguments.
        say: called with every default that was taken from them.
    """
    if data is None or trained is None:
        return data
    if data.replies == "auto" and trained.replies == "each":
        say(f"replies: each, as {trained.trainer} trained them (replies: last in --data changes it)")
        return replace(data, replies="each")
    return data


def base_note(base: str, trained: TrainerFile) -> str:
    """What is said where a run was trained on a quantised base and is audited on a full one; empty otherwise."""
    if not trained.bits or relevant_config(Path(base)).get("quantization_config"):
        return ""
    return (
        f"the adapters were trained on a base in {trained.bits} bits and are audited on {base} in full precision, "
        "which is what a merge ships; to measure what was trained, give --base a quantised copy of it"
    )


def template_as_trained(
    tokenizer: Any, examples: Iterable[Example], trained: TrainerFile | None, say: Callable[[str], None]
) -> str | None:
    """None for the tokenizer's chat template; LITERAL where that drops thoughts which the trainer trained.

    Args:
        tokenizer: of the run.
        examples: some that are scored.
        trained: the trainer's arguments.
        say: called where thoughts are dropped.
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    looked_at = list(islice((e for e in examples if e.solution), _LOOKED_AT))
    dropped = sum(drops_thought(tokenizer, example) for example in looked_at)
    if not dropped:
        return None
    if trained is not None and trained.is_literal:
        say(f"the chat template drops <think> blocks, which {trained.trainer} trained: replies are scored literally")
        return LITERAL
    say(
        f"the chat template drops the <think> block of {dropped} of {len(looked_at)} replies, which are scored without "
        f"it, as TRL trains them; where the trainer kept it, give --template '{LITERAL}'"
    )
    return None
