"""inspect_ai: `.eval` archives, and `.json` logs with the same content."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from overmem.errors import BadData, BadRequest
from overmem.evaluations.log import EvaluationLog, LoggedCompletion, LoggedQuestion
from overmem.json_text import parse_json

ZSTANDARD = 93
"""Compression method of recent archives; Python's own zipfile reads it from 3.14 on."""
NLL = "nll"
"""A score of this name with the number of tokens in its metadata is the summed nll of the target."""
_GRADES = {"C": True, "I": False, "P": False, "N": False}
_STOPS = {"stop": "eos", "max_tokens": "length", "model_length": "length"}


def read_logs(path: Path, metric: str) -> list[EvaluationLog]:
    """The logs in a file or in a folder of `.eval` and `.json` files; of each task the last one by name.

    Args:
        path: the file or folder.
        metric: name of the scorer; empty for the first one.

    Raises:
        BadRequest: there is no log, or no such scorer.
        BadData: a file was not written by inspect_ai.
    """
    files = [path] if path.is_file() else sorted([*path.rglob("*.eval"), *path.rglob("*.json")])
    if not files:
        raise BadRequest(f"{path} holds no .eval or .json log of inspect_ai")
    latest = {}
    for file in files:
        header, samples = _contents(file)
        log = _log(file, header, samples, metric)
        latest[log.task] = log
    return list(latest.values())


def _contents(file: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        if file.suffix == ".eval":
            with ZipFile(file) as archive:
                names = archive.namelist()
                start = "header.json" if "header.json" in names else "_journal/start.json"
                header = parse_json(_member(file, archive, start))
                members = [n for n in names if n.startswith("samples/") and n.endswith(".json")]
                samples = [parse_json(_member(file, archive, name)) for name in members]
        else:
            header = parse_json(file.read_text(encoding="utf-8"))
            samples = header.get("samples") or []
    except (OSError, BadZipFile, KeyError, ValueError, AttributeError) as error:
        raise BadData(f"{file} is not a log of inspect_ai: {error}") from error
    if not isinstance(header.get("eval"), dict):
        raise BadData(f"{file} is not a log of inspect_ai: it has no object `eval`")
    return header, samples


def _member(file: Path, archive: ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type != ZSTANDARD:
        return archive.read(info)
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise BadRequest(
            f"{file} is compressed with Zstandard: pip install 'overmem[inspect]', or convert it with "
            f"`inspect log convert {file} --to json --output-dir DIR`"
        ) from error
    with file.open("rb") as stream:
        compressed = _compressed(stream, info)
    reader = zstandard.ZstdDecompressor().stream_reader(compressed, read_across_frames=True)
    return bytes(reader.read())


def _compressed(stream: Any, info: ZipInfo) -> bytes:
    """The compressed bytes of a member. They follow its local header, whose last two fields are lengths."""
    stream.seek(info.header_offset + 26)
    name, extra = (int.from_bytes(stream.read(2), "little") for _ in range(2))
    stream.seek(info.header_offset + 30 + name + extra)
    return bytes(stream.read(info.compress_size))


def _log(file: Path, header: Mapping[str, Any], samples: list[dict[str, Any]], metric: str) -> EvaluationLog:
    spec, notes = header["eval"], []
    if header.get("status") not in ("success", None):
        notes.append(
            f"{file.name}: the evaluation ended with status {header['status']}; its finished samples are imported"
        )
    failed = [s for s in samples if s.get("error")]
    if failed:
        notes.append(f"{file.name}: {len(failed)} samples ended in an error and are left out")
    samples = [s for s in samples if not s.get("error")]
    scorer = metric or _scorer(samples)
    if not samples or not scorer or scorer not in {name for s in samples for name in s.get("scores") or ()}:
        allowed = sorted({name for s in samples for name in s.get("scores") or ()})
        raise BadRequest(f"{file} has no scores of {scorer or 'any scorer'!r}; allowed: {', '.join(allowed) or 'none'}")
    grouped: dict[str, list[dict[str, Any]]] = {}
    for sample in sorted(samples, key=lambda s: int(s.get("epoch", 1))):
        grouped.setdefault(str(sample.get("id")), []).append(sample)
    system = sum(_has_system(s) for s in samples)
    if system:
        notes.append(f"{file.name}: {system} prompts have a system message, which is not part of the question")
    settings = {**((header.get("plan") or {}).get("config") or {}), **(spec.get("model_generate_config") or {})}
    return EvaluationLog(
        file,
        str(spec.get("task", file.stem)),
        str(spec.get("model", "")),
        scorer,
        tuple(_question(identity, epochs, scorer) for identity, epochs in grouped.items()),
        None if settings.get("temperature") is None else float(settings["temperature"]),
        tuple(notes),
    )


def _scorer(samples: list[dict[str, Any]]) -> str:
    return next((name for s in samples for name in s.get("scores") or () if name != NLL), "")


def _question(identity: str, epochs: list[dict[str, Any]], scorer: str) -> LoggedQuestion:
    first = epochs[0]
    attached = first.get("attachments") or {}
    question = _resolved(_last_user_message(first.get("input")), attached)
    choices = first.get("choices") or []
    row: dict[str, Any] = dict(first.get("metadata") or {}) if not choices else {}
    targets = first.get("target")
    target = targets[0] if isinstance(targets, list) and targets else targets
    target = _resolved(str(target or ""), attached)
    row = {k: _resolved(v, attached) for k, v in row.items() if isinstance(v, str)}
    row |= {"question": question, "answer": target}
    if choices:
        letters = [chr(ord("A") + i) for i in range(len(choices))]
        row["question"] = "\n".join([question, *(f"({a}) {c}" for a, c in zip(letters, choices, strict=True))])
    total = (first.get("scores") or {}).get(NLL) or {}
    tokens = (total.get("metadata") or {}).get("tokens")
    return LoggedQuestion(
        identity,
        row,
        question,
        target,
        tuple(_completion(s, scorer) for s in epochs if scorer in (s.get("scores") or {})),
        float(total["value"]) if isinstance(total.get("value"), int | float) and tokens else None,
        int(tokens) if tokens else None,
    )


def _completion(sample: Mapping[str, Any], scorer: str) -> LoggedCompletion:
    score, output, attached = sample["scores"][scorer], sample.get("output") or {}, sample.get("attachments") or {}
    choice: Mapping[str, Any] = next(iter(output.get("choices") or ()), {})
    content = (choice.get("message") or {}).get("content", output.get("completion", ""))
    usage = output.get("usage") or {}
    return LoggedCompletion(
        _resolved(_text(content), attached),
        _is_right(score.get("value")),
        _resolved(str(score.get("answer") or ""), attached),
        _STOPS.get(str(choice.get("stop_reason")), "unknown"),
        usage.get("output_tokens"),
    )


def _is_right(value: Any) -> bool:
    if isinstance(value, str):
        return _GRADES.get(value, value.casefold() in ("true", "correct", "1", "yes"))
    return isinstance(value, int | float) and float(value) >= 1


def _last_user_message(prompt: Any) -> str:
    """The last user message of a conversation; a prompt that is text is returned as it is."""
    if isinstance(prompt, list):
        return next((_text(m.get("content")) for m in reversed(prompt) if m.get("role") == "user"), "")
    return str(prompt or "")


def _has_system(sample: Mapping[str, Any]) -> bool:
    turns = sample.get("messages") or (sample["input"] if isinstance(sample.get("input"), list) else [])
    return any(isinstance(m, dict) and m.get("role") == "system" for m in turns)


def _text(content: Any) -> str:
    """The text of a message, without its other parts (reasoning, images)."""
    if isinstance(content, list):
        parts = (part for part in content if isinstance(part, dict) and part.get("type") == "text")
        return "".join(str(part.get("text", "")) for part in parts)
    return str(content or "")


def _resolved(text: str, attached: Mapping[str, str]) -> str:
    """The text, or the attachment that it refers to: long texts are stored as `attachment://<hash>`."""
    prefix = "attachment://"
    return str(attached.get(text.removeprefix(prefix), text)) if text.startswith(prefix) else text
