"""What is mutated, and the commands that then read it. Every target is a folder that is made once and copied."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.scenes import RECIPE, ROWS, make_stages, run_command
from tests.store.logs.written import evaluations, write_state


@dataclass(frozen=True)
class Target:
    """Files of a stage that are mutated, one at a time, and what reads them."""

    stage: str
    files: tuple[str, ...]
    """Patterns of their paths in the folder."""
    commands: tuple[tuple[str, ...], ...]
    """Command lines of which one is drawn, run in the folder; `{file}` is the mutated file."""


_SMALL = ("--rows", "2", "--side-rows", "2", "--max-new-tokens", "2", "--splits", "val")
_AUDIT = ("audit", "run", "--data", "sums.jsonl", "--base", "base", "--checkpoints", "checkpoint-3", *_SMALL)
_MERGE = ("merge", "run", "--checkpoints", "checkpoint-3", "checkpoint-9")
_READERS = (
    ("diagnose", "run", "--json"),
    ("diagnose", "run"),
    ("report", "run"),
    ("card", "run"),
    ("export", "run"),
    ("compare", "run", "run"),
    ("diagnose", "run", "--prune"),
    ("worker", "run"),
)
_DATA = ("sums.jsonl", "sums.parquet", "sums.json", "sums.csv", "chat.jsonl", "choices.jsonl", "code.jsonl")
TARGETS = {
    "log": Target(
        "logs", ("*/*",), (("diagnose", "{folder}", "--json"), ("diagnose", "{file}"), ("diagnose", "{folder}"))
    ),
    "run's JSON": Target("judged", ("run/overmem/**/*.json", "run/**/trainer_state.json"), _READERS),
    "run's tables": Target("judged", ("run/overmem/**/*.parquet",), _READERS),
    "recipe": Target("empty", ("recipe.yaml",), (("train", "recipe.yaml"),)),
    "sweep": Target("empty", ("sweep.yaml",), (("sweep", "sweep.yaml", "--draw"),)),
    "data": Target("empty", _DATA, (("data", "{file}"),)),
    "run's recipe": Target("trained", ("run/overmem/recipe.yaml",), (("merge", "run"), ("diagnose", "run"), _AUDIT)),
    "weights": Target("trained", ("run/checkpoint-[39]/*.safetensors",), (_MERGE, _AUDIT)),
    "model's JSON": Target("trained", ("run/checkpoint-[39]/*.json", "base/*.json"), (_MERGE, _AUDIT)),
    "adapter": Target(
        "adapted",
        ("run/checkpoint-3/adapter_config.json", "run/checkpoint-3/adapter_model.safetensors"),
        (_MERGE, _AUDIT),
    ),
    "trainers' arguments": Target("foreign", ("run/*.yaml", "run/args.json"), (_AUDIT,)),
    "audit over files of an older one": Target("judged", ("run/overmem/**/*.parquet", "run/overmem/*.json"), (_AUDIT,)),
    "other harness's log": Target("imported", ("*.jsonl",), (("import", "lm-eval", "{file}", "--run", "run"),)),
}
"""Every target by name."""
_ARGUMENTS = {
    "training_args.yaml": {"template": "qwen", "dataset": "sums", "dataset_dir": "data", "mask_history": True},
    "args.json": {"template": "qwen", "dataset": ["sums#500"], "loss_scale": "default", "quant_bits": 4, "system": "s"},
    "axolotl_config.yaml": {"base_model": "base", "datasets": [{"path": "sums", "type": "chat_template"}]},
}
"""Arguments as LLaMA-Factory, ms-swift and axolotl leave them in a run."""


def make_targets(home: Path, work: Path, apart: Callable[[Callable[[], object], Path], object]) -> None:
    """Every stage, those of the kills included; like them, made once."""
    make_stages(home, work, apart)
    apart(lambda: _write_data(Path()), home / "empty")
    _write_logs(home / "logs")
    adapted = shutil.copytree(home / "empty", home / "adapted")
    recipe = RECIPE | {"method": "lora", "method_knobs": {"r": 2}, "loss": "nll"}
    (adapted / "recipe.yaml").write_text(json.dumps(recipe))
    apart(lambda: run_command(("train", "recipe.yaml")), adapted)
    foreign = shutil.copytree(home / "trained", home / "foreign")
    for name, content in _ARGUMENTS.items():
        (foreign / "run" / name).write_text(json.dumps(content))
    imported = home / "imported"
    imported.mkdir()
    rows = [
        {
            "doc_id": i, "doc": {"question": row["question"], "answer": row["solution"]}, "target": row["solution"],
            "arguments": {"gen_args_0": {"arg_0": row["question"], "arg_1": {"until": ["\n"]}}}, "resps": [["1"]],
            "filtered_resps": ["1"], "filter": "strict-match", "metrics": ["exact_match"], "exact_match": float(i % 2),
            "doc_hash": "a", "prompt_hash": "b", "target_hash": "c",
        }
        for i, row in enumerate(ROWS)
    ]  # fmt: skip
    (imported / "samples_sums-100_2026-01-01.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (imported / "run").mkdir()


def _write_data(folder: Path) -> None:
    import polars as pl

    frame = pl.DataFrame(ROWS)
    frame.write_parquet(folder / "sums.parquet")
    frame.write_csv(folder / "sums.csv")
    (folder / "sums.json").write_text(json.dumps(ROWS))
    chat = [
        {"messages": [{"role": "user", "content": r["question"]}, {"role": "assistant", "content": r["solution"]}]}
        for r in ROWS
    ]
    choices = [
        {"question": r["question"], "choices": {"text": ["1", "2", "3"], "label": ["A", "B", "C"]}, "answerKey": "B"}
        for r in ROWS
    ]
    code = [
        {"text": r["question"], "code": "def f(x):\n    return x", "test_list": ["assert f(1) == 1"], "task_id": i}
        for i, r in enumerate(ROWS)
    ]
    for name, rows in (("chat", chat), ("choices", choices), ("code", code)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _write_logs(folder: Path) -> None:
    """Logs as several trainers write them, a folder each."""
    entries = evaluations()
    write_state(folder / "transformers", entries, best_model_checkpoint="run/checkpoint-90", global_step=180)
    for name, file in (("lines", "trainer_log.jsonl"), ("swift", "logging.jsonl")):
        (folder / name).mkdir(parents=True)
        (folder / name / file).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    (folder / "table").mkdir()
    lines = ["step,epoch,eval_loss,eval_accuracy"]
    lines += [f"{e['step']},{e['epoch']},{e['eval_loss']},{e['eval_accuracy']}" for e in entries]
    (folder / "table" / "history.csv").write_text("\n".join(lines) + "\n")
    (folder / "card").mkdir()
    card = ["# card", "", "| Training Loss | Epoch | Step | Validation Loss | Accuracy |", "|:-:|:-:|:-:|:-:|:-:|"]
    card += [f"| 0.5 | {e['epoch']} | {e['step']} | {e['eval_loss']} | {e['eval_accuracy']} |" for e in entries]
    (folder / "card" / "README.md").write_text("\n".join(card) + "\n")
