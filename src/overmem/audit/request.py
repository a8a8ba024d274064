"""The complete request for an audit: every option, from the command line, the run or a default, and the examples."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from overmem import store
from overmem.audit.as_trained import base_note, data_as_trained, template_as_trained
from overmem.audit.options import Audit
from overmem.audit.sources import data_of, examples_of_run, held_out, planned_data, say_too_few, text_of
from overmem.encoding import VERBATIM, describe_prompt, encode
from overmem.errors import BadRequest, unknown
from overmem.models.discovery import CheckpointRef, describe_order, find_checkpoints, find_tokenizer
from overmem.models.files import stored_vocabulary
from overmem.models.loading import Skeleton, chosen_device
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

MAX_TEMPERATURE = 10.0
"""The highest temperature that is allowed."""
DTYPES = ("float32", "bfloat16", "float16")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Request:
    """An audit with every option filled in. Nothing was written, no model was loaded."""

    config: Audit
    run: store.Run
    base: str | None
    """Name of the base model; None if unknown."""
    refs: tuple[CheckpointRef, ...]
    """The checkpoints to observe."""
    skeleton: Skeleton
    data: Data | None
    """Where the examples come from; None if the run has the only copy of them."""
    options: Mapping[str, Any]
    """The options that a later audit of the same data reuses, all filled in."""
    held_out: Mapping[str, Sequence[Example]]
    """All examples of every split."""
    carved_splits: tuple[str, ...]
    """Splits that were carved out of the training rows of the source, so the run may have been trained on them."""
    previous_plan: Plan | None
    """The run's previous plan; None if there is none, or it is of other data."""
    tokenizer: Any
    decoding: Decoding
    context: int
    """Length limit of the model, in tokens."""
    vocabulary: int
    """Size of the model's vocabulary."""
    budget: float | None
    """Seconds that `rows` and `side_rows` are to be chosen for; None if there is no budget, or it was done before."""

    @property
    def template(self) -> str | None:
        """Prompt with {question} in it; None for the tokenizer's own."""
        template: str | None = self.options["template"]
        return template

    def splits(self, rows: int, side_rows: int) -> dict[str, Split]:
        """The splits to observe.

        Args:
            rows: number of examples of val and of test, at most.
            side_rows: number of examples of every other split, at most.

        Raises:
            BadRequest: an unknown split, shift or attack, no rows, or a tokenizer of another model.
        """
        config, template, options = self.config, self.template, self.options
        planned_rows = options.get("stopping", {}).get("planned", rows)  # --until reduces val, not the training rows
        side_rows = min(planned_rows, side_rows)
        derived = derived_splits(
            self.held_out,
            options["shifts"],
            options["attacks"],
            rows=rows,
            side_rows=side_rows,
            seed=config.seed,
            fits=lambda e: encode(self.tokenizer, e, max_length=self.context, template=template) is not None,
        )
        available = {**self.held_out, **derived}
        for name in config.splits:
            if name not in available:
                raise unknown("split", name, available)
        chosen = {name: available[name] for name in available if not config.splits or name in config.splits}
        if not any(chosen.values()):
            raise BadRequest(f"no example to observe in {', '.join(chosen)}: the data has no rows")
        limits = defaultdict(lambda: side_rows, {name: len(examples) for name, examples in derived.items()})
        limits |= {"val": rows, "test": rows}
        splits = planned(
            self.tokenizer,
            chosen,
            self.decoding,
            rows=limits,
            context=self.context,
            template=template,
            dtype=options["dtype"],
        )
        largest = max((token for split in splits.values() for e in split.encoded for token in e.input_ids), default=0)
        if largest >= self.vocabulary:
            raise BadRequest(
                f"the tokenizer at {self.tokenizer.name_or_path!r} gives token id {largest}, but the model's "
                f"vocabulary has {self.vocabulary}: it is another model's; pass the right one as --tokenizer"
            )
        return splits


def requested(config: Audit, say: Callable[[str], None]) -> Request:
    """The complete request for `config`; `say` is called with every option that comes from the run or the data.

    Raises:
        BadRequest: no run, no checkpoints, no data, or an option that is not allowed.
    """
    run = store.open_run(config.run, config.out)
    device = chosen_device(config.device)
    recipe = store.read_recipe(run)
    existing_plan = store.find_plan(run)
    base = config.base or text_of(recipe, "model", run) or (existing_plan.base if existing_plan else None)
    refs = find_checkpoints(run.root, base)
    chosen = _only(refs, config.checkpoints) if config.checkpoints else refs
    has_base = refs[0].checkpoint.name == "base"
    if not has_base:
        say("the base model is not known (give --base): no step 0")
    check_architecture(refs)
    if order := describe_order(refs):
        say(order)
    engine_of(config.engine)
    seconds = None if config.budget is None else seconds_of(config.budget)
    trained = None if recipe else trainer_file(run.root)
    if trained is not None:
        say(str(trained))
        if has_base and (note := base_note(refs[0].path, trained)):
            say(note)
    data = data_as_trained(data_of(config, recipe, existing_plan, trained), trained, say)
    data_now = None if data is None else store.to_jsonable(with_absolute_paths(data))
    previous_plan = existing_plan if existing_plan is not None and planned_data(existing_plan) == data_now else None
    previous = {} if previous_plan is None else previous_plan.options
    is_sized = config.budget is not None and previous.get("budget") == config.budget
    loaded = LoadedData(examples_of_run(run, existing_plan)) if data is None else held_out(config, recipe, data, say)
    examples, carved_splits = loaded.splits, loaded.carved_splits
    tokenizer = find_tokenizer(run.root, refs, config.tokenizer)
    template = VERBATIM if loaded.verbatim and "data" not in recipe else text_of(recipe, "template", run)
    if template is None and config.template is None and not recipe:
        template = template_as_trained(tokenizer, (e for part in examples.values() for e in part), trained, say)
    options = _options(config, template, previous, is_sized, device, say)
    say_too_few(examples, config.rows if data is None else None, say)
    say(_prompt_line(tokenizer, options["template"], loaded, is_known="data" in recipe or loaded.verbatim))
    context, vocabulary = model_limits(refs)
    limit = options["max_new_tokens"] or longest_completion(examples, tokenizer, options["template"])
    return Request(
        config,
        run,
        base,
        tuple(chosen),
        Skeleton(refs[0].path if has_base else None, device, getattr(torch, options["dtype"])),
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
    """The seconds of a duration such as `90s`, `30m`, `2h` or `1h30m`.

    Raises:
        BadRequest: it has another form, or is 0.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", budget)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds or "".join(number + unit for number, unit in parts) != budget:
        raise BadRequest(f"--budget {budget!r} is not a time; allowed: 90s, 30m, 2h, 1h30m")
    return seconds


def _only(refs: list[CheckpointRef], names: tuple[str, ...]) -> list[CheckpointRef]:
    allowed = {ref.checkpoint.name for ref in refs}
    for name in names:
        if name not in allowed:
            raise unknown("checkpoint", name, allowed)
    return [ref for ref in refs if ref.checkpoint.name in names]


def _options(
    config: Audit,
    template: str | None,
    previous: Mapping[str, Any],
    is_sized: bool,
    device: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Every option: from the command line, else from the previous audit of the same data, else the default.

    Args:
        config: the options on the command line.
        template: the template of training, from the recipe or the data; None for the tokenizer's own.
        previous: options of the previous audit; empty if there is none, or it was of other data.
        is_sized: whether its rows were chosen for this same budget; rows chosen for another budget are not reused.
        device: device of the model.
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
        explicit = None if is_rows and is_sized else _explicit(getattr(config, name))
        reused = None if is_rows and config.budget is not None and not is_sized else _explicit(previous.get(name))
        chosen[name] = next((v for v in (explicit, reused) if v is not None), default)
        if explicit is None and chosen[name] != default:
            text = " ".join(map(str, chosen[name])) if isinstance(chosen[name], list) else chosen[name]
            source = "the run's callback used" if previous.get("by") == CALLBACK else "in the previous audit"
            say(f"{name.replace('_', ' ')} as {source}: {text} (--{name.replace('_', '-')} changes it)")
    record = previous.get("stopping")
    if record is not None and config.rows in (None, record["asked"], record["planned"] if config.until else None):
        chosen |= {"rows": record["asked"], "stopping": record}
    for name, minimum in (("rows", 1), ("side_rows", 0), ("draws", 0), ("max_new_tokens", 1)):
        if chosen[name] is not None and chosen[name] < minimum:
            raise BadRequest(f"--{name.replace('_', '-')} {chosen[name]}; allowed: {minimum} or more")
    if chosen["dtype"] not in DTYPES:
        raise unknown("dtype", chosen["dtype"], ["auto", *DTYPES])
    return chosen


def _prompt_line(tokenizer: Any, template: str | None, loaded: LoadedData, *, is_known: bool) -> str:
    """How prompts are written and what is scored; with a warning if the format of training is not known."""
    line = describe_prompt(tokenizer, template)
    line += f"; '#### answer' appended to {loaded.appended} solutions as in training" if loaded.appended else ""
    if not is_known and template is None and not getattr(tokenizer, "chat_template", None):
        line += "; the tokenizer has no chat template and the data does not show how the run was prompted: --template"
    return line


def _explicit(value: Any) -> Any:
    """The value of an option as in a plan; None if it was not set."""
    value = list(value) if isinstance(value, tuple) else value
    return None if value in ([], "auto") else value


def _decoding(config: Audit, options: Mapping[str, Any], limit: int) -> Decoding:
    draws, temperatures = options["draws"], tuple(options["temperature"])
    if len(set(temperatures)) < len(temperatures) or not all(0 < t <= MAX_TEMPERATURE for t in temperatures):
        listed = " ".join(f"{t:g}" for t in temperatures)
        raise BadRequest(f"--temperature {listed}; allowed: different numbers above 0 and up to {MAX_TEMPERATURE:g}")
    return Decoding(draws, temperatures, limit, config.seed, config.engine)


def model_limits(refs: Iterable[CheckpointRef]) -> tuple[int, int]:
    """The length limit of the model in tokens (2048 if its configuration has none), and the size of its vocabulary."""
    from transformers import AutoConfig

    contexts, vocabularies = [], []
    for checkpoint in refs:
        try:
            config = AutoConfig.from_pretrained(checkpoint.path, trust_remote_code=False)
            limits = context_of(config), int(getattr(config.get_text_config(), "vocab_size", None) or 2**31)
        except Exception:  # libraries raise anything; whoever loads the checkpoint notes why it cannot be
            continue
        finally:
            # Training may have added tokens: an adapter then stores its resized embeddings.
            vocabularies.append(stored_vocabulary(checkpoint.path))
        contexts.append(limits[0])
        vocabularies.append(limits[1])
    return (contexts or [2048])[0], max(vocabularies, default=0) or 2**31
