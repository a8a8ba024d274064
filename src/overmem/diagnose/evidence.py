"""The evidence on a run that was audited."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from overmem import store
from overmem.diagnose.options import Diagnose
from overmem.errors import BadRequest
from overmem.grading.guessing import guessed_accuracy
from overmem.probes import with_own
from overmem.probes.attacks import blind
from overmem.probes.consequences import consequences
from overmem.probes.mechanism import shares_of_excess
from overmem.records import Consequence, Estimate, Example
from overmem.records.searches import SEARCHED
from overmem.records.verdicts import NOT_MEASURED
from overmem.statistics.roc import auroc
from overmem.verdict.evidence import Evidence
from overmem.wording.caveats import AuditContext

FEWEST = 20
"""Solutions of train and of val from which their words are compared."""


def audited(run: store.Run, config: Diagnose) -> tuple[Evidence, AuditContext]:
    """The evidence of an audited run, and how it was audited.

    Raises:
        BadRequest: draws were requested and none were sampled.
    """
    plan = store.read_plan(run)
    splits = list(plan.splits)
    selected_on = "val" if "val" in splits else "test"
    draws = config.accuracy == "draws"

    merged_val = store.read_curves(run, selected_on, merged=True, draws=draws)
    val = merged_val.without_merged
    if draws and not np.isfinite(val.correct).any():
        raise BadRequest(
            f"--accuracy draws, but no completion of {selected_on} was sampled besides the greedy one; allowed: "
            "greedy, or audit with --draws 8 first"
        )
    has_test = selected_on == "val" and "test" in splits
    merged_test = store.read_curves(run, "test", merged=True, draws=draws) if has_test else None
    has_merge = any(c.merged_from and (run.root / c.name).is_dir() for c in plan.checkpoints)
    on_disk = {c.name for c in plan.checkpoints if (run.root / c.name).is_dir() or run.holds_itself(c.name)}
    is_elsewhere = not on_disk and bool(plan.options.get("imported"))  # logs were imported without the weights
    examples = _examples(run, selected_on)
    train_examples = _examples(run, "train") if "train" in splits else ()
    evidence = Evidence(
        val=val,
        test=None if merged_test is None else merged_test.without_merged,
        train=store.read_curves(run, "train") if "train" in splits else None,
        merged_val=merged_val if has_merge else None,
        merged_test=merged_test if has_merge else None,
        on_disk=None if is_elsewhere else on_disk,
        searched={c.name for c in plan.checkpoints if c.merged_from and c.name.startswith(SEARCHED)},
        confirmed=_confirmed(run),
        trainers_choice=store.read_trainers_choice(run),
        same_distribution=config.same_distribution,
        consequences=_consequences(run, config.alpha),
        blind=_blind(train_examples, examples) if selected_on == "val" else NOT_MEASURED,
        chance=guessed_accuracy(examples, train_examples) if config.chance is None else config.chance,
        shares=_shares(run, "test" if has_test else selected_on),
    )
    rows = store.read_measurements(run) if run.measurements_path.is_file() else []
    context = AuditContext(
        selected_on=selected_on,
        not_on_disk=[] if is_elsewhere else [c.name for c in val.checkpoints if c.step > 0 and c.name not in on_disk],
        carved_splits=plan.carved_splits,
        truncated=[m for m in rows if m.metric == "cut_off" and m.split == selected_on],
        max_new_tokens=plan.decoding.get("max_new_tokens"),
        stopping=plan.stopping if selected_on == "val" else None,
    )
    return evidence, context


def _examples(run: store.Run, split: str) -> tuple[Example, ...]:
    """The examples of one split; empty if they cannot be read."""
    try:
        return store.read_examples(run, split)
    except BadRequest:
        return ()


def _blind(train: Sequence[Example], val: Sequence[Example]) -> Estimate:
    """How well the words of a solution alone predict whether it is a training row."""
    texts, groups = [], []
    for split in (train, val):
        solved = [example for example in split if example.solution]
        texts.append([example.solution for example in solved])
        groups.append([example.group or example.id for example in solved])
    if min(map(len, texts)) < FEWEST:
        return Estimate(None, note="too few solutions of train or val")
    return auroc(*blind(*texts, groups=(groups[0], groups[1])))


def _shares(run: store.Run, split: str) -> Callable[[str, str], Mapping[str, Estimate]]:
    """The shares of the excess of one checkpoint over another, from the tokens of one split."""

    def measured(checkpoint: str, minimum: str) -> Mapping[str, Estimate]:
        try:
            scores, reference = (store.read_scores(run, name, split) for name in (checkpoint, minimum))
        except BadRequest:  # imported without values per token, or damaged
            return {}
        return shares_of_excess(scores, reference, split)

    return measured


def _confirmed(run: store.Run) -> dict[str, str]:
    """The merge that the run's search has written, and the single checkpoint that test showed it to be better than."""
    search = store.read_search(run)
    return {search.written: search.single} if search is not None and search.recommended and search.written else {}


def _consequences(run: store.Run, alpha: float) -> Callable[[str, str, float], tuple[Consequence, ...]]:
    """What the second of two checkpoints does worse than the first."""

    def measured(reference: str, checkpoint: str, luck: float) -> tuple[Consequence, ...]:
        named = {c.name: c for c in store.read_checkpoints(run)}
        base = next((c for c in named.values() if c.step == 0), None)
        good, bad = (store.read_snapshot(run, named[name]) for name in (reference, checkpoint))
        return consequences(
            good,
            bad,
            base=None if base is None else store.read_snapshot(run, base),
            alpha=alpha,
            luck=luck,
            probes=with_own(store.read_plan(run).options.get("probes", ())),
        )

    return measured
