"""Observe every checkpoint of a run, and measure it. A unit of work that stands is not done again."""

import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from overmem import store
from overmem.checkpoints import Found, Skeleton, found_in, tokenizer_of
from overmem.errors import BadRequest, unknown
from overmem.observe.plan import Split, first, longest_completion, planned
from overmem.observe.sample import Decoding
from overmem.observe.work import Progress, observe, pending
from overmem.probes import PROBES
from overmem.recipe import read_data
from overmem.records import SCHEMA, Example, Measurement, Snapshot
from overmem.shifts import shifted
from overmem.tasks import Data, load


@dataclass(frozen=True)
class Audit:
    """What to audit, and how thoroughly."""

    run: str
    """Run directory: checkpoint-<step> folders as transformers, TRL or overmem write them."""
    data: str | None = None
    """Where the examples come from, for a run that overmem did not train: a task name, a file, a hub id, or a YAML
    file with the keys of a recipe's `data`."""
    base: str | None = None
    """Base model, for step 0 and for adapters; by default the recipe's or the adapter's own."""
    rows: int = 500
    """Examples of val and of test, at most: they decide."""
    side_rows: int = 200
    """Examples of train and of every ood split, at most."""
    shifts: tuple[str, ...] = ()
    """Other tellings of the test questions, for robustness: preamble, suffix, typos, names, ...; `side_rows` each."""
    checkpoints: tuple[str, ...] = ()
    """Only these checkpoints: folder names, or `base`; by default all."""
    splits: tuple[str, ...] = ()
    """Only these splits; by default train, val, test, every ood set and every shift."""
    draws: int = 0
    """Sampled completions per prompt, beside the greedy one."""
    temperature: float = 0.7
    """Temperature of the draws."""
    max_new_tokens: int | None = None
    """Longest completion; by default half as long again as the longest reference solution."""
    template: str | None = None
    """Prompt with {question} in it; by default the recipe's, else the chat template, else "Question: ...\\nAnswer:"."""
    tokenizer: str | None = None
    """Folder or hub id; by default the run's."""
    token_budget: int = 16384
    """Padded tokens in one batch, prompt and completion: what bounds the memory."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    dtype: str = "auto"
    """float32 or bfloat16; auto is bfloat16 on a GPU."""
    seed: int = 0
    """Fixes the draws."""
    out: str | None = None
    """Where overmem's files go; by default RUN/overmem."""


@dataclass(frozen=True)
class Audited:
    """What an audit did."""

    run: store.Run
    measurements: tuple[Measurement, ...]
    computed: int
    """Units of work done now."""
    standing: int
    """Units of work that stood already."""
    failures: Mapping[str, str]
    """Checkpoint -> why it could not be observed."""


def audit(
    config: Audit,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
) -> Audited:
    """Observe and measure every checkpoint of a run.

    Args:
        config: what to audit.
        say: told in words what happens.
        progress: told how far the work is.

    Raises:
        BadRequest: no run, no checkpoints, no data, or an option that is not allowed. Before any model loads.
        Locked: another process writes to the run.
    """
    run = store.open_run(config.run, config.out)
    device, dtype = _placed(config)
    recipe = store.read_recipe(run)
    base = config.base or recipe.get("model")
    there = found_in(run.root, base)
    found = _only(there, config.checkpoints) if config.checkpoints else there
    if there[0].checkpoint.name != "base":
        say("the base model is not known (give --base): no step 0")
    data = _data(config, recipe)
    loaded = load(data)
    for note in loaded.notes:
        say(note)
    held_out = _held_out(config, recipe, loaded.splits, say)
    tokenizer = tokenizer_of(run.root, there, config.tokenizer)
    template = config.template or recipe.get("template")
    limit = config.max_new_tokens or longest_completion(held_out, tokenizer, template)
    decoding = Decoding(config.draws, config.temperature, limit, config.seed)
    context = _context(found)
    for name in config.shifts:
        told = first(held_out["test"], "test", min(config.rows, config.side_rows))
        held_out[f"test+{name}"] = tuple(shifted(told, name, seed=config.seed))
    for name in config.splits:
        if name not in held_out:
            raise unknown("split", name, held_out)
    held_out = {name: rows for name, rows in held_out.items() if not config.splits or name in config.splits}
    rows = {s: config.rows if s in ("val", "test") else min(config.rows, config.side_rows) for s in held_out}
    splits = planned(tokenizer, held_out, decoding, rows=rows, context=context, template=template)
    for split in splits.values():
        if split.truncated:
            say(f"{split.name}: {split.truncated} of {len(split.examples)} examples exceed {context} tokens, left out")
    with store.locked(run):
        for split in splits.values():
            store.write_examples(run, split.name, split.examples)
        store.write_json(run.plan_path, _plan(config, data, decoding, template, base, found, splits))
        units, standing, failures = pending(run, found, splits)
        skeleton = Skeleton(there[0].path if there[0].checkpoint.name == "base" else None, device, dtype)
        computed = observe(
            run,
            units,
            skeleton,
            tokenizer,
            decoding,
            token_budget=config.token_budget,
            failures=failures,
            say=say,
            progress=progress,
        )
        for name, reason in failures.items():
            say(f"{name}: {reason}")
        measured = tuple(_measured(store.snapshots(run)))
        store.write_measurements(run, measured)
    return Audited(run, measured, computed, standing, failures)


def _only(found: list[Found], names: tuple[str, ...]) -> list[Found]:
    there = {one.checkpoint.name: one for one in found}
    for name in names:
        if name not in there:
            raise unknown("checkpoint", name, there)
    return [one for one in found if one.checkpoint.name in names]


def _placed(config: Audit) -> tuple[str, torch.dtype]:
    device = config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    dtype = config.dtype if config.dtype != "auto" else "bfloat16" if device.startswith("cuda") else "float32"
    if dtype not in ("float32", "bfloat16", "float16"):
        raise unknown("dtype", dtype, ["auto", "float32", "bfloat16", "float16"])
    found: torch.dtype = getattr(torch, dtype)
    return device, found


def _data(config: Audit, recipe: Mapping[str, Any]) -> Data:
    if config.data is not None:
        return read_data(config.data)
    if "data" in recipe:
        return read_data(recipe["data"])
    raise BadRequest(
        f"{config.run} was not trained by overmem, so its data is not known; give --data: a task "
        "(wordproblems, gsm8k, ...), a .jsonl, .csv or .parquet file, a hub id, or a YAML file of a recipe's data keys"
    )


def _held_out(
    config: Audit,
    recipe: Mapping[str, Any],
    splits: Mapping[str, tuple[Example, ...]],
    say: Callable[[str], None],
) -> dict[str, tuple[Example, ...]]:
    """The splits without rows that the recipe trained on: other data, or other counts, split the rows otherwise."""
    if config.data is None or "data" not in recipe:
        return dict(splits)
    trained = {e.id for e in load(read_data(recipe["data"])).splits["train"]}
    kept = {}
    for name, examples in splits.items():
        kept[name] = tuple(e for e in examples if (e.id in trained) == (name == "train"))
        if dropped := len(examples) - len(kept[name]):
            why = "were not trained on" if name == "train" else "were trained on"
            say(f"{name}: {dropped} of {len(examples)} rows {why} by the run's own recipe, left out")
    return kept


def _context(found: Iterable[Found]) -> int:
    """Tokens that the model's positions allow; 2048 where its configuration does not say."""
    from transformers import AutoConfig

    for one in found:
        try:
            config = AutoConfig.from_pretrained(one.path)
        except (OSError, ValueError):
            continue
        return int(getattr(config.get_text_config(), "max_position_embeddings", None) or 2048)
    return 2048


def _plan(
    config: Audit,
    data: Data,
    decoding: Decoding,
    template: str | None,
    base: str | None,
    found: list[Found],
    splits: Mapping[str, Split],
) -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in ("overmem", "torch", "transformers")}
    return {
        "schema": SCHEMA,
        "audit": asdict(config),
        "base": base,
        "data": asdict(data),
        "decoding": asdict(decoding),
        "template": template,
        "versions": versions,
        "splits": {
            s.name: {"n": len(s.examples), "truncated": s.truncated, "request": s.request} for s in splits.values()
        },
        "checkpoints": [asdict(one.checkpoint) for one in found],
    }


def _measured(snapshots: Iterable[Snapshot]) -> Iterable[Measurement]:
    base: Snapshot | None = None
    for snapshot in snapshots:
        if snapshot.checkpoint.step == 0 and not snapshot.checkpoint.merged_from:
            base = snapshot
        for probe in PROBES.values():
            yield from probe(snapshot, base=base)
