"""Fine-tune a causal language model with the transformers Trainer and any loss of the family, leaving checkpoints."""

import json
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
from overmem.losses import LOSSES
from overmem.losses.driver import model_loss
from overmem.models.discovery import base_path, tokenizer_at
from overmem.records import Example
from overmem.tables import checked_knobs, resolve
from overmem.tasks import load
from overmem.training.recipe import Recipe
from overmem.training.trainers import with_loss
from overmem.tuning import TUNING
from overmem.tuning.base import base_model, check_quantized

_OURS = {
    "output_dir", "num_train_epochs", "learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps",
    "lr_scheduler_type", "warmup_steps", "save_strategy", "save_steps", "report_to", "seed", "data_seed",
    "remove_unused_columns", "label_smoothing_factor",
}  # fmt: skip
"""TrainingArguments that the recipe names itself, or that would undo what it promises."""
_OPTIMIZER = ("optimizer*", "global_step*")
"""What a checkpoint to go on from holds: the optimizer's state, as torch and FSDP write it, or DeepSpeed."""
Row: TypeAlias = dict[str, Sequence[int]]
"""`input_ids` and `labels` of one example."""


def train(
    recipe: Recipe,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[str, float, float], None] = lambda what, done, total: None,
) -> store.Run:
    """Run the recipe, from the last whole checkpoint if it was begun before, and return its run directory.

    Started by `accelerate launch` or torchrun, every process calls it; the first one speaks and writes for all.

    Args:
        recipe: what to do.
        say: told in words what happens (rows, what was left out, resuming, the numbers of each checkpoint).
        progress: told how far the work is.

    Raises:
        BadRequest: the recipe names something that is not there, or the folder holds a run of another recipe.
    """
    kind = with_loss(_Whole, recipe.loss, **recipe.loss_knobs)
    tune = resolve(TUNING, recipe.method, "method")
    tune = partial(tune, **checked_knobs(tune, recipe.method_knobs, f"method {recipe.method!r}"))
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
    with store.locked(run) if is_first else nullcontext():
        if is_first:
            _same_recipe(run, recipe)
            store.write_recipe(run, recipe)
        tokenizer = tokenizer_at(recipe.model)
        rows = {
            split: _encoded(tokenizer, loaded.splits.get(split, ()), recipe, split, say) for split in ("train", "val")
        }
        if not rows["train"]:
            raise BadRequest(f"{recipe.data.source}: no training row fits max_length {recipe.max_length}")
        trainer = kind(
            model=_model(recipe, tune),
            args=arguments,
            train_dataset=rows["train"],
            data_collator=partial(_batch, pad=tokenizer.pad_token_id or 0),
            processing_class=tokenizer,
        )
        if trainer.is_fsdp_enabled and recipe.method == "prompt_tuning":
            raise BadRequest("method 'prompt_tuning' cannot be saved by PEFT under FSDP; use DDP")
        trainer.progress = progress
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Shown(progress))
        if recipe.observe_rows:
            watched = {split: rows[split][: recipe.observe_rows] for split in rows if rows[split]}
            trainer.add_callback(_Dynamics(trainer, watched, recipe.batch_size, say))
        last = [_to_go_on_from(root, say) if is_first else None]
        trainer.train(resume_from_checkpoint=broadcast_object_list(last)[0])
        trainer.save_state()
    return run


def _arguments(recipe: Recipe) -> TrainingArguments:
    allowed = {f.name for f in fields(TrainingArguments)} - _OURS
    for key in recipe.trainer:
        if key not in allowed:
            raise unknown("key", key, allowed, "trainer (the recipe's own keys cover the others)")
    by_steps = isinstance(recipe.save, int)
    seed = seeds.seed_of("train", recipe.seed) % 2**31
    chosen: dict[str, Any] = {
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
        return TrainingArguments(**chosen | dict(recipe.trainer))
    except (TypeError, ValueError) as error:
        raise BadRequest(f"the Trainer refuses these settings: {error}") from error


def _same_recipe(run: store.Run, recipe: Recipe) -> None:
    """Refuse to mix two recipes in one folder; where the checkpoints lie may change."""
    before = store.read_recipe(run)
    now = store.to_jsonable(recipe)
    changed = sorted(k for k in now if k != "output" and k in before and before[k] != now[k])
    if before and changed:
        raise BadRequest(
            f"{run.root} holds a run of another recipe (different: {', '.join(changed)}); "
            "give another output, or delete the folder"
        )


def _encoded(
    tokenizer: Any, examples: Sequence[Example], recipe: Recipe, split: str, say: Callable[[str], None]
) -> list[Row]:
    found = [encode(tokenizer, e, max_length=recipe.max_length, template=recipe.template) for e in examples]
    kept = [e for e in found if e is not None]
    if len(kept) < len(found):
        say(f"{split}: {len(found) - len(kept)} of {len(found)} examples exceed {recipe.max_length} tokens, left out")
    return [{"input_ids": e.input_ids, "labels": e.labels} for e in kept]


def _model(recipe: Recipe, tune: Callable[[Any], Any]) -> Any:
    dtype = torch.bfloat16 if recipe.dtype == "bfloat16" else torch.float32
    model = base_model(base_path(recipe.model), dtype=dtype, quantize=recipe.quantize)
    with torch.random.fork_rng(devices=[]):
        seed = seeds.seed_of("adapter", recipe.seed) % 2**31
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        return tune(model)


def _batch(rows: Sequence[Row], *, pad: int) -> dict[str, torch.Tensor]:
    """Right-padded ids, mask and labels [batch time]; only solution tokens are labelled."""
    width = max(len(row["input_ids"]) for row in rows)

    def padded(parts: list[Sequence[int]], value: int) -> torch.Tensor:
        return torch.tensor([[*part, *[value] * (width - len(part))] for part in parts])

    return {
        "input_ids": padded([row["input_ids"] for row in rows], pad),
        "attention_mask": padded([[1] * len(row["input_ids"]) for row in rows], 0),
        "labels": padded([row["labels"] for row in rows], IGNORED),
    }


class _Whole(Trainer):
    """The Trainer, which under FSDP leaves whole weights in safetensors beside the shards it goes on from."""

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write a checkpoint's weights."""
        super().save_model(output_dir, _internal_call)
        if self.is_fsdp_enabled and "SHARDED" in str(self.accelerator.state.fsdp_plugin.state_dict_type):
            self._save(output_dir, state_dict=self.accelerator.get_state_dict(self.model))


class _Dynamics(TrainerCallback):
    """Plain nll and token accuracy of fixed train and val rows at every checkpoint, whatever the training loss is."""

    def __init__(self, trainer: Any, rows: dict[str, list[Row]], batch_size: int, say: Callable[[str], None]) -> None:
        self.trainer, self.rows, self.batch_size, self.say = trainer, rows, batch_size, say

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure before a checkpoint by steps is written, so that its trainer state holds the numbers."""
        if control.should_save:
            self._measure(state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure before a checkpoint by epochs is written."""
        if control.should_save:
            self._measure(state)

    def _measure(self, state: Any) -> None:
        model: Any = self.trainer.model
        logs: dict[str, float] = {}
        model.train(False)
        for split, rows in self.rows.items():
            nll = hits = tokens = 0.0
            for start in range(0, len(rows), self.batch_size):
                batch = {k: v.to(model.device) for k, v in _batch(rows[start : start + self.batch_size], pad=0).items()}
                with torch.no_grad():
                    _, result = model_loss(model, batch, LOSSES["nll"])
                nll += float(result.nll_sum)
                hits += float(result.argmax_sum)
                tokens += result.tokens
            logs |= {f"eval_{split}_nll": nll / tokens, f"eval_{split}_token_accuracy": hits / tokens}
        model.train(True)
        self.trainer.log(logs)
        told = (f"{s} nll {logs[f'eval_{s}_nll']:.3f}" for s in self.rows)
        self.say(f"step {state.global_step}, epoch {state.epoch:.3g}: {', '.join(told)}")


class _Shown(TrainerCallback):
    """How far the training is, and the last numbers that were logged."""

    def __init__(self, progress: Callable[[str, float, float], None]) -> None:
        self.progress, self.numbers = progress, ""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Remember what to show."""
        if logs and "loss" in logs:
            self.numbers = f", loss {logs['loss']:.3g}"

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the bar."""
        self.progress(f"epoch {state.epoch:.1f}{self.numbers}", state.global_step, state.max_steps)


def _to_go_on_from(root: Path, say: Callable[[str], None]) -> str | None:
    """The last checkpoint, or None to begin anew.

    One without its trainer state, written last, was cut off: it is removed. From one without the optimizer's
    (`save_only_model`) nobody can go on as if nothing had been, and the Trainer would do so without a word.
    """
    while (last := get_last_checkpoint(str(root))) is not None:  # type: ignore[no-untyped-call]
        try:
            state = json.loads((Path(last) / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            say(f"{last} was cut off while it was written; removed")
            shutil.rmtree(last)
            continue
        is_over = state["global_step"] >= state["max_steps"]
        if not is_over and not any(p for kind in _OPTIMIZER for p in Path(last).glob(kind)):
            say(f"{last} was saved without the optimizer's state (save_only_model), so the training begins anew")
            return None
        say(f"going on from {last}")
        return str(last)
    return None
