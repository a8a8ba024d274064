"""A complete request for an audit: every option, from the command, the run or a default, and the examples."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from overmem import store
from overmem.audit.as_trained import base_note, data_as_trained, template_as_trained
from overmem.audit.options import Audit
from overmem.audit.sources import data_of, examples_of_run, held_out, planned_data, say_too_few
from overmem.encoding import VERBATIM, describe_prompt, encode
from overmem.errors import BadRequest, unknown
from overmem.models.discovery import CheckpointRef, describe_order, find_checkpoints, find_tokenizer
from overmem.models.files import stored_vocabulary
from overmem.models.loading import Skeleton, check_device
from overmem.models.supported import check_architecture
from overmem.models.trainer_files import trainer_file
from overmem.observe.engines import engine_of
from overmem.observe.engines.decoding import Decoding
from overmem.observe.plan import Split, context_of, longest_completion, planned
from overmem.records import Example, Plan
from overmem.records.plan import CALLBACK
from overmem.tasks import Data, with_absolute_paths
from overmem.tasks.data import LoadedData
from overmem.tasks.derived import derived_splits

HOTTEST = 10.0
"""The highest temperature that is allowed."""
DTYPES = ("float32", "bfloat16", "float16")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Request:
    """An audit with every option filled in. Nothing was written, no model was loaded."""

    config: Audit
    run: store.Run
    base: str | None
    """Name of the base model, where it is known."""
    refs: tuple[CheckpointRef, ...]
    """The checkpoints to observe."""
    skeleton: Skeleton
    data: Data | None
    """Where the examples come from; None where the run itself holds the only copy of them."""
    options: Mapping[str, Any]
    """Every option that a later audit of the same data keeps to, filled in."""
    held_out: Mapping[str, Sequence[Example]]
    """All examples of every split."""
    carved_splits: tuple[str, ...]
    """Splits that were carved out of the training rows of a source which the run may have been trained on whole."""
    previous_plan: Plan | None
    """The run's plan so far, where it is of the same data."""
    tokenizer: Any
    decoding: Decoding
    context: int
    """Tokens that the model's positions allow."""
    vocabulary: int
    """Size of the model's vocabulary."""
    budget: float | None
    """Seconds to choose `rows` and `side_rows` for; None where none are given, or they were chosen for them before."""

    @property
    def template(self) -> str | None:
        """Prompt with {question} in it; None for the tokenizer's own."""
        template: str | None = self.options["template"]
        return template

    def splits(self, rows: int, side_rows: int) -> dict[str, Split]:
        """The splits to observe, at most so many examples of val and of test, and of each other one.

        Raises:
            BadRequest: a split, shift or attack that there is not, no rows, or a tokenizer of another model.
        """
        config, template, options = self.config, self.template, self.options
        most_asked = options.get("stopping", {}).get("planned", rows)  # training rows are not cut down with val
        side_rows = min(most_asked, side_rows)
        derived = derived_splits(
            self.held_out,
            options["shifts"],
            options["attacks"],
            rows=rows,
            side_rows=side_rows,
            seed=config.seed,
            fits=lambda e: encode(self.tokenizer, e, max_length=self.context, template=template) is not None,
        )
        there = {**self.held_out, **derived}
        for name in config.splits:
            if name not in there:
                raise unknown("split", name, there)
        chosen = {name: there[name] for name in there if not config.splits or name in config.splits}
        if not any(chosen.values()):
            raise BadRequest(f"no example to observe in {', '.join(chosen)}: the data holds no rows")
        most = defaultdict(lambda: side_rows, {name: len(examples) for name, examples in derived.items()})
        most |= {"val": rows, "test": rows}
        made = planned(
            self.tokenizer,
            chosen,
            self.decoding,
            rows=most,
            context=self.context,
            template=template,
            dtype=options["dtype"],
        )
        largest = max((token for split in made.values() for e in split.encoded for token in e.input_ids), default=0)
        if largest >= self.vocabulary:
            raise BadRequest(
                f"the tokenizer at {self.tokenizer.name_or_path!r} makes token {largest} of the examples, and the "
                f"model knows {self.vocabulary}: it is another model's; give the right one with --tokenizer"
            )
        return made


def requested(config: Audit, say: Callable[[str], None]) -> Request:
    """The complete request for `config`; `say` is called with what the run or the data adds to it.

    Raises:
        BadRequest: no run, no checkpoints, no data, or an option that is not allowed.
    """
    run = store.open_run(config.run, config.out)
    device = config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    check_device(device)
    recipe = store.read_recipe(run)
    existing_plan = store.find_plan(run)
    base = config.base or recipe.get("model") or (existing_plan.base if existing_plan else None)
    there = find_checkpoints(run.root, base)
    chosen = _only(there, config.checkpoints) if config.checkpoints else there
    has_base = there[0].checkpoint.name == "base"
    if not has_base:
        say("the base model is not known (give --base): no step 0")
    check_architecture(there)
    if order := describe_order(there):
        say(order)
    engine_of(config.engine)
    seconds = None if config.budget is None else seconds_of(config.budget)
    trained = None if recipe else trainer_file(run.root)
    if trained is not None:
        say(str(trained))
        if has_base and (note := base_note(there[0].path, trained)):
            say(note)
    data = data_as_trained(data_of(config, recipe, existing_plan, trained), trained, say)
    described = None if data is None else store.to_jsonable(with_absolute_paths(data))
    previous_plan = existing_plan if existing_plan is not None and planned_data(existing_plan) == described else None
    previous = {} if previous_plan is None else previous_plan.options
    is_sized = config.budget is not None and previous.get("budget") == config.budget
    loaded = LoadedData(examples_of_run(run, existing_plan)) if data is None else held_out(config, recipe, data, say)
    examples, carved_splits = loaded.splits, loaded.carved_splits
    tokenizer = find_tokenizer(run.root, there, config.tokenizer)
    template = VERBATIM if loaded.verbatim and "data" not in recipe else recipe.get("template")
    if template is None and config.template is None and not recipe:
        template = template_as_trained(tokenizer, (e for part in examples.values() for e in part), trained, say)
    options = _options(config, template, previous, is_sized, device, say)
    say_too_few(examples, config.rows if data is None else None, say)
    say(_prompt_line(tokenizer, options["template"], loaded, known="data" in recipe or loaded.verbatim))
    context, vocabulary = model_limits(there)
    limit = options["max_new_tokens"] or longest_completion(examples, tokenizer, options["template"])
    return Request(
        config,
        run,
        base,
        tuple(chosen),
        Skeleton(there[0].path if has_base else None, device, getattr(torch, options["dtype"])),
        data,
        options,
        examples,
        carved_splits,
        previous_plan,
        tokenizer,
        _decoding(config, options, limit),
        context,
        vocabulary,
        None if is_sized else seconds,
    )


def seconds_of(budget: str) -> float:
    """A time as `90s`, `30m`, `2h` or `1h30m`, in seconds.

    Raises:
        BadRequest: it is none, or no time at all.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", budget)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds or "".join(number + unit for number, unit in parts) != budget:
        raise BadRequest(f"--budget {budget!r} is not a time; allowed: 90s, 30m, 2h, 1h30m")
    return seconds


def _only(refs: list[CheckpointRef], names: tuple[str, ...]) -> list[CheckpointRef]:
    there = {ref.checkpoint.name for ref in refs}
    for name in names:
        if name not in there:
            raise unknown("checkpoint", name, there)
    return [ref for ref in refs if ref.checkpoint.name in names]


def _options(
    config: Audit,
    template: str | None,
    previous: Mapping[str, Any],
    is_sized: bool,
    device: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Every option: as given, else as in the previous audit of the same data, else the default.

    Args:
        config: the options as given.
        template: the one that the run was trained with, by its recipe or its data; None for the tokenizer's own.
        previous: options of the previous audit; empty where it was of other data.
        is_sized: whether its rows were chosen for this same budget; rows chosen for another budget are not reused.
        device: where the model is.
        say: called with the options that are reused.

    Raises:
        BadRequest: a number or a precision that is not allowed.
    """
    defaults: dict[str, Any] = {
        "rows": 500,
        "side_rows": 200,
        "draws": 0,
        "temperature": [0.7],
        "max_new_tokens": None,
        "template": template,
        "shifts": [],
        "attacks": [],
        "probes": [],
        "dtype": "bfloat16" if device.startswith("cuda") else "float32",
    }
    chosen: dict[str, Any] = {}
    for name, default in defaults.items():
        is_rows = name in ("rows", "side_rows")
        explicit = None if is_rows and is_sized else _left_out(getattr(config, name))
        reused = None if is_rows and config.budget is not None and not is_sized else _left_out(previous.get(name))
        chosen[name] = next((v for v in (explicit, reused) if v is not None), default)
        if explicit is None and chosen[name] != default:
            shown = " ".join(map(str, chosen[name])) if isinstance(chosen[name], list) else chosen[name]
            flag = name.replace("_", "-")
            say(f"{name.replace('_', ' ')} as {_who(previous)}: {shown} (--{flag} changes it)")
    record = previous.get("stopping")
    if record is not None and config.rows in (None, record["asked"], record["planned"] if config.until else None):
        chosen |= {"rows": record["asked"], "stopping": record}
    for name, least in (("rows", 1), ("side_rows", 0), ("draws", 0), ("max_new_tokens", 1)):
        if chosen[name] is not None and chosen[name] < least:
            raise BadRequest(f"--{name.replace('_', '-')} {chosen[name]}; allowed: {least} or more")
    if chosen["dtype"] not in DTYPES:
        raise unknown("dtype", chosen["dtype"], ["auto", *DTYPES])
    return chosen


def _who(previous: Mapping[str, Any]) -> str:
    """Whose options are reused."""
    return "the run's callback measured" if previous.get("by") == CALLBACK else "in the previous audit"


def _prompt_line(tokenizer: Any, template: str | None, loaded: LoadedData, *, known: bool) -> str:
    """How prompts are written and what is scored; a warning where nothing says that the run was trained so."""
    line = describe_prompt(tokenizer, template)
    line += f"; '#### answer' appended to {loaded.appended} solutions as in training" if loaded.appended else ""
    if not known and template is None and not getattr(tokenizer, "chat_template", None):
        line += "; the tokenizer has no chat template and the data does not show how the run was prompted: --template"
    return line


def _left_out(value: Any) -> Any:
    """An option as a plan has it; None where it was left out."""
    value = list(value) if isinstance(value, tuple) else value
    return None if value in ([], "auto") else value


def _decoding(config: Audit, options: Mapping[str, Any], limit: int) -> Decoding:
    draws, temperatures = options["draws"], tuple(options["temperature"])
    if len(set(temperatures)) < len(temperatures) or not all(0 < t <= HOTTEST for t in temperatures):
        given = " ".join(f"{t:g}" for t in temperatures)
        raise BadRequest(f"--temperature {given}; allowed: different numbers above 0 and up to {HOTTEST:g}")
    return Decoding(draws, temperatures, limit, config.seed, config.engine)


def model_limits(refs: Iterable[CheckpointRef]) -> tuple[int, int]:
    """Tokens that the model's positions allow (2048 where its configuration does not say), and that it knows."""
    from transformers import AutoConfig

    contexts, vocabularies = [], []
    for checkpoint in refs:
        try:
            config = AutoConfig.from_pretrained(checkpoint.path, trust_remote_code=False)
        except (OSError, ValueError):
            continue
        finally:
            # Training may have added tokens: an adapter then stores its resized embeddings.
            vocabularies.append(stored_vocabulary(checkpoint.path))
        contexts.append(context_of(config))
        vocabularies.append(int(getattr(config.get_text_config(), "vocab_size", None) or 2**31))
    return (contexts or [2048])[0], max(vocabularies, default=0) or 2**31
