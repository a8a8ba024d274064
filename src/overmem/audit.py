"""Observe every checkpoint of a run, and measure it. A unit of work that stands is not done again."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from overmem import store
from overmem.checkpoints import Found, Skeleton, found_in, tokenizer_of
from overmem.errors import BadRequest, unknown
from overmem.observe.companions import companions
from overmem.observe.plan import context_of, longest_completion, planned, record
from overmem.observe.sample import Decoding
from overmem.observe.work import Progress, observe, pending
from overmem.probes.measure import measured
from overmem.recipe import read_data
from overmem.records import COMPANION, Example, Measurement
from overmem.tasks import Data, anchored, load
from overmem.tasks.render import encode


@dataclass(frozen=True)
class Audit:
    """What to audit, and how thoroughly."""

    run: str
    """Run directory: checkpoint-<step> folders as transformers, TRL or overmem write them."""
    data: str | None = None
    """Where the examples come from: a task name, a file, a hub id, or a YAML file with the keys of a recipe's `data`.
    By default the recipe's, else what the run's callback or its last audit took."""
    base: str | None = None
    """Base model, for step 0 and for adapters; by default the recipe's, the callback's or the adapter's own."""
    rows: int | None = None
    """Examples of val and of test, at most: they decide. By default as many as the run's callback, or its last audit of
    the same data, took; else 500."""
    side_rows: int | None = None
    """Examples of train and of every ood split, at most; by default as `rows`, else 200."""
    shifts: tuple[str, ...] = ()
    """Other tellings of the test questions, for robustness: preamble, suffix, typos, names, ...; `side_rows` each.
    `preamble:3` is three wordings of each question."""
    attacks: tuple[str, ...] = ()
    """Membership attacks that need more than the scores of the solutions: recall, neighbour. The others are always
    run."""
    checkpoints: tuple[str, ...] = ()
    """Only these checkpoints: folder names, or `base`; by default all."""
    splits: tuple[str, ...] = ()
    """Only these splits; by default train, val, test, every ood set and every shift."""
    draws: int = 0
    """Sampled completions per prompt, beside the greedy one."""
    temperature: float = 0.7
    """Temperature of the draws."""
    max_new_tokens: int | None = None
    """Longest completion; by default as `rows`, else half as long again as the longest reference solution."""
    template: str | None = None
    """Prompt with {question} in it; by default as `rows`, or the recipe's, else the chat template, else
    "Question: ...\\nAnswer:"."""
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
    before = store.read_plan(run) if run.plan_path.is_file() else {}
    base = config.base or recipe.get("model") or before.get("base")
    there = found_in(run.root, base)
    found = _only(there, config.checkpoints) if config.checkpoints else there
    if there[0].checkpoint.name != "base":
        say("the base model is not known (give --base): no step 0")
    data = _data(config, recipe, before)
    asked = _asked(config, recipe, before, data, say)
    held_out = _given(run, before) if data is None else _held_out(config, recipe, data, say)
    tokenizer = tokenizer_of(run.root, there, config.tokenizer)
    template = asked["template"]
    limit = asked["max_new_tokens"] or longest_completion(held_out, tokenizer, template)
    decoding = Decoding(config.draws, config.temperature, limit, config.seed)
    context = _context(found)
    rows = defaultdict(lambda: min(asked["rows"], asked["side_rows"]), val=asked["rows"], test=asked["rows"])
    beside = companions(
        held_out,
        config.shifts,
        config.attacks,
        rows=asked["rows"],
        side_rows=asked["side_rows"],
        seed=config.seed,
        fits=lambda example: encode(tokenizer, example, max_length=context, template=template) is not None,
    )
    held_out |= beside
    rows |= {name: len(examples) for name, examples in beside.items()}
    for name in config.splits:
        if name not in held_out:
            raise unknown("split", name, held_out)
    held_out = {name: held_out[name] for name in held_out if not config.splits or name in config.splits}
    splits = planned(tokenizer, held_out, decoding, rows=rows, context=context, template=template)
    for split in splits.values():
        if split.truncated:
            say(f"{split.name}: {split.truncated} of {len(split.examples)} examples exceed {context} tokens, left out")
    with store.locked(run):
        for split in splits.values():
            store.write_examples(run, split.name, split.examples)
        places = [one.checkpoint for one in found]
        plan = record(asdict(config) | asked, data, decoding, template, base, places, splits)
        store.write_json(run.plan_path, plan)
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
        rows_measured = tuple(measured(store.read_checkpoints(run), lambda c: store.read_snapshot(run, c)))
        store.write_measurements(run, rows_measured)
    return Audited(run, rows_measured, computed, standing, failures)


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


def _data(config: Audit, recipe: Mapping[str, Any], before: Mapping[str, Any]) -> Data | None:
    """Where the examples come from; None where the run itself holds the only copy of them."""
    if config.data is not None:
        return read_data(config.data)
    if "data" in recipe:
        return read_data(recipe["data"])
    if before:
        return None if before["data"] is None else read_data(before["data"])
    raise BadRequest(
        f"{config.run} was not trained by overmem, so its data is not known; give --data: a task "
        "(wordproblems, gsm8k, ...), a .jsonl, .csv or .parquet file, a hub id, or a YAML file of a recipe's data keys"
    )


def _asked(
    config: Audit,
    recipe: Mapping[str, Any],
    before: Mapping[str, Any],
    data: Data | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The options that were left out, as the plan that stands in the run has them if it is of the same data."""
    same = bool(before) and config.data is None and before["data"] == (data and asdict(anchored(data)))
    usual = {"rows": 500, "side_rows": 200, "max_new_tokens": None, "template": recipe.get("template")}
    kept = {name: before["audit"].get(name) for name in usual} if same else {}
    found = {}
    for name, default in usual.items():
        given = getattr(config, name)
        found[name] = next((v for v in (given, kept.get(name)) if v is not None), default)
        if given is None and found[name] != default:
            say(f"{name.replace('_', ' ')} as the run was measured before: {found[name]} (--{name.replace('_', '-')})")
    return found


def _given(run: store.Run, before: Mapping[str, Any]) -> dict[str, Sequence[Example]]:
    """The examples that the run's callback was given as they are, and that only the run keeps."""
    return {name: store.read_examples(run, name) for name in before["splits"] if not {"+", COMPANION} & {*name}}


def _held_out(
    config: Audit, recipe: Mapping[str, Any], data: Data, say: Callable[[str], None]
) -> dict[str, Sequence[Example]]:
    """The splits without rows that the recipe trained on: other data, or other counts, split the rows otherwise."""
    loaded = load(data)
    for note in loaded.notes:
        say(note)
    if config.data is None or "data" not in recipe:
        return dict(loaded.splits)
    trained = {e.id for e in load(read_data(recipe["data"])).splits["train"]}
    kept: dict[str, Sequence[Example]] = {}
    for name, examples in loaded.splits.items():
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
        return context_of(config)
    return 2048
