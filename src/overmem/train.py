"""Fine-tune a causal language model with the transformers Trainer and any loss of the family, leaving checkpoints."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from overmem import seeds, store
from overmem.checkpoints import base_path, tokenizer_at
from overmem.errors import BadRequest, unknown
from overmem.losses import LOSSES
from overmem.losses.driver import attach, model_loss
from overmem.recipe import Recipe
from overmem.records import Example
from overmem.tables import checked_knobs, method
from overmem.tasks import load
from overmem.tasks.render import IGNORED, encode

_OURS = {
    "output_dir", "num_train_epochs", "learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps",
    "lr_scheduler_type", "warmup_steps", "save_strategy", "save_steps", "report_to", "seed", "data_seed",
    "remove_unused_columns", "label_smoothing_factor",
}  # fmt: skip
"""TrainingArguments that the recipe names itself, or that would undo what it promises."""
Row: TypeAlias = dict[str, Sequence[int]]
"""`input_ids` and `labels` of one example."""


def train(recipe: Recipe, *, say: Callable[[str], None] = lambda line: None) -> store.Run:
    """Run the recipe, from the last whole checkpoint if it was begun before, and return its run directory.

    Args:
        recipe: what to do.
        say: told in words what happens (rows, what was left out, resuming).

    Raises:
        BadRequest: the recipe names something that is not there, or the folder holds a run of another recipe.
    """
    loss = method(LOSSES, recipe.loss, "loss")
    loss = partial(loss, **checked_knobs(loss, recipe.loss_knobs, f"loss {recipe.loss!r}"))
    arguments = _arguments(recipe)
    loaded = load(recipe.data)
    for note in loaded.notes:
        say(note)
    root = Path(recipe.output)
    root.mkdir(parents=True, exist_ok=True)
    run = store.open_run(root)
    with store.locked(run):
        _same_recipe(run, recipe)
        store.write_recipe(run, recipe)
        tokenizer = tokenizer_at(recipe.model)
        rows = {
            split: _encoded(tokenizer, loaded.splits.get(split, ()), recipe, split, say) for split in ("train", "val")
        }
        if not rows["train"]:
            raise BadRequest(f"{recipe.data.source}: no training row fits max_length {recipe.max_length}")
        trainer = _Trainer(
            model=_model(recipe),
            args=arguments,
            train_dataset=rows["train"],
            data_collator=partial(_batch, pad=tokenizer.pad_token_id or 0),
            processing_class=tokenizer,
            token_loss=loss,
        )
        if recipe.observe_rows:
            watched = {split: rows[split][: recipe.observe_rows] for split in rows if rows[split]}
            trainer.add_callback(_Dynamics(trainer, watched, recipe.batch_size))
        last = _last_whole_checkpoint(root, say)
        trainer.train(resume_from_checkpoint=last)
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
    }
    try:
        return TrainingArguments(**chosen | dict(recipe.trainer))
    except (TypeError, ValueError) as error:
        raise BadRequest(f"the Trainer refuses these settings: {error}") from error


def _same_recipe(run: store.Run, recipe: Recipe) -> None:
    """Refuse to mix two recipes in one folder; where the checkpoints lie may change."""
    before = store.read_recipe(run)
    now = store.plain(recipe)
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


def _model(recipe: Recipe) -> Any:
    dtype = torch.bfloat16 if recipe.dtype == "bfloat16" else torch.float32
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(base_path(recipe.model), dtype=dtype, use_safetensors=True)
    except OSError as error:
        raise BadRequest(f"model {recipe.model!r} cannot be loaded: {error}") from error
    model.config.use_cache = False
    if recipe.method == "lora":
        from peft import LoraConfig, get_peft_model
        from transformers import set_seed

        set_seed(seeds.seed_of("adapter", recipe.seed) % 2**31)
        lora = recipe.lora
        model = get_peft_model(
            model,
            LoraConfig(
                r=lora.r,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules=lora.target_modules,
                task_type="CAUSAL_LM",
            ),
        )
    return model


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


class _Trainer(Trainer):
    """The Trainer, with a token loss summed over the solution tokens of the whole accumulated batch."""

    loss_is_scaled_for_ga = True

    def __init__(self, *, token_loss: Callable[..., torch.Tensor], **arguments: Any) -> None:
        attach(arguments["model"])
        super().__init__(**arguments)
        self.token_loss = token_loss
        self.model_accepts_loss_kwargs = True  # makes the Trainer count the batch's label tokens
        self.seen = {"nll": 0.0, "argmax": 0.0, "probability": 0.0, "tokens": 0.0}

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of one micro-batch, already divided by the tokens of all of them."""
        loss, result = model_loss(model, inputs, self.token_loss, denominator=num_items_in_batch)
        self.seen["nll"] += float(result.nll_sum)
        self.seen["argmax"] += float(result.argmax_sum)
        self.seen["probability"] += float(result.probability_sum)
        self.seen["tokens"] += result.tokens
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def log(self, logs: dict[str, float], *arguments: Any, **more: Any) -> None:
        """Log what the Trainer logs, and the plain nll, token accuracy and label probability of the same batches."""
        if "loss" in logs and self.seen["tokens"]:
            tokens = self.seen["tokens"]
            logs |= {
                "nll": self.seen["nll"] / tokens,
                "token_accuracy": self.seen["argmax"] / tokens,
                "label_probability": self.seen["probability"] / tokens,
            }
            self.seen = dict.fromkeys(self.seen, 0.0)
        super().log(logs, *arguments, **more)


class _Dynamics(TrainerCallback):
    """Plain nll and token accuracy of fixed train and val rows at every checkpoint, whatever the training loss is."""

    def __init__(self, trainer: _Trainer, rows: dict[str, list[Row]], batch_size: int) -> None:
        self.trainer, self.rows, self.batch_size = trainer, rows, batch_size

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure before a checkpoint by steps is written, so that its trainer state holds the numbers."""
        if control.should_save:
            self._measure()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure before a checkpoint by epochs is written."""
        if control.should_save:
            self._measure()

    def _measure(self) -> None:
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


def _last_whole_checkpoint(root: Path, say: Callable[[str], None]) -> str | None:
    """The checkpoint to go on from. One without its trainer state, written last, was cut off: it is set aside."""
    while (last := get_last_checkpoint(str(root))) is not None:  # type: ignore[no-untyped-call]
        try:
            json.loads((Path(last) / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            say(f"{last} was cut off while it was written; removed")
            shutil.rmtree(last)
            continue
        say(f"going on from {last}")
        return str(last)
    return None
