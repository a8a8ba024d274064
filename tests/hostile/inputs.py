# ruff: noqa: E501  # a table
"""Hostile inputs: what is put into a folder, and the command that then reads it. One line each.

The folder holds `base` (a tiny model), `run` (two checkpoints of it), `memorized` (a run that may be pruned), `log` (a
trainer's log) and `sums.jsonl`. Beside it lies `outside`, which nothing may touch, and `executed` is the file that every
payload would make. Hostile text in the report and in the view in a browser: tests/explorer/test_hostile_text.py;
hostile programs in completions: tests/grading/sandboxes/hostile.py.
"""

import gzip
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\u202egnp.exe\u2066"
RUN_PAYLOAD = "touch ../executed"
PYTHON = f"import os\nos.system({RUN_PAYLOAD!r})\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(12)
)
AUDIT = ("audit", "run", "--data", "sums.jsonl", "--base", "base", "--rows", "2", "--side-rows", "2", "--splits", "val")
AUDIT = (*AUDIT, "--max-new-tokens", "2", "--checkpoints", "checkpoint-1")
MERGE = ("merge", "run", "--checkpoints", "checkpoint-1", "checkpoint-2", "--base", "base")
PRUNE = ("diagnose", "memorized", "--prune", "--yes")


class Payload:
    """What a pickle runs when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (RUN_PAYLOAD,)


@dataclass(frozen=True)
class Hostile:
    """A hostile input."""

    prepare: Callable[[Path], object]
    """Puts it into the folder."""
    command: tuple[str, ...]


def written(path: str, content: bytes | str, *, instead_of: str = "") -> Callable[[Path], None]:
    """A file, instead of another one."""

    def prepare(folder: Path) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if instead_of:
            (folder / instead_of).unlink()
        target.write_bytes(content if isinstance(content, bytes) else content.encode())

    return prepare


def changed(path: str, **values: Any) -> Callable[[Path], None]:
    """A JSON object with other values; they replace those of equal keys."""

    def prepare(folder: Path) -> None:
        target = folder / path
        target.write_text(json.dumps(json.loads(target.read_text()) | values))

    return prepare


def replaced(path: str, old: str, new: str) -> Callable[[Path], None]:
    """A text file with something replaced everywhere."""
    return lambda folder: (folder / path).write_text((folder / path).read_text().replace(old, new))


def both(*prepares: Callable[[Path], object]) -> Callable[[Path], None]:
    """Several."""

    def prepare(folder: Path) -> None:
        for one in prepares:
            one(folder)

    return prepare


def linked(path: str, to: str) -> Callable[[Path], None]:
    """A link instead of a folder or file."""

    def prepare(folder: Path) -> None:
        target = folder / path
        if target.is_dir():
            shutil.rmtree(target)
        target.symlink_to((folder / to).resolve())

    return prepare


def zipped(members: Mapping[str, bytes]) -> bytes:
    """An archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


PICKLE = pickle.dumps(Payload())
WEIGHTS = "run/checkpoint-1/model.safetensors"
TEMPLATE = "run/checkpoint-1/tokenizer_config.json"
AUTO_MAP = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M", "AutoTokenizer": ["evil.T", None]}
QUESTION = {"question": ESCAPES, "solution": f"{ESCAPES} #### 1"}
LOG = "log/trainer_state.json"


def template(text: str) -> Hostile:
    """A chat template of a checkpoint's tokenizer, rendered for every question."""
    return Hostile(
        both(
            *(changed(f"{place}/tokenizer_config.json", chat_template=text) for place in ("run/checkpoint-1", "base"))
        ),
        (*AUDIT, "--tokenizer", "run/checkpoint-1"),
    )


HOSTILE = {
    # pickles
    "pytorch_model.bin": Hostile(written("run/checkpoint-1/pytorch_model.bin", PICKLE, instead_of=WEIGHTS), AUDIT),
    "pytorch_model.bin, merged": Hostile(written("run/checkpoint-1/pytorch_model.bin", PICKLE, instead_of=WEIGHTS), MERGE),
    "model.pt": Hostile(written("run/checkpoint-1/model.pt", PICKLE, instead_of=WEIGHTS), AUDIT),
    "a pickle named model.safetensors": Hostile(written(WEIGHTS, PICKLE), AUDIT),
    "a pickle named model.safetensors, merged": Hostile(written(WEIGHTS, PICKLE), MERGE),
    "adapter_model.bin": Hostile(
        both(
            written("run/checkpoint-1/adapter_model.bin", PICKLE, instead_of=WEIGHTS),
            written("run/checkpoint-1/adapter_config.json", '{"peft_type": "LORA", "base_model_name_or_path": "base"}'),
        ),
        AUDIT,
    ),
    "optimizer.pt": Hostile(written("run/checkpoint-1/optimizer.pt", PICKLE), AUDIT),
    "training_args.bin": Hostile(written("run/checkpoint-1/training_args.bin", PICKLE), AUDIT),
    "rng_state.pth and scheduler.pt": Hostile(
        both(written("run/checkpoint-1/rng_state.pth", PICKLE), written("run/checkpoint-1/scheduler.pt", PICKLE)), AUDIT
    ),
    "data as a pickle": Hostile(written("data.pkl", PICKLE), ("audit", "run", "--data", "data.pkl", "--base", "base")),
    "data as joblib": Hostile(written("data.joblib", PICKLE), ("audit", "run", "--data", "data.joblib", "--base", "base")),
    "a pickle named data.jsonl": Hostile(written("data.jsonl", PICKLE), ("audit", "run", "--data", "data.jsonl")),
    "a pickle named data.parquet": Hostile(written("data.parquet", PICKLE), ("audit", "run", "--data", "data.parquet")),
    "a pickled log": Hostile(written(LOG, PICKLE), ("diagnose", "log")),
    # code that a model or a run names
    "auto_map of a checkpoint": Hostile(
        both(changed("run/checkpoint-1/config.json", auto_map=AUTO_MAP, model_type="evil"), written("run/checkpoint-1/evil.py", PYTHON)),
        AUDIT,
    ),
    "auto_map of the base": Hostile(
        both(changed("base/config.json", auto_map=AUTO_MAP), written("base/evil.py", PYTHON)), AUDIT
    ),
    "auto_map of a tokenizer": Hostile(
        both(changed(TEMPLATE, auto_map=AUTO_MAP, tokenizer_class="T"), written("run/checkpoint-1/evil.py", PYTHON)), AUDIT
    ),
    "trust_remote_code of a configuration": Hostile(
        both(
            changed("run/checkpoint-1/config.json", auto_map=AUTO_MAP, trust_remote_code=True),
            written("run/checkpoint-1/evil.py", PYTHON),
        ),
        AUDIT,
    ),
    "a function that the run's recipe names as its data": Hostile(
        both(written("run/overmem/recipe.yaml", "data: {source: 'evil:rows'}\nmodel: base\n"), written("evil.py", PYTHON)),
        ("audit", "run"),
    ),
    # chat templates
    "a template that reaches os by a global": template("{{ cycler.__init__.__globals__.os.system('touch ../executed') }}"),
    "a template that reaches subclasses": template("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    "a template that includes a file": template("{% include '../outside/secret' %}"),
    "a template that makes a huge list": template("{{ range(10 ** 12) | list }}"),
    "a template that raises": template("{{ raise_exception('" + "x" * 9000 + "') }}"),
    "a template that calls itself": template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
    # YAML
    "a tag in a recipe": Hostile(
        written("r.yaml", f"output: o\nx: !!python/object/apply:os.system ['{RUN_PAYLOAD}']\n"), ("train", "r.yaml")
    ),
    "a tag in a sweep": Hostile(
        written("s.yaml", f"output: o\nx: !!python/object/apply:os.system ['{RUN_PAYLOAD}']\n"), ("sweep", "s.yaml")
    ),
    "a tag in a run's recipe": Hostile(
        written("run/overmem/recipe.yaml", f"x: !!python/object/apply:os.system ['{RUN_PAYLOAD}']\n"), MERGE
    ),
    "a tag in axolotl's configuration": Hostile(
        written("run/axolotl_config.yaml", f"x: !!python/object/apply:os.system ['{RUN_PAYLOAD}']\n"), AUDIT
    ),
    "a bomb of anchors as a recipe": Hostile(written("r.yaml", f"{BOMB}output: o\n"), ("train", "r.yaml")),
    "a bomb of anchors as a sweep": Hostile(written("s.yaml", f"{BOMB}output: o\n"), ("sweep", "s.yaml")),
    "a bomb of anchors as axolotl's configuration": Hostile(
        written("run/axolotl_config.yaml", f"{BOMB}base_model: *l\ndatasets: *l\nchat_template: *l\n"), AUDIT
    ),
    # bombs
    "JSON nested 100,000 deep": Hostile(written(LOG, "[" * 100_000), ("diagnose", "log")),
    "a log whose numbers have 100,000 digits": Hostile(
        written(LOG, '{"log_history": [{"step": 1, "eval_loss": ' + "9" * 100_000 + "}]}"), ("diagnose", "log")
    ),
    "a compressed data file of 64 MB of spaces": Hostile(
        written("d.jsonl.gz", gzip.compress(b" " * 2**26)), ("audit", "run", "--data", "d.jsonl.gz")
    ),
    "an archive of 64 MB of zeros as a log": Hostile(
        written("x.eval", zipped({"header.json": b"0" * 2**26, "_journal/start.json": b"0" * 2**26})),
        ("import", "inspect", "x.eval", "--run", "run"),
    ),
    "an archive whose members lead out": Hostile(
        written("x.eval", zipped({"../outside/new": b"x", "header.json": b"{}", "samples/../../outside/new": b"{}"})),
        ("import", "inspect", "x.eval", "--run", "run"),
    ),
    # names and texts that a terminal would obey
    "escapes in a metric's name": Hostile(replaced(LOG, "eval_accuracy", f"eval_{json.dumps(ESCAPES)[1:-1]}_accuracy"), ("diagnose", "log")),
    "escapes in the name of a run's folder": Hostile(
        lambda folder: (folder / "log").rename(folder / f"log{ESCAPES}"), ("diagnose", f"log{ESCAPES}")
    ),
    "escapes in the name of a folder that is not there": Hostile(lambda folder: None, ("diagnose", f"log{ESCAPES}")),
    "escapes in the name of a merged checkpoint": Hostile(
        lambda folder: shutil.copytree(folder / "run" / "checkpoint-1", folder / "run" / f"merged-{ESCAPES}"), ("merge", "run")
    ),
    "escapes in questions and solutions": Hostile(
        written("d.jsonl", "".join(json.dumps({**QUESTION, "question": f"{i} {ESCAPES}"}) + "\n" for i in range(30))),
        tuple("d.jsonl" if part == "sums.jsonl" else part for part in AUDIT),
    ),
    "escapes in the reason of a failure": Hostile(changed("run/checkpoint-1/config.json", model_type=ESCAPES), AUDIT),
    "escapes in the best checkpoint of the trainer": Hostile(
        changed(LOG, best_model_checkpoint=f"run/{ESCAPES}"), ("diagnose", "log", "--why")
    ),
    "escapes in a recipe's keys": Hostile(written("r.yaml", json.dumps({"output": "o", ESCAPES: 1})), ("train", "r.yaml")),
    # paths that lead out
    "a shard outside": Hostile(
        both(
            written("run/checkpoint-1/model.safetensors.index.json", '{"weight_map": {"x": "../../../outside/secret"}}'),
        ),
        MERGE,
    ),
    "a split outside": Hostile(
        replaced("memorized/overmem/plan.json", '"val"', '"../../../outside/val"'), ("report", "memorized")
    ),
    "a checkpoint outside, reported": Hostile(
        replaced("memorized/overmem/plan.json", "checkpoint-1000", "../../outside"), ("report", "memorized")
    ),
    "a merge outside": Hostile(lambda folder: None, (*MERGE, "--name", "../../outside/merged")),
    # pruning
    "checkpoints outside, pruned": Hostile(
        replaced("memorized/overmem/plan.json", "checkpoint-166", "../../outside"), PRUNE
    ),
    "an absolute checkpoint, pruned": Hostile(
        lambda folder: replaced("memorized/overmem/plan.json", "checkpoint-666", str(folder.parent / "outside"))(folder), PRUNE
    ),
    "a checkpoint that is a link, pruned": Hostile(linked("memorized/checkpoint-666", "../outside"), PRUNE),
    "a link inside a checkpoint, pruned": Hostile(linked("memorized/checkpoint-666/link", "../outside"), PRUNE),
}  # fmt: skip
"""Every hostile input by name."""
