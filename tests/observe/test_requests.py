"""The hash that names a request: a run of 0.1.0 keeps its observations as long as the same is requested of it."""

from pathlib import Path

import pytest

from overmem import store
from overmem.models.discovery import base_path, find_tokenizer
from overmem.observe.engines.hf import Decoding
from overmem.observe.plan import planned

GOLDEN = Path(__file__).parents[1] / "golden" / "run"


@pytest.mark.parametrize("split", ["val", "test+typos", "train~recall"])
def test_the_requests_of_an_old_run_have_the_same_hashes_today(split):
    run = store.open_run(GOLDEN)
    plan = store.read_plan(run)
    examples = store.read_examples(run, split)
    decoding = Decoding(**dict(plan.decoding) | {"temperatures": tuple(plan.decoding["temperatures"])})
    tokenizer = find_tokenizer(run.root, [], base_path(str(plan.base)))
    made = planned(tokenizer, {split: examples}, decoding, rows={split: len(examples)}, context=256, template=None)
    assert made[split].request == plan.requests[split]
    unit = {"weights": None, "request": made[split].request}
    assert store.is_unit_current(run, "checkpoint-50", split, "scores", **unit)
