"""The input of both sides of `benchmarks/audit.py`: examples, prompts, model."""

import json
import statistics
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from overmem.encoding import PLAIN
from overmem.models.discovery import base_path
from overmem.observe.engines.decoding import Decoding
from overmem.observe.plan import Split, planned
from overmem.records import Example
from overmem.tasks import Data, load

Job = dict[str, Any]
BUDGET = 16384


def examples_of(job: Job) -> list[Example]:
    """The test questions: of the embedded task, or of a JSONL file with `input` and `target` (MultiArith)."""
    if job["data"] == "wordproblems":
        return list(load(Data(source="wordproblems", train=1, val=1, test=job["rows_count"])).splits["test"])
    lines = Path(job["data"]).read_text(encoding="utf-8").splitlines()[: job["rows_count"]]
    rows = [json.loads(line) for line in lines]
    return [
        Example(str(i), r["input"], f"The answer is {r['target']}.", str(r["target"])) for i, r in enumerate(rows)
    ]  # fmt: skip


def split_of(job: Job, tokenizer: Any, examples: list[Example]) -> tuple[Split, Decoding]:
    """The examples as overmem observes them."""
    decoding = Decoding(max_new_tokens=job["max_new_tokens"])
    splits = planned(
        tokenizer, {"test": examples}, decoding, rows={"test": len(examples)}, context=2048, template=PLAIN
    )  # fmt: skip
    return splits["test"], decoding


def load_model(job: Job) -> tuple[Any, Any]:
    """Load model and tokenizer."""
    path = base_path(job["model"])
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, job["dtype"]))
    return model.eval(), AutoTokenizer.from_pretrained(path)


def spread(values: list[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}
