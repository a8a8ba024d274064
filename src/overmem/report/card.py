"""The part of a Hugging Face model card that a verdict fills in: YAML metadata, and text with n and intervals.

The metadata is the `model-index` of https://huggingface.co/docs/hub/model-cards, which the hub shows as results.
"""

from pathlib import Path
from typing import Any

import yaml

import overmem
from overmem.records import Estimate
from overmem.report.findings import ACCURACY, NLL, Findings
from overmem.wording.markdown import escaped, markdown


def card(findings: Findings) -> str:
    """Front matter with the results of the checkpoint to ship, or the best one, then the verdict in Markdown."""
    verdict = findings.verdict
    checkpoint = verdict.best_of_run
    metadata = {"model-index": [{"name": " ".join(findings.name.split()), "results": _results(findings, checkpoint)}]}
    front = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=110)
    lines = ["---", front.rstrip(), "---", "", "## Which checkpoint, and what training longer would have cost", ""]
    lines += [markdown(verdict).rstrip(), ""]
    if checkpoint is not None and verdict.shipped is None:
        lines += [f"The metadata is of {escaped(checkpoint)}, the best of the run, which is not recommended.", ""]
    measured_by = f"Measured{f' on {findings.date}' if findings.date else ''} with overmem {overmem.__version__}."
    return "\n".join([*lines, measured_by, ""])


def _results(findings: Findings, checkpoint: str | None) -> list[dict[str, Any]]:
    """One result per split that was confirmed on: accuracy and perplexity of the checkpoint."""
    splits = [s for s in findings.splits if s == "test" or s.startswith("ood-")] or [findings.chosen_on]
    if checkpoint is None:
        return []
    results = []
    for split in splits:
        metrics = [
            _metric("accuracy", findings.measured(checkpoint, split, ACCURACY)),
            _metric("nll per solution token, nats", findings.measured(checkpoint, split, NLL)),
        ]
        if kept := [metric for metric in metrics if metric is not None]:
            source = str((findings.plan.get("data") or {}).get("source", "unknown"))
            name = Path(source).name if Path(source).is_absolute() else source  # no path of this machine on the hub
            dataset = {"name": name, "type": name, "split": split}
            results.append({"task": {"type": "text-generation"}, "dataset": dataset, "metrics": kept})
    return results


def _metric(name: str, estimate: Estimate) -> dict[str, Any] | None:
    """A number with its n and interval in its name, where the hub shows them; None where there is no number."""
    if estimate.value is None:
        return None
    parts = [f"n = {estimate.n}"]
    if estimate.low is not None and estimate.high is not None:
        parts.append(f"95% interval {estimate.low:.3f} to {estimate.high:.3f}")
    kind = name.partition(" ")[0].rstrip(",")
    return {"type": kind, "value": round(estimate.value, 4), "name": f"{name} ({', '.join(parts)})"}
