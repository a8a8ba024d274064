"""What an audit is asked for, complete: the options, what the run says where they are silent, and the examples."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from overmem import store
from overmem.audit.options import Audit
from overmem.checkpoints import Found, Skeleton, found_in, tokenizer_of
from overmem.errors import BadRequest, unknown
from overmem.observe.companions import companions
from overmem.observe.plan import Split, context_of, longest_completion, planned
from overmem.observe.sample import Decoding
from overmem.observe.vllm import refuse_without_vllm
from overmem.recipe import read_data
from overmem.records import COMPANION, Example
from overmem.tasks import Data, anchored, load
from overmem.tasks.render import encode

ENGINES = ("hf", "vllm")
HOTTEST = 10.0
"""The highest temperature that is drawn at."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Request:
    """An audit whose every option is known. Nothing was written, no model was loaded."""

    config: Audit
    run: store.Run
    base: str | None
    """Name of the base model, where it is known."""
    found: tuple[Found, ...]
    """The checkpoints to observe."""
    skeleton: Skeleton
    data: Data | None
    """Where the examples come from; None where the run itself holds the only copy of them."""
    asked: Mapping[str, Any]
    """`rows`, `side_rows`, `draws`, `temperature`, `max_new_tokens` and `template`, given or not."""
    held_out: Mapping[str, Sequence[Example]]
    """All examples of every split that there is."""
    tokenizer: Any
    decoding: Decoding
    context: int
    """Tokens that the model's positions allow."""
    budget: float | None
    """Seconds to choose `rows` and `side_rows` for; None where none are given, or they were chosen for them before."""

    @property
    def template(self) -> str | None:
        """Prompt with {question} in it; None for the tokenizer's own."""
        found: str | None = self.asked["template"]
        return found

    def splits(self, rows: int, side_rows: int) -> dict[str, Split]:
        """The splits to observe, at most so many examples of val and of test, and of each other one.

        Raises:
            BadRequest: a split, shift or attack that there is not.
        """
        config, template = self.config, self.template
        side_rows = min(rows, side_rows)
        beside = companions(
            self.held_out,
            config.shifts,
            config.attacks,
            rows=rows,
            side_rows=side_rows,
            seed=config.seed,
            fits=lambda e: encode(self.tokenizer, e, max_length=self.context, template=template) is not None,
        )
        there = {**self.held_out, **beside}
        for name in config.splits:
            if name not in there:
                raise unknown("split", name, there)
        chosen = {name: there[name] for name in there if not config.splits or name in config.splits}
        most = defaultdict(lambda: side_rows, {name: len(examples) for name, examples in beside.items()})
        most |= {"val": rows, "test": rows}
        return planned(self.tokenizer, chosen, self.decoding, rows=most, context=self.context, template=template)


def requested(config: Audit, say: Callable[[str], None]) -> Request:
    """What `config` asks for; what the run or the data has to say to it is told to `say`.

    Raises:
        BadRequest: no run, no checkpoints, no data, or an option that is not allowed.
    """
    run = store.open_run(config.run, config.out)
    device, dtype = _placed(config)
    recipe = store.read_recipe(run)
    before = store.read_plan(run) if run.plan_path.is_file() else {}
    base = config.base or recipe.get("model") or before.get("base")
    there = found_in(run.root, base)
    found = _only(there, config.checkpoints) if config.checkpoints else there
    has_base = there[0].checkpoint.name == "base"
    if not has_base:
        say("the base model is not known (give --base): no step 0")
    if config.engine not in ENGINES:
        raise unknown("engine", config.engine, ENGINES)
    if config.engine == "vllm":
        refuse_without_vllm()
    seconds = None if config.budget is None else seconds_of(config.budget)
    data = _data(config, recipe, before)
    same = bool(before) and config.data is None and before["data"] == (data and asdict(anchored(data)))
    chosen = same and config.budget is not None and before["audit"].get("budget") == config.budget
    asked = _asked(config, recipe, before if same else {}, chosen, say)
    held_out = _given(run, before) if data is None else _held_out(config, recipe, data, say)
    tokenizer = tokenizer_of(run.root, there, config.tokenizer)
    limit = asked["max_new_tokens"] or longest_completion(held_out, tokenizer, asked["template"])
    return Request(
        config,
        run,
        base,
        tuple(found),
        Skeleton(there[0].path if has_base else None, device, dtype),
        data,
        asked,
        held_out,
        tokenizer,
        _decoding(config, asked, limit),
        _context(found),
        None if chosen else seconds,
    )


def seconds_of(budget: str) -> float:
    """A time as `90s`, `30m`, `2h` or `1h30m`, in seconds.

    Raises:
        BadRequest: it is none, or no time at all.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", budget)
    found = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not found or "".join(number + unit for number, unit in parts) != budget:
        raise BadRequest(f"--budget {budget!r} is not a time; allowed: 90s, 30m, 2h, 1h30m")
    return found


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
    config: Audit, recipe: Mapping[str, Any], before: Mapping[str, Any], chosen: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """The options that were left out, as the plan of the same data that stands in the run has them.

    Args:
        config: the options.
        recipe: the run's own.
        before: the plan; empty where it is of other data.
        chosen: whether its rows were chosen for the budget that is given now; those for another one are not taken.
        say: told what is as before.
    """
    usual = {
        "rows": 500,
        "side_rows": 200,
        "draws": 0,
        "temperature": [0.7],
        "max_new_tokens": None,
        "template": recipe.get("template"),
    }
    kept = {name: before["audit"].get(name) if before else None for name in usual}
    found = {}
    for name, default in usual.items():
        is_rows = name in ("rows", "side_rows")
        given = None if is_rows and chosen else _value(config, name)
        standing = None if is_rows and config.budget is not None and not chosen else kept[name]
        found[name] = next((v for v in (given, standing) if v is not None), default)
        if given is None and found[name] != default:
            say(f"{name.replace('_', ' ')} as the run was measured before: {found[name]} (--{name.replace('_', '-')})")
    return found


def _value(config: Audit, name: str) -> Any:
    """An option as a plan has it; None where it was left out."""
    found = getattr(config, name)
    return (list(found) or None) if isinstance(found, tuple) else found


def _decoding(config: Audit, asked: Mapping[str, Any], limit: int) -> Decoding:
    draws, temperatures = asked["draws"], tuple(asked["temperature"])
    if draws < 0:
        raise BadRequest(f"--draws {draws}; allowed: 0 or more")
    if len(set(temperatures)) < len(temperatures) or not all(0 < t <= HOTTEST for t in temperatures):
        given = " ".join(f"{t:g}" for t in temperatures)
        raise BadRequest(f"--temperature {given}; allowed: different numbers above 0 and up to {HOTTEST:g}")
    return Decoding(draws, temperatures, limit, config.seed, config.engine)


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
