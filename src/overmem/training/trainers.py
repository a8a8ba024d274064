"""Any token loss in an existing trainer: transformers' Trainer, TRL's SFTTrainer, and subclasses.

    from overmem.training.trainers import with_loss

    trainer = with_loss(SFTTrainer, "mar")(model=model, args=args, train_dataset=rows)

Nothing else in the script changes. The loss is computed in chunks of rows and averaged over the trained tokens of the
whole optimizer step. Evaluations report plain nll, whatever the training loss is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from tqdm.auto import tqdm
from transformers import Trainer, TrainerCallback

from overmem import store
from overmem.errors import BadRequest
from overmem.losses import LOSSES
from overmem.losses.driver import IGNORED, attach, model_loss, remaining_labels
from overmem.losses.gate import TokenLoss, trait
from overmem.tables import checked_knobs, resolve
from overmem.training.reference import reference_logprobs, reference_of

_DYNAMICS = ("nll", "token_accuracy", "label_probability")
"""The training dynamics by their names in the logs, each a mean over tokens."""


def with_loss(kind: type[Any], loss: str | TokenLoss, /, **knobs: Any) -> type[Any]:
    """A subclass of the trainer class `kind` that trains on another loss.

    Logs gain `nll`, `token_accuracy` and `label_probability`, means over the trained tokens since the last log.
    Evaluations log the same with their prefix, over all tokens of the evaluation set (with several processes, rows that
    are repeated to fill the last batch count twice). `eval_loss` is plain nll, averaged over batches as the trainer
    itself does. SFTTrainer's own metrics (entropy, mean_token_accuracy, num_tokens) are not logged.

    For a loss that needs the base model (rho, asft), the base model scores the training rows before the first step; its
    log probabilities are saved in `output_dir/overmem/reference.parquet`, where a resumed training reads them.

    Args:
        kind: transformers' Trainer or a subclass of it whose batches have `input_ids` and `labels`, like SFTTrainer.
        loss: a name in `overmem.losses.LOSSES`, "module:function", or a function `(logits, labels, *, knobs) -> loss`.
        **knobs: keyword arguments of the loss.

    Raises:
        BadRequest: not a trainer class, an unknown loss or knob, or a knob outside its range.
    """
    if not (isinstance(kind, type) and issubclass(kind, Trainer)):
        raise BadRequest(f"with_loss got {kind!r}; allowed: a subclass of transformers.Trainer")
    function = resolve(LOSSES, loss, "loss") if isinstance(loss, str) else loss
    name = loss if isinstance(loss, str) else str(getattr(loss, "__name__", loss))
    bound_loss = partial(function, **checked_knobs(function, knobs, f"loss {name!r}"))
    if name in LOSSES:  # one token is enough to reject a knob outside its range
        reference = {"reference_logprob": torch.zeros(1)} if trait(function, "needs_reference") else {}
        bound_loss(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long), **reference)
    return type(f"{kind.__name__}WithLoss", (_WithLoss, kind), {"token_loss": staticmethod(bound_loss)})


class _WithLoss(Trainer):
    """The overrides that `with_loss` adds to a trainer."""

    token_loss: TokenLoss
    progress: Callable[[str, float, float], None] | None = None
    """Called with (description, batches done, batches in total) while the base model scores; None for a tqdm bar."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model: Any
        self._refuse_incompatible()
        attach(self.model)
        self.model_accepts_loss_kwargs = True  # makes the Trainer count the tokens of the optimizer step
        self.reference: Mapping[str, np.ndarray] | None = None
        self.sums = {"train": self._zero_sums(), "eval": self._zero_sums()}
        if trait(self.token_loss, "needs_reference"):
            self.add_callback(_ReferenceScoring(self))

    def _refuse_incompatible(self) -> None:
        training_args: Any = self.args
        fused = (training_args.liger_kernel_config or {}).get("fused_linear_cross_entropy", True)
        parallel = self.accelerator.parallelism_config
        for is_set, option in (
            (self.compute_loss_func is not None, "compute_loss_func"),
            (training_args.label_smoothing_factor != 0, "label_smoothing_factor (with_loss has `label_smoothing`)"),
            (
                getattr(training_args, "loss_type", "nll") != "nll",
                f"loss_type={getattr(training_args, 'loss_type', None)!r}",
            ),
            (
                training_args.use_liger_kernel and fused,
                "Liger's fused loss (fused_linear_cross_entropy=False is allowed)",
            ),
            (training_args.n_gpu > 1, "nn.DataParallel: use `accelerate launch`, or make a single device visible"),
            (
                parallel is not None and (parallel.cp_enabled or parallel.sp_enabled or parallel.tp_enabled),
                "context, sequence or tensor parallelism, which split rows or the output matrix",
            ),
        ):
            if is_set:
                raise BadRequest(f"with_loss computes the loss itself, so this is not allowed: {option}")

    def _zero_sums(self) -> torch.Tensor:
        return torch.zeros(1 + len(_DYNAMICS), dtype=torch.float64, device=self._sums_device())

    def _sums_device(self) -> torch.device:
        device: torch.device = self.args.device
        return torch.device("cpu") if device.type == "mps" else device  # mps has no float64

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a micro-batch, divided by the tokens of the optimizer step; in evaluation, the mean plain nll."""
        if inputs.get("labels") is None:
            raise BadRequest(f"with_loss needs batches with labels; this batch has {', '.join(inputs)}")
        training = self.model.training
        is_counted = training and num_items_in_batch is not None
        # Gradients are averaged over processes, and num_items_in_batch counts the tokens of all processes.
        processes = self.accelerator.num_processes if is_counted and self.args.average_tokens_across_devices else 1
        loss, result = model_loss(
            model,
            inputs,
            self.token_loss if training else LOSSES["nll"],
            denominator=num_items_in_batch / processes if is_counted else None,
            router_share=(1.0 / self.current_gradient_accumulation_steps if is_counted else 1.0) if training else 0.0,
        )
        sums = (result.tokens, result.nll_sum, result.argmax_sum, result.probability_sum)
        self.sums["train" if training else "eval"] += torch.stack(
            [torch.as_tensor(value, dtype=torch.float64, device=self._sums_device()) for value in sums]
        )
        if not return_outputs:
            return loss
        with torch.no_grad():
            model_inputs = {key: value for key, value in inputs.items() if key not in ("labels", "reference_logprob")}
            return loss, model(**{**model_inputs, "use_cache": False})

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """The batches of one optimizer step, without the labels that the loss does not train on."""
        return super().get_batch_samples(map(self._prepared, epoch_iterator), num_batches, device)

    def _prepared(self, batch: Any) -> Any:
        if not isinstance(batch, Mapping) or not torch.is_tensor(batch.get("labels")):
            return batch
        prepared = dict(batch)
        if self.reference is not None:
            prepared["reference_logprob"] = reference_of(prepared, self.reference)
        prepared["labels"] = remaining_labels(prepared, self.token_loss).clone()
        prepared["labels"][:, 0] = IGNORED  # the first token is not predicted
        return prepared

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> Any:
        """The mean plain nll of a batch; logits are computed only if metrics need them."""
        if not prediction_loss_only or inputs.get("labels") is None:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys=ignore_keys)
        prepared: Any = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            return self.compute_loss(model, prepared).detach(), None, None

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> Any:
        """The trainer's own evaluation, with nll, token accuracy and label probability over all tokens added."""
        self.sums["eval"] = self._zero_sums()
        output: Any = super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix=metric_key_prefix
        )
        output.metrics.update({f"{metric_key_prefix}_{name}": mean for name, mean in self._means("eval").items()})
        return output

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the training dynamics since the last log to what the trainer logs."""
        if "loss" in logs:
            logs |= self._means("train")
        super().log(logs, *args, **kwargs)

    def _means(self, mode: str) -> dict[str, float]:
        """Means over the tokens of all processes since the last call; empty if there were none."""
        sums: Any = self.accelerator.reduce(self.sums[mode], "sum")
        self.sums[mode] = self._zero_sums()
        tokens, *totals = sums.tolist()
        return {name: total / tokens for name, total in zip(_DYNAMICS, totals, strict=True)} if tokens else {}


class _ReferenceScoring(TrainerCallback):
    """Scores the training rows with the base model before the first step; a resumed training reads the saved scores."""

    def __init__(self, trainer: _WithLoss) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score the training rows, or read the saved scores."""
        trainer = self.trainer
        Path(args.output_dir).mkdir(parents=True, exist_ok=True)
        run = store.open_run(args.output_dir)
        if state.global_step > 0:
            trainer.reference = store.read_reference(run)
            return
        model: Any = trainer.model_wrapped
        model.eval()
        with trainer.compute_loss_context_manager(), torch.random.fork_rng(devices=[]):
            own_logprobs = reference_logprobs(model, self._batches())
        model.train()
        trainer.reference = dict(gather_object(list(own_logprobs.items())))
        if args.process_index == 0:
            store.write_reference(run, trainer.reference)

    def _batches(self) -> Iterable[Any]:
        """The training rows of this process, in order."""
        trainer, description = self.trainer, "scoring with the base model"
        if trainer.train_dataset is None:
            return
        drop_last, trainer.args.dataloader_drop_last = trainer.args.dataloader_drop_last, False
        batches = trainer.get_test_dataloader(trainer.train_dataset)
        trainer.args.dataloader_drop_last = drop_last
        try:
            total = len(batches)
        except TypeError as error:
            raise BadRequest(
                "a loss that needs the base model scores every row before training; allowed: a dataset with a length, "
                "not a stream"
            ) from error
        quiet = trainer.progress is not None or trainer.args.disable_tqdm or not trainer.is_world_process_zero()
        for done, batch in enumerate(tqdm(batches, desc=description, disable=quiet, leave=False), 1):
            yield batch
            if trainer.progress is not None:
                trainer.progress(description, done, total)
