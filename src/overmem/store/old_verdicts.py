"""Upgrading a verdict.json written by overmem 0.1."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from overmem.records import CheckpointTests, Limits

UNCONFIRMED = "over-memorized (signature only)"
"""In 0.1, the regime of an over-memorized run without confirmed harm."""


def upgraded(raw: dict[str, Any]) -> dict[str, Any]:
    """The verdict with the present fields; unchanged if it has them already."""
    raw = dict(_with_best(raw))
    raw |= {"choices": [_choice(c) for c in raw["choices"]]}
    raw |= {key: _choice(raw[key]) for key in ("recommended", "best") if raw.get(key)}
    if "harm_confirmed" in raw:
        return raw
    checkpoints = [_checkpoint(c) for c in raw["checkpoints"]]
    options = raw.get("knobs", {})
    return raw | {
        "regime": "over-memorized" if raw["regime"] == UNCONFIRMED else raw["regime"],
        "harm_confirmed": any(c["confirmed"] for c in raw.get("costs", ())),
        "checkpoints": checkpoints,
        "onset": raw.get("onset") or None,
        "severity": _severity(raw, checkpoints),
        "limits": {f.name: options[f.name] for f in fields(Limits) if f.name in options},
    }


def _with_best(raw: dict[str, Any]) -> dict[str, Any]:
    """Add `best`. In 0.1, `recommended` was the best checkpoint even if the headline advised to ship none."""
    if "best" in raw:
        return raw
    best = raw.get("recommended")
    is_shipped = not str(raw.get("headline", "")).startswith("Ship none")
    return raw | {"best": best, "recommended": best if is_shipped else None}


def _checkpoint(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the mapping `evidence` by the record `tests`."""
    evidence = raw.get("evidence", {})
    tests = {f.name: evidence[f.name] for f in fields(CheckpointTests) if f.name in evidence}
    tests["measured_nll"] = raw["excess"]["value"] is not None
    tests["measured_accuracy"] = raw["accuracy_gap"]["value"] is not None
    return {key: value for key, value in raw.items() if key != "evidence"} | {"tests": tests}


def _choice(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Add `measured_on`, which in 0.1 was in the note of the accuracy."""
    note = raw["accuracy"].get("note", "") if raw["accuracy"]["value"] is not None else ""
    return {"measured_on": "log" if note.startswith("logged") else "val" if note else "test", **raw}


def _severity(raw: Mapping[str, Any], checkpoints: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Add the checkpoints of the severity, derived from the regimes and the nll."""
    measured = [(c["nll"]["value"], c["checkpoint"]["name"]) for c in checkpoints if c["nll"]["value"] is not None]
    last = [c["checkpoint"]["name"] for c in checkpoints if c["regime"] == "over-memorized"]
    if not raw.get("severity") or not measured or not last:
        return None
    return {"checkpoint": last[-1], "minimum": min(measured)[1], **raw["severity"]}
