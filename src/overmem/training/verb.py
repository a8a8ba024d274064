"""Fine-tune a causal language model with the transformers Trainer and any token loss, saving checkpoints."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from overmem import seeds, store
from overmem.encoding import IGNORED, encode
from overmem.errors import BadRequest, unknown
from overmem.json_text import parse_json
from overmem.losses import LOSSES
from overmem.losses.driver import model_loss
from overmem.models.discovery import base_path, load_tokenizer
from overmem.records import Example
from overmem.tables import checked_knobs, resolve
from overmem.tasks import load
from overmem.training.recipe import Recipe
from overmem.training.trainers import with_loss
from overmem.tuning import TUNING
from overmem.tuning.base import base_model, check_quantized

_SET_BY_RECIPE = {
    "output_dir", "num_train_epochs", "learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps",
    "lr_scheduler_type", "warmup_steps", "save_strategy", "save_steps", "report_to", "seed", "data_seed",
    "remove_unused_columns", "label_smoothing_factor",
}  # fmt: skip
"""TrainingArguments that the recipe sets itself, or that would break it."""
_OPTIMIZER = ("optimizer*", "global_step*")
"""Files with the optimizer state, which resuming needs: of torch and FSDP, or of DeepSpeed."""
Row: TypeAlias = dict[str, Sequence[int]]
"""`input_ids` and `labels` of one example."""


def train(
    recipe: Recipe,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[str, float, float], None] = lambda what, done, total: None,
) -> store.Run:
    """Run the recipe, resuming from the last complete checkpoint if there is one, and return the run directory.

    Under `accelerate launch` or torchrun every process calls it; only the main one reports and writes overmem's files.

    Args:
        recipe: what to train, on what, and how.
        say: called with each message (rows left out, resuming, the nll at each checkpoint).
        progress: called with (description, steps done, steps in total).

    Raises:
        BadRequest: a name in the recipe does not exist, or the folder holds a run of another recipe.
    """
    trainer_class = with_loss(_FullWeightsTrainer, recipe.loss, **recipe.loss_knobs)
    method = resolve(TUNING, recipe.method, "method")
    method = partial(method, **checked_knobs(method, recipe.method_knobs, f"method {recipe.method!r}"))
    check_quantized(recipe.quantize, recipe.method)
    arguments = _arguments(recipe)
    is_first = arguments.process_index == 0
    if not is_first:
        say, progress = (lambda line: None), (lambda what, done, total: None)
    with arguments.main_process_first():
        loaded = load(recipe.data)
    for note in loaded.notes:
        say(note)
    root = Path(recipe.output)
    root.mkdir(parents=True, exist_ok=True)
    run = store.open_run(root)
    with store.locked_for_training(run) if is_first else nullcontext():
        if is_first:
            _check_same_recipe(run, recipe)
            store.write_recipe(run, recipe)
        tokenizer = load_tokenizer(recipe.model)
        rows = {
            split: _encode_rows(tokenizer, loaded.splits.get(split, ()), recipe, split, say)
            for split in ("train", "val")
        }
        if not rows["train"]:
            raise BadRequest(f"{recipe.data.source}: no training row fits max_length {recipe.max_length}")
        trainer = trainer_class(
            model=_model(recipe, method),
            args=arguments,
            train_dataset=rows["train"],
            data_collator=partial(_collate, pad=tokenizer.pad_token_id or 0),
            processing_class=tokenizer,
        )
        if trainer.is_fsdp_enabled and recipe.method == "prompt_tuning":
            raise BadRequest("method 'prompt_tuning' cannot be saved by PEFT under FSDP; use DDP")
        trainer.progress = progress
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Progress(progress))
        if recipe.observe_rows:
            observed_rows = {split: rows[split][: recipe.observe_rows] for split in rows if rows[split]}
            trainer.add_callback(_Dynamics(trainer, observed_rows, recipe.batch_size, say))
        last = [_last_checkpoint(root, say) if is_first else None]
        trainer.train(resume_from_checkpoint=broadcast_object_list(last)[0])
        trainer.save_state()
    return run


def _arguments(recipe: Recipe) -> TrainingArguments:
    allowed = {f.name for f in fields(TrainingArguments)} - _SET_BY_RECIPE
    for key in recipe.trainer:
        if key not in allowed:
            raise unknown("key", key, allowed, "trainer (the recipe's own keys set the others)")
    by_steps = isinstance(recipe.save, int)
    seed = seeds.seed_of("train", recipe.seed) % 2**31
    settings: dict[str, Any] = {
        "output_dir": recipe.output,
        "num_train_epochs": recipe.epochs,
        "learning_rate": recipe.learning_rate,
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.accumulation,
        "lr_scheduler_type": recipe.scheduler,
        "warmup_steps": recipe.warmup,
        "save_strategy": "steps" if by_steps else "epoch",
        "save_steps": recipe.save if by_steps else 500,
        "logging_steps": 10,
        "report_to": list(recipe.report_to) or "none",
        "seed": seed,
        "data_seed": seed,
        "remove_unused_columns": False,
        "bf16": recipe.dtype == "auto" and torch.cuda.is_available(),
        "use_cpu": not torch.accelerator.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
    }
    try:
        return TrainingArguments(**settings | dict(recipe.trainer))
    except (TypeError, ValueError) as error:
        raise BadRequest(f"the Trainer refuses these settings: {error}") from error


def _check_same_recipe(run: store.Run, recipe: Recipe) -> None:
    """Refuse a folder that holds a run of another recipe; the path of the folder may differ."""
    saved = store.read_recipe(run)
    current = store.to_jsonable(recipe)
    changed = sorted(k for k in current if k != "output" and k in saved and saved[k] != current[k])
    if saved and changed:
        raise BadRequest(
            f"{run.root} holds a run of another recipe (different: {', '.join(changed)}); "
            "give another output, or delete the folder"
        )


def _encode_rows(
    tokenizer: Any, examples: Sequence[Example], recipe: Recipe, split: str, say: Callable[[str], None]
) -> list[Row]:
    encoded = [encode(tokenizer, e, max_length=recipe.max_length, template=recipe.template) for e in examples]
    kept = [e for e in encoded if e is not None]
    if len(kept) < len(encoded):
        count = len(encoded) - len(kept)
        say(f"{split}: {count} of {len(encoded)} examples are longer than {recipe.max_length} tokens, left out")
    return [{"input_ids": e.input_ids, "labels": e.labels} for e in kept]


def _model(recipe: Recipe, method: Callable[[Any], Any]) -> Any:
    dtype = torch.bfloat16 if recipe.dtype == "bfloat16" else torch.float32
    model = base_model(base_path(recipe.model), dtype=dtype, quantize=recipe.quantize)
    with torch.random.fork_rng(devices=[]):
        seed = seeds.seed_of("adapter", recipe.seed) % 2**31
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        return method(model)


def _collate(rows: Sequence[Row], *, pad: int) -> dict[str, torch.Tensor]:
    """Right-padded ids, attention mask and labels, each [batch time]."""
    width = max(len(row["input_ids"]) for row in rows)

    def padded(parts: list[Sequence[int]], value: int) -> torch.Tensor:
        return torch.tensor([[*part, *[value] * (width - len(part))] for part in parts])

    return {
        "input_ids": padded([row["input_ids"] for row in rows], pad),
        "attention_mask": padded([[1] * len(row["input_ids"]) for row in rows], 0),
        "labels": padded([row["labels"] for row in rows], IGNORED),
    }


class _FullWeightsTrainer(Trainer):
    """The Trainer; under FSDP it saves full weights in safetensors in addition to the shards that it resumes from."""

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save a checkpoint's weights."""
        super().save_model(output_dir, _internal_call)
        if self.is_fsdp_enabled and "SHARDED" in str(self.accelerator.state.fsdp_plugin.state_dict_type):
            self._save(output_dir, state_dict=self.accelerator.get_state_dict(self.model))


class _Dynamics(TrainerCallback):
    """Plain nll and token accuracy of fixed train and val rows at every checkpoint, whatever the training loss is."""

    def __init__(self, trainer: Any, rows: dict[str, list[Row]], batch_size: int, say: Callable[[str], None]) -> None:
        self.trainer, self.rows, self.batch_size, self.say = trainer, rows, batch_size, say

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure before a checkpoint is saved (save: steps), so that its trainer state has the metrics."""
        if control.should_save:
            self._measure(state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure before a checkpoint is saved (save: epoch)."""
        if control.should_save:
            self._measure(state)

    def _measure(self, state: Any) -> None:
        model: Any = self.trainer.model
        logs: dict[str, float] = {}
        model.train(False)
        for split, rows in self.rows.items():
            nll = correct = tokens = 0.0
            for start in range(0, len(rows), self.batch_size):
                batch = {
                    k: v.to(model.device) for k, v in _collate(rows[start : start + self.batch_size], pad=0).items()
                }
                with torch.no_grad():
                    _, result = model_loss(model, batch, LOSSES["nll"])
                nll += float(result.nll_sum)
                correct += float(result.argmax_sum)
                tokens += result.tokens
            logs |= {f"eval_{split}_nll": nll / tokens, f"eval_{split}_token_accuracy": correct / tokens}
        model.train(True)
        self.trainer.log(logs)
        parts = (f"{s} nll {logs[f'eval_{s}_nll']:.3f}" for s in self.rows)
        self.say(f"step {state.global_step}, epoch {state.epoch:.3g}: {', '.join(parts)}")


class _Progress(TrainerCallback):
    """Reports progress, with the last logged loss."""

    def __init__(self, progress: Callable[[str, float, float], None]) -> None:
        self.progress, self.loss_text = progress, ""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Keep the loss for the next progress report."""
        if logs and "loss" in logs:
            self.loss_text = f", loss {logs['loss']:.3g}"

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report the step."""
        self.progress(f"epoch {state.epoch:.1f}{self.loss_text}", float(state.global_step), float(state.max_steps))


def _last_checkpoint(root: Path, say: Callable[[str], None]) -> str | None:
    """The last checkpoint to resume from, or None to start from scratch.

    The trainer state is written last, so a checkpoint without it is incomplete and is removed. A checkpoint without the
    optimizer state (`save_only_model`) cannot be resumed exactly, although the Trainer would do so without a warning.
    """
    while (last := get_last_checkpoint(str(root))) is not None:  # type: ignore[no-untyped-call]
        try:
            state = parse_json((Path(last) / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            say(f"{last} is incomplete (the write was interrupted); removed")
            shutil.rmtree(last)
            continue
        is_finished = state["global_step"] >= state["max_steps"]
        if not is_finished and not any(p for pattern in _OPTIMIZER for p in Path(last).glob(pattern)):
            say(f"{last} was saved without the optimizer state (save_only_model), so training starts from scratch")
            return None
        say(f"resuming from {last}")
        return str(last)
    return None
