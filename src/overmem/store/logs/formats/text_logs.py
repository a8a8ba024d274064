"""The output of trainers: torchtune, nanoGPT, mlx-lm, the dictionaries of transformers, and `key: value` lines."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from overmem.store.logs.files import text_of
from overmem.store.logs.formats.csv_tables import read_csv
from overmem.store.logs.rows import LogPart, rows_of

Entry: TypeAlias = dict[str, object]
_NUMBER = r"[-+]?(?:\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf)"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NANOGPT = re.compile(rf"^step (\d+):? train loss ({_NUMBER}),? val loss ({_NUMBER})", re.IGNORECASE)
_MLX = re.compile(rf"^Iter (\d+): Val loss ({_NUMBER})", re.IGNORECASE)
_MLX_TRAIN = re.compile(rf"^Iter (\d+): Train loss ({_NUMBER})(?:, Learning Rate ({_NUMBER}))?", re.IGNORECASE)
_TORCHTUNE = re.compile(r"^Step (\d+) \| (.+)$")
_AXIS = re.compile(r"\b(epoch|step|iter|iteration)\b\s*[:=#]?\s*\[?(\d+)", re.IGNORECASE)
_PAIR = re.compile(rf"([A-Za-z_][\w/@.\- ]*?)\s*[:=]\s*({_NUMBER})(?=[\s,|}}%]|$)")
_DICTIONARY = re.compile(r"\{'[\w/@.\- ]+':.*\}")


def read_text_log(path: Path) -> list[LogPart]:
    """The lines that a supported trainer prints; a file without any gives no rows."""
    entries = []
    text = text_of(path)
    for line in text.splitlines():
        bare = _ANSI.sub("", line).strip()
        entry = next((e for read in LINES.values() if (e := read(bare[:4000])) is not None), None)
        if entry is not None:
            entries.append(entry)
    if not entries and text.split("\n", 1)[0].count(",") > 1:  # Keras writes its CSV to training.log
        return read_csv(path)
    return [LogPart(path, rows_of(entries))]


def _nanogpt(line: str) -> Entry | None:
    """`step 250: train loss 1.9721, val loss 2.0912`: both losses are means over evaluation batches."""
    match = _NANOGPT.search(line)
    return {"step": match[1], "train_loss": match[2], "val_loss": match[3]} if match else None


def _mlx(line: str) -> Entry | None:
    """`Iter 200: Val loss 1.234, Val took 3.1s`, and the training lines, which hold the learning rate."""
    if match := _MLX.search(line):
        return {"step": match[1], "val_loss": match[2]}
    if match := _MLX_TRAIN.search(line):
        rate = {"learning_rate": match[3]} if match[3] else {}
        return {"step": match[1], "loss": match[2], **rate}
    return None


def _torchtune(line: str) -> Entry | None:
    """`Step 12 | loss:1.23 lr:2e-05 tokens_per_second_per_gpu:812` of its disk logger."""
    match = _TORCHTUNE.match(line)
    return {"step": match[1], **dict(_PAIR.findall(match[2]))} if match else None


def _dictionary(line: str) -> Entry | None:
    """`{'eval_loss': 0.41, 'epoch': 2.0}` as transformers prints its logs: a Python literal, parsed and never run."""
    match = _DICTIONARY.search(line)
    if not match:
        return None
    try:
        value = ast.literal_eval(re.sub(r"\b(nan|inf)\b", "None", match[0]) if "nan" in match[0] else match[0])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    entry = {str(key): v for key, v in value.items()}
    missing = {key for key, v in entry.items() if v is None and re.search(rf"'{re.escape(key)}': nan", match[0])}
    return entry | dict.fromkeys(missing, float("nan"))


def _pairs(line: str) -> Entry | None:
    """`Epoch 3/8 - train_loss: 0.4 - val_loss: 0.512`: a step or an epoch, and at least one loss or accuracy."""
    axes = {name.lower(): value for name, value in _AXIS.findall(line)}
    pairs = {key.strip(" -").lower(): value for key, value in _PAIR.findall(line)}
    measured = {k: v for k, v in pairs.items() if not _AXIS.match(f"{k} {v}")}
    if not axes or not any("loss" in key or "acc" in key for key in measured):
        return None
    return {**measured, **axes}


LINES: dict[str, Callable[[str], Entry | None]] = {
    "nanoGPT": _nanogpt,
    "mlx-lm": _mlx,
    "torchtune": _torchtune,
    "transformers": _dictionary,
    "pairs": _pairs,
}
"""Trainer -> the reader of its lines; the first reader that recognizes a line is used."""
