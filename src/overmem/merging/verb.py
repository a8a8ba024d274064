"""Merge checkpoints of a run into a new one, which `audit` then measures like any other."""

import errno
import importlib.metadata
import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from overmem import store
from overmem.errors import BadRequest, unknown
from overmem.merging.adapters import CONFIG
from overmem.merging.blend import Blend
from overmem.merging.opening import bound_rule, opened_blend, read_config, uses_base
from overmem.merging.options import Merge
from overmem.merging.shards import Progress, copy_aux_files, write_weights
from overmem.merging.weights import ADAPTER, MODEL
from overmem.models.discovery import MERGE_NOTE, CheckpointRef, find_checkpoints
from overmem.models.files import fingerprint, json_object
from overmem.records import SCHEMA
from overmem.rules import LINEAR, NEEDS_BASE, RULES
from overmem.tables import knobs, resolve


def merge(config: Merge, *, progress: Progress = lambda what, done, total: None) -> Path:
    """Merge checkpoints and return the merged folder; an existing merge of the same recipe is kept.

    Weights are read, merged and written one tensor at a time, into `.<name>.partial`, which is renamed when it is
    complete. An interrupted merge resumes after its last complete file.

    Args:
        config: what to merge.
        progress: called with (description, bytes done, bytes in total).

    Raises:
        BadRequest: an unknown checkpoint, rule or knob, wrong weights, too little disk space, or a folder of this name
            that holds another merge. Raised before any tensor is written.
        BadCheckpoint: weights that are pickled, truncated, quantized, or of a different shape than the others.
        Locked: another process is writing to the run.
    """
    run = store.open_run(config.run, config.out)
    rule = bound_rule(config)
    refs = find_checkpoints(run.root, config.base or store.read_recipe(run).get("model"))
    sources, base = sources_of(config, run, refs)
    if config.rule in RULES:  # tensors of two zeros are enough to reject a wrong knob or number of sources
        rule(dict(config.knobs), [torch.zeros(2)] * len(sources), torch.zeros(2))
    last = Path([source for source in sources if source is not base][-1].path)
    note = _note(config, sources, base)
    path = run.root / _name(config, sources)
    with store.locked(run):
        if path.exists():
            return _checked_existing(path, note)
        partial = run.root / f".{path.name}.partial"
        with ExitStack() as stack:
            blend = opened_blend(config, rule, sources, base, stack)
            if partial.exists() and _read_note(partial) != note:
                shutil.rmtree(partial)
            partial.mkdir(exist_ok=True)
            try:
                store.write_json(partial / MERGE_NOTE, note)
                name, limit = (MODEL, config.shard_bytes) if blend.config is None else (ADAPTER, sys.maxsize)
                write_weights(partial, blend.entries, blend.pieces, limit=limit, name=name, progress=progress)
                _write_aux_files(partial, last, blend, config.dtype)
                if blend.error is not None:
                    store.write_json(partial / MERGE_NOTE, {**note, "error_of_rank": blend.error()})
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                raise BadRequest(
                    f"{partial} could not be written: {error.strerror}; free some space and merge again: it resumes"
                ) from error
        partial.rename(path)
    return path


def sources_of(
    config: Merge, run: store.Run, refs: list[CheckpointRef]
) -> tuple[list[CheckpointRef], CheckpointRef | None]:
    """The checkpoints to merge, and the base model, or None if it is not known.

    Args:
        config: what to merge.
        run: the run.
        refs: its checkpoints.

    Raises:
        BadRequest: an unknown checkpoint, or checkpoints that this rule cannot merge.
    """
    by_name = {ref.checkpoint.name: ref for ref in refs}
    names = config.checkpoints or _pair(run, refs)
    for name in names:
        if name not in by_name:
            raise unknown("checkpoint", name, by_name, str(run.root))
        if names.count(name) > 1:
            raise BadRequest(f"{name} is named twice; give it a larger weight instead (--weights)")
    sources, base = [by_name[name] for name in names], by_name.get("base")
    is_adapter = {source.checkpoint.name: source.is_adapter for source in sources if source is not base}
    if len(set(is_adapter.values())) > 1:
        adapters = ", ".join(name for name, yes in is_adapter.items() if yes)
        raise BadRequest(f"adapters ({adapters}) and full weights cannot be merged with each other")
    if not is_adapter:
        raise BadRequest("only the base is named; name at least one checkpoint of the run (--checkpoints)")
    if config.rank is not None and config.rank < 1:
        raise BadRequest(f"--rank {config.rank}; allowed: 1 or more")
    if any(is_adapter.values()) and config.rule not in LINEAR and (config.rank is None or base in sources):
        raise BadRequest(
            f"rule {config.rule!r} is not linear in the weight updates, so its result is not a low-rank adapter; "
            f"allowed for adapters: {', '.join(sorted(LINEAR))}; others with --rank, which factorises their update "
            "again (without `base` among the checkpoints), or after each adapter was written into full weights "
            "(PeftModel.merge_and_unload, save_pretrained)"
        )
    if config.rule in NEEDS_BASE and base is None:
        raise BadRequest(f"rule {config.rule!r} needs the base model's weights, and the base is not known; give --base")
    return sources, base


def _pair(run: store.Run, refs: list[CheckpointRef]) -> tuple[str, ...]:
    """The paper's pair: the best checkpoint of the run and the last.

    Raises:
        BadRequest: there is no verdict that names one, or it names the last.
    """
    trained = [ref.checkpoint.name for ref in refs if not ref.checkpoint.merged_from and ref.checkpoint.step > 0]
    if not run.verdict_path.is_file() or not trained:
        raise BadRequest(
            f"which checkpoints to merge? Name them (--checkpoints; {run.root} has "
            f"{', '.join(ref.checkpoint.name for ref in refs)}), or run `overmem diagnose {run.root}` first: the "
            "default is the pair of its best checkpoint and the last one"
        )
    best = store.read_verdict(run).best_of_run
    if best not in trained or best == trained[-1]:
        raise BadRequest(
            f"the best checkpoint of the run is {best or 'not known'} and the last is {trained[-1]}: "
            f"no pair to merge by default; name the checkpoints to merge (--checkpoints)"
        )
    return (str(best), trained[-1])


def _name(config: Merge, sources: Sequence[CheckpointRef]) -> str:
    steps = "-".join(str(source.checkpoint.step) for source in sources)
    name = config.name or f"merged-{config.rule.replace(':', '.')}-{steps}"
    if not name.startswith("merged-") or Path(name).name != name:
        raise BadRequest(f"--name is {name!r}; allowed: the name of a folder in the run that starts with merged-")
    return name


def _note(config: Merge, sources: Sequence[CheckpointRef], base: CheckpointRef | None) -> dict[str, Any]:
    """The recipe of the merge, saved in its folder. Merges with equal recipes have equal bytes."""
    takes_weights = "weights" in knobs(resolve(RULES, config.rule, "rule"))
    equal = [1.0 / len(sources)] * len(sources) if takes_weights else None
    note = {
        "schema": SCHEMA,
        "sources": [
            {"name": ref.checkpoint.name, "step": ref.checkpoint.step, "fingerprint": fingerprint(ref.path)}
            for ref in sources
        ],
        "base": base.path if base is not None and (uses_base(config.rule) or base in sources) else None,
        "rule": config.rule,
        "weights": list(config.weights) if config.weights is not None else equal,
        "knobs": dict(config.knobs),
        "dtype": config.dtype,
        "rank": config.rank,
        "shard_bytes": config.shard_bytes,
        "version": importlib.metadata.version("overmem"),
    }
    return json.loads(json.dumps(note))  # type: ignore[no-any-return]


def _read_note(folder: Path) -> dict[str, Any] | None:
    try:
        return json_object(folder / MERGE_NOTE)
    except (OSError, ValueError):
        return None


def _checked_existing(path: Path, note: dict[str, Any]) -> Path:
    """`path`, if the merge in it has the same recipe.

    Raises:
        BadRequest: it differs; the message says where.
    """
    existing = _read_note(path)
    if existing is None:
        raise BadRequest(f"{path} exists and was not written by overmem merge; give another --name")
    differences = [key for key in note if key != "version" and existing.get(key) != note[key]]
    if differences:
        what = "; ".join(f"{key} is {existing.get(key)!r} there, {note[key]!r} here" for key in differences)
        raise BadRequest(f"{path} is another merge ({what}); give another --name, or remove the folder")
    return path


def _write_aux_files(partial: Path, last: Path, blend: Blend, dtype: str) -> None:
    """Copy the last trained source's configuration and tokenizer, and write the settings that the merge changes."""
    copy_aux_files(last, partial, exclude=(MERGE_NOTE, CONFIG))
    if blend.config is not None:
        store.write_json(partial / CONFIG, blend.config)
    elif dtype != "source":
        config_json = read_config(partial)
        key = "torch_dtype" if "torch_dtype" in config_json else "dtype"
        store.write_json(partial / "config.json", {**config_json, key: dtype})
