"""Writes a trainer's log: six evaluations, whose loss has its minimum at the third."""

import json

NLL = [0.90, 0.70, 0.62, 0.66, 0.75, 0.88]
SHARES = [0.41, 0.55, 0.63, 0.64, 0.63, 0.64]


def evaluations(nll=NLL, shares=SHARES, **more):
    return [
        {"step": 30 * i, "epoch": float(i), "eval_loss": loss, "eval_accuracy": share, **more}
        for i, (loss, share) in enumerate(zip(nll, shares, strict=True), 1)
    ]


def write_state(folder, entries, **more):
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": entries, **more}))
