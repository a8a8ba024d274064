"""The callback: which of the Trainer's events trigger a measurement, and where its results go."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]
from transformers import Trainer, TrainerCallback

from overmem.callback.config import config_of, load_examples
from overmem.callback.evaluation_set import EvaluationSet, base_name, encode_evaluation_set
from overmem.callback.history import BASE, EvaluationHistory
from overmem.callback.judge import too_few_questions
from overmem.callback.live import folder_of, trackers_of
from overmem.callback.measure import log_metrics, measure_model, preserve_model_state, preserve_rng
from overmem.callback.memory import memory_bound
from overmem.encoding import describe_prompt
from overmem.errors import BadRequest
from overmem.models.discovery import load_tokenizer
from overmem.records import Checkpoint, Snapshot
from overmem.tasks import not_held_out_warning

logger = logging.getLogger("overmem")
_OCCASIONS = {"evaluate": "evaluation", "save": "save", "both": "evaluation and save"}


class OvermemCallback(TrainerCallback):
    """Plain nll, token accuracy, entropy and, with `answers=True`, accuracy of a model in training.

    For any training loss and any transformers Trainer (TRL's and others that build on it):

        trainer.add_callback(OvermemCallback(trainer, data="gsm8k", rows=200, answers=True))

    At every evaluation and save the same examples are scored, and completed by greedy decoding, within fixed limits of
    memory and time. The metrics go to the Trainer's log and trackers as `eval_overmem_<split>_<metric>`, each with its
    n, and into the metrics of the evaluation, so that `metric_for_best_model` may name them. The observations of every
    saved checkpoint go into the run's `overmem` folder, where `overmem audit` reuses them. At the onset of
    over-memorization the callback warns once.

    The training itself is unchanged: random states and the modes of all modules are restored.

    With several processes the main one measures while the others wait. If the weights are sharded (FSDP, ZeRO-3,
    tensor parallel), nothing is measured, and a message says so: audit the checkpoints afterwards.

    Args:
        trainer: the Trainer that the callback is added to. Without it (`callbacks=[OvermemCallback(data=...)]`) the
            metrics reach `trainer_state.json` but no tracker, because a callback cannot reach the Trainer's `log`.
        say: called with each message to the user; by default a warning of the logger `overmem`.
        options: the fields of `overmem.callback.CallbackConfig`.

    Raises:
        BadRequest: an option or data that is not allowed; when training begins, a tracker that cannot be reached.
    """

    def __init__(
        self, trainer: Trainer | None = None, *, say: Callable[[str], None] = logger.warning, **options: Any
    ) -> None:
        if trainer is not None and not isinstance(trainer, Trainer):
            raise BadRequest(f"OvermemCallback: a transformers Trainer is expected first, got {type(trainer).__name__}")
        self.config = config_of(options)
        with preserve_rng():
            self.source = load_examples(self.config.data)
        self.trainer, self.say = trainer, say
        self.token_budget = self.config.token_budget
        self._evaluation: EvaluationSet | None = None
        self._history: EvaluationHistory | None = None  # of the training under way, on the main process
        self._training = False
        self._measured_step: int | None = None
        self._metrics: dict[str, float] = {}

    @preserve_rng()
    def on_train_begin(self, args: Any, state: Any, control: Any, **arguments: Any) -> None:
        """Measure the base model; in a resumed training, continue from the earlier observations."""
        if args.report_to and self.trainer is None:
            raise BadRequest(
                f"OvermemCallback cannot reach the trackers ({', '.join(args.report_to)}) from `callbacks=`; after the "
                "Trainer is made, write: trainer.add_callback(OvermemCallback(trainer, ...))"
            )
        self._training, self._measured_step, step = True, None, state.global_step
        if state.is_world_process_zero:
            evaluation = self._evaluation_set(arguments)
            trackers = trackers_of(args, self.config.track)
            self._history = EvaluationHistory(
                self.config, evaluation, self.say, trackers=trackers, tracked_in=folder_of(args)
            )
            if self.config.record:
                self._history.open(Path(args.output_dir), step)
            counts = ", ".join(f"{len(split.encoded)} {name} examples" for name, split in evaluation.splits.items())
            mebibytes = memory_bound(self.config, evaluation, arguments["model"]) / 2**20
            self.say(
                f"measuring {counts} at each {_OCCASIONS[self.config.when]}: at most {mebibytes:,.0f} MiB in addition "
                f"to the model, {self.config.seconds:g} s each time"
            )
            for name, split in evaluation.splits.items():
                if split.truncated:
                    self.say(
                        f"{split.truncated} of {len(split.examples)} {name} examples are longer than the model's "
                        "context and are left out"
                    )
            data = self.source.data
            if data is not None and "val" in self.source.carved_splits:
                self.say(not_held_out_warning(["val"], data.source))
            self.say(describe_prompt(evaluation.tokenizer, evaluation.template))
            if self.config.answers and (
                few := too_few_questions(len(evaluation.splits["val"].encoded), self.config.margin)
            ):
                self.say(few)
        if (step == 0 and self.config.base) or (step > 0 and self._is_due("save")):
            self._measure(args, state, control, arguments)
            self._save(step)

    def on_step_end(self, args: Any, state: Any, control: Any, **arguments: Any) -> None:
        """Measure before an evaluation, and before a checkpoint is written: its trainer state then has the metrics."""
        if (control.should_evaluate and self._is_due("evaluate")) or (control.should_save and self._is_due("save")):
            self._measure(args, state, control, arguments)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **arguments: Any) -> None:
        """The same as `on_step_end`, for evaluations or checkpoints by epoch."""
        self.on_step_end(args, state, control, **arguments)

    def on_evaluate(self, args: Any, state: Any, control: Any, **arguments: Any) -> None:
        """Add the metrics to those of the evaluation, by which the Trainer chooses its best model."""
        if self._is_due("evaluate"):
            names = ["nll", "accuracy"] if self.config.answers else ["nll"]
            metrics: dict[str, float] = arguments["metrics"]
            metrics |= {f"eval_overmem_val_{name}": float("nan") for name in names}
            metrics |= self._measure(args, state, control, arguments)

    @preserve_rng()
    def on_save(self, args: Any, state: Any, control: Any, **arguments: Any) -> None:
        """Write the observations of the saved checkpoint, under the fingerprint of its weights."""
        if self._is_due("save"):
            self._measure(args, state, control, arguments)
        self._save(state.global_step)

    @preserve_rng()
    def on_train_end(self, args: Any, state: Any, control: Any, **arguments: Any) -> None:
        """Restore the kept checkpoint if the Trainer has deleted it."""
        if self._history is not None:
            self._history.close()
        self._training, self._history = False, None

    def _is_due(self, moment: str) -> bool:
        return self.config.when in (moment, "both")

    def _evaluation_set(self, arguments: Mapping[str, Any]) -> EvaluationSet:
        if self._evaluation is None:
            model, processing = arguments["model"], arguments["processing_class"]
            tokenizer = getattr(processing, "tokenizer", processing)
            if self.config.tokenizer or tokenizer is None:
                tokenizer = load_tokenizer(self.config.tokenizer or base_name(model) or "")
            self._evaluation = encode_evaluation_set(self.config, self.source, model, tokenizer)
        return self._evaluation

    def _save(self, step: int) -> None:
        if self._history is not None:
            self._history.save(step)

    @preserve_rng()
    def _measure(self, args: Any, state: Any, control: Any, arguments: Mapping[str, Any]) -> dict[str, float]:
        """The metrics of this step, on every process; the main process measures once per step and judges the run."""
        if self._training and self._measured_step == state.global_step:
            return self._metrics
        result: list[Any] = [({}, False)]
        if state.is_world_process_zero:
            result = [self._evaluate(args, state, arguments)]
        self._metrics, stops = broadcast_object_list(result)[0]
        self._measured_step = state.global_step
        self._log(state, control)
        if stops:
            control.should_training_stop = True
        return self._metrics

    def _evaluate(self, args: Any, state: Any, arguments: Mapping[str, Any]) -> tuple[dict[str, float], bool]:
        """The metrics of this step, and whether training should stop."""
        model, evaluation, step = arguments["model"], self._evaluation_set(arguments), state.global_step
        if self._history is not None and (snapshot := self._history.snapshot_at(step)) is not None:
            return log_metrics(snapshot.scores, snapshot.samples), False
        if _is_sharded(model):
            self.say(
                f"step {step}: nothing is measured, because the weights are sharded; audit the checkpoints instead"
            )
            return {}, False
        with preserve_model_state(model), _precision(args, model.device):
            result = measure_model(model, self.config, evaluation, token_budget=self.token_budget)
        self.token_budget = result.token_budget
        for note in result.notes:
            self.say(f"step {step}: {note}")
        metrics = log_metrics(result.scores, result.samples) | {"eval_overmem_seconds": result.seconds}
        if self._history is None:
            return metrics, False
        checkpoint = Checkpoint(f"checkpoint-{step}", step, state.epoch) if step else BASE
        examples = {name: split.examples for name, split in evaluation.splits.items()}
        return metrics, self._history.add(Snapshot(checkpoint, examples, result.scores, result.samples))

    def _log(self, state: Any, control: Any) -> None:
        """Write the metrics to the Trainer's log and trackers, unless the log has them from before a resume."""
        rows = (row for row in reversed(state.log_history) if row.get("step") == state.global_step)
        if not self._metrics or (self._training and any("eval_overmem_val_nll" in row for row in rows)):
            return
        if self.trainer is None:
            state.log_history.append({**self._metrics, "epoch": state.epoch, "step": state.global_step})
            return
        should_log = control.should_log
        # The base class's method: TRL's own would add, and reset, the metrics that it collects on training batches.
        Trainer.log(self.trainer, dict(self._metrics))
        # Any log counts as the scheduled one; the training loss must still be logged.
        control.should_log = should_log


def _is_sharded(model: Any) -> bool:
    """Whether this process holds only parts of the weights: FSDP, tensor parallel, DeepSpeed's ZeRO-3."""
    if not torch.distributed.is_available():
        return False
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.tensor import DTensor

    wrapped = any(isinstance(module, FullyShardedDataParallel) for module in model.modules())
    return wrapped or any(isinstance(p, DTensor) or hasattr(p, "ds_id") for p in model.parameters())


def _precision(args: Any, device: torch.device) -> AbstractContextManager[object]:
    """Autocast as in the training's own forward passes; on a CPU the precision of the weights, as in an audit."""
    if device.type == "cpu" or not (args.bf16 or args.fp16):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if args.bf16 else torch.float16)
