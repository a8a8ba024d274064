"""The callback itself: which of the Trainer's events lead to a measurement, and what becomes of it."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]
from transformers import Trainer, TrainerCallback

from overmem.callback.bound import memory_bound
from overmem.callback.diary import BASE, EvaluationHistory
from overmem.callback.judge import too_few
from overmem.callback.measure import log_metrics, measured, preserve_model_state, preserve_rng
from overmem.callback.watch import EvaluationSet, base_name, examples_of, plan_of, watch_of
from overmem.errors import BadRequest
from overmem.models.discovery import tokenizer_at
from overmem.records import Checkpoint, Snapshot
from overmem.tasks import not_held_out

logger = logging.getLogger("overmem")


class OvermemCallback(TrainerCallback):
    """Plain nll, token accuracy, entropy and, if asked, answer accuracy of a model in training.

    Whatever the training loss is, and for any transformers Trainer (TRL's and others that build on it):

        trainer.add_callback(OvermemCallback(trainer, data="gsm8k", rows=200, answers=True))

    At every evaluation and save the same examples are scored, and answered by greedy decoding, within a stated bound of
    memory and of time. The numbers go to the Trainer's log and trackers as `eval_overmem_<split>_<metric>`, each with
    its n, and into the metrics of the evaluation, so that `metric_for_best_model` may name them. Every saved
    checkpoint's observations go into the run's `overmem` folder, where `overmem audit` goes on from them. At the onset
    of over-memorization it warns, once.

    Training is not changed: no random number is drawn, and every module returns to its own mode.

    With several processes the main one measures while the others wait; where the weights are sharded (FSDP, ZeRO-3,
    tensor parallel) nothing is measured, and it says so: audit the checkpoints afterwards.

    Args:
        trainer: the Trainer that the callback is added to. Without it (`callbacks=[OvermemCallback(data=...)]`) the
            numbers reach `trainer_state.json` but no tracker, as the Trainer's events do not lead to its log.
        say: told in words what the user should know; by default a warning of the logger `overmem`.
        asked: the fields of `overmem.callback.Watch`.

    Raises:
        BadRequest: a keyword or data that is not allowed; when training begins, a tracker that cannot be reached.
    """

    def __init__(
        self, trainer: Trainer | None = None, *, say: Callable[[str], None] = logger.warning, **asked: Any
    ) -> None:
        if trainer is not None and not isinstance(trainer, Trainer):
            raise BadRequest(f"OvermemCallback: a transformers Trainer is expected first, got {type(trainer).__name__}")
        self.watch = watch_of(asked)
        with preserve_rng():
            self.data, self.examples, self.cut = examples_of(self.watch.data)
        self.trainer, self.say = trainer, say
        self.token_budget = self.watch.token_budget
        self._plan: EvaluationSet | None = None
        self._diary: EvaluationHistory | None = None  # of the training under way, on the main process
        self._training = False
        self._at: int | None = None
        self._numbers: dict[str, float] = {}

    @preserve_rng()
    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure the base model; or, where training is resumed, go on from what was observed before."""
        if args.report_to and self.trainer is None:
            raise BadRequest(
                f"OvermemCallback cannot reach the trackers ({', '.join(args.report_to)}) from `callbacks=`; after the "
                "Trainer is made, write: trainer.add_callback(OvermemCallback(trainer, ...))"
            )
        self._training, self._at, step = True, None, state.global_step
        if state.is_world_process_zero:
            plan = self._planned(given)
            self._diary = EvaluationHistory(self.watch, plan, self.say)
            if self.watch.record:
                self._diary.open(Path(args.output_dir), step)
            counts = ", ".join(f"{len(split.encoded)} {name} examples" for name, split in plan.splits.items())
            mebibytes = memory_bound(self.watch, plan, given["model"]) / 2**20
            logger.info("%s; at most %.0f MiB beside the model, %g s", counts, mebibytes, self.watch.seconds)
            if self.data is not None and "val" in self.cut:
                self.say(not_held_out(["val"], self.data.source))
            if self.watch.answers and (few := too_few(len(plan.splits["val"].encoded), self.watch.margin)):
                self.say(few)
        if (step == 0 and self.watch.base) or (step > 0 and self._is_due("save")):
            self._measure(args, state, control, given)
            self._save(step)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure before the evaluation, and before a checkpoint is written: its trainer state has the numbers."""
        if (control.should_evaluate and self._is_due("evaluate")) or (control.should_save and self._is_due("save")):
            self._measure(args, state, control, given)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """As `on_step_end`, where evaluations or checkpoints are made by epochs."""
        self.on_step_end(args, state, control, **given)

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Add the numbers to those of the evaluation, by which the Trainer chooses its best model."""
        if self._is_due("evaluate"):
            unknown_yet = ["nll", "accuracy"] if self.watch.answers else ["nll"]
            metrics: dict[str, float] = given["metrics"]
            metrics |= {f"eval_overmem_val_{name}": float("nan") for name in unknown_yet}
            metrics |= self._measure(args, state, control, given)

    @preserve_rng()
    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Keep the observations of the checkpoint that was written, by the fingerprint of its weights."""
        if self._is_due("save"):
            self._measure(args, state, control, given)
        self._save(state.global_step)

    @preserve_rng()
    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Put the kept checkpoint back where the Trainer has deleted it."""
        if self._diary is not None:
            self._diary.close()
        self._training, self._diary = False, None

    def _is_due(self, moment: str) -> bool:
        return self.watch.when in (moment, "both")

    def _planned(self, given: Mapping[str, Any]) -> EvaluationSet:
        if self._plan is None:
            model, processing = given["model"], given["processing_class"]
            tokenizer = getattr(processing, "tokenizer", processing)
            if self.watch.tokenizer or tokenizer is None:
                tokenizer = tokenizer_at(self.watch.tokenizer or base_name(model) or "")
            self._plan = plan_of(self.watch, self.data, self.examples, self.cut, model, tokenizer)
        return self._plan

    def _save(self, step: int) -> None:
        if self._diary is not None:
            self._diary.save(step)

    @preserve_rng()
    def _measure(self, args: Any, state: Any, control: Any, given: Mapping[str, Any]) -> dict[str, float]:
        """The numbers of this step, on every process; measured by the main one, once a step, logged and judged."""
        if self._training and self._at == state.global_step:
            return self._numbers
        told: list[Any] = [({}, False)]
        if state.is_world_process_zero:
            told = [self._looked(args, state, given)]
        self._numbers, stops = broadcast_object_list(told)[0]
        self._at = state.global_step
        self._log(state, control)
        if stops:
            control.should_training_stop = True
        return self._numbers

    def _looked(self, args: Any, state: Any, given: Mapping[str, Any]) -> tuple[dict[str, float], bool]:
        """The numbers of this step, and whether training should stop."""
        model, plan, step = given["model"], self._planned(given), state.global_step
        if self._diary is not None and (stands := self._diary.at(step)) is not None:
            return log_metrics(stands.scores, stands.samples), False
        if _is_sharded(model):
            self.say(
                f"step {step}: nothing is measured, because the weights are sharded; audit the checkpoints instead"
            )
            return {}, False
        with preserve_model_state(model), _precision(args, model.device):
            found = measured(model, self.watch, plan, token_budget=self.token_budget)
        self.token_budget = found.token_budget
        for note in found.notes:
            self.say(f"step {step}: {note}")
        numbers = log_metrics(found.scores, found.samples) | {"eval_overmem_seconds": found.seconds}
        if self._diary is None:
            return numbers, False
        here = Checkpoint(f"checkpoint-{step}", step, state.epoch) if step else BASE
        examples = {name: split.examples for name, split in plan.splits.items()}
        return numbers, self._diary.add(Snapshot(here, examples, found.scores, found.samples))

    def _log(self, state: Any, control: Any) -> None:
        """Into the Trainer's log and its trackers, where it is not there from before a resume."""
        rows = (row for row in reversed(state.log_history) if row.get("step") == state.global_step)
        if not self._numbers or (self._training and any("eval_overmem_val_nll" in row for row in rows)):
            return
        if self.trainer is None:
            state.log_history.append({**self._numbers, "epoch": state.epoch, "step": state.global_step})
            return
        due = control.should_log
        # The base class's own: TRL's would mix in, and empty, what it has gathered of the training batches.
        Trainer.log(self.trainer, dict(self._numbers))
        # Any log counts as the one that was due; the training loss is yet to be logged.
        control.should_log = due


def _is_sharded(model: Any) -> bool:
    """Whether this process holds only parts of the weights: FSDP, tensor parallel, DeepSpeed's ZeRO-3."""
    if not torch.distributed.is_available():
        return False
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.tensor import DTensor

    wrapped = any(isinstance(module, FullyShardedDataParallel) for module in model.modules())
    return wrapped or any(isinstance(p, DTensor) or hasattr(p, "ds_id") for p in model.parameters())


def _precision(args: Any, device: torch.device) -> AbstractContextManager[object]:
    """The precision of the training's own forward passes; on a CPU that of the weights, as an audit has it."""
    if device.type == "cpu" or not (args.bf16 or args.fp16):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if args.bf16 else torch.float16)
