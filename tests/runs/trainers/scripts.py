"""Settings and functions that the tests of trainers share."""

import torch

SETUPS = {
    "padded": {},
    "accumulated": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2},
    "packed": {"packing": True, "max_length": 120},
    "packed across rows": {"packing": True, "packing_strategy": "wrapped"},
    "without padding": {"padding_free": True, "max_length": None},
    "on whole texts": {"completion_only_loss": False},
}
COMMON = {
    "max_steps": 4, "per_device_train_batch_size": 4, "report_to": "none", "disable_tqdm": True, "logging_steps": 1,
    "learning_rate": 1e-2, "use_cpu": True, "save_strategy": "no", "seed": 3,
}  # fmt: skip


def logged(trainer, name="loss"):
    return [row[name] for row in trainer.state.log_history if name in row]


def padded(rows):
    width = max(len(row["input_ids"]) for row in rows)
    fills = {"input_ids": 0, "attention_mask": 0, "labels": -100}
    return {
        name: torch.tensor([[*row[name], *[fill] * (width - len(row[name]))] for row in rows])
        for name, fill in fills.items()
    }


@torch.no_grad()
def nll_of(trainer, rows):
    """Mean plain nll over all labelled tokens, from full logits."""
    total = tokens = 0.0
    model = trainer.model.eval()
    for row in rows:
        ids, labels = (torch.tensor([row[name]]) for name in ("input_ids", "labels"))
        logprobs = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        kept = labels[0, 1:] != -100
        total -= float(logprobs[kept].gather(1, labels[0, 1:][kept][:, None]).sum())
        tokens += float(kept.sum())
    return total / tokens
