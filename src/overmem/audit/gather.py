"""Checkpoints that do not lie in one run folder, gathered into one: folders one by one, and revisions on the hub."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from overmem.errors import BadRequest
from overmem.models.discovery import has_model, step_in_state

_HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?")
_NUMBER = re.compile(r"(\d+)(?!.*\d)")
_STEP = re.compile(r"\b(?:step|epoch|iter|iteration|checkpoint)s?[ _:=-]*(\d+)", re.I)
COMMITS = "commits"
"""`--revisions commits`: every commit whose message names a step, as the Trainer's push_to_hub writes them."""
_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md", "*.yaml")


def gathered(operands: Sequence[str], revisions: Sequence[str], say: Callable[[str], None]) -> str:
    """The run folder of what was given: the one folder itself, or a folder of links to what was given.

    Args:
        operands: a run folder; checkpoint folders; or hub ids, `org/model` or `org/model@revision`.
        revisions: of the hub ids: names with wildcards, or `commits`.
        say: called with the order of the checkpoints and with where the run folder is.

    Raises:
        BadRequest: nothing there, a folder without a model, or a repository that cannot be read.
    """
    if not operands:
        raise BadRequest("no run was given; allowed: a run folder, checkpoint folders, or hub ids")
    hub = [o for o in operands if not Path(o).exists() and _HUB_ID.fullmatch(o)]
    if len(operands) == 1 and not hub:
        if revisions:
            raise BadRequest(f"--revisions are of hub ids, and {operands[0]} is a path")
        return operands[0]
    folders = [(path, Path(path)) for path in operands if path not in hub]
    for _, folder in folders:
        if not has_model(folder):
            raise BadRequest(
                f"{folder} holds no model; of several folders each is one checkpoint (or give one run folder)"
            )
    for identity in hub:
        folders += _revisions(identity, revisions)
    parents = {folder.resolve().parent for _, folder in folders}
    root = _root(hub, [folder for _, folder in folders], parents)
    links = {
        f"{_label(name)}-step-{step}": folder for (name, folder), step in zip(folders, _steps(folders), strict=True)
    }
    root.mkdir(parents=True, exist_ok=True)
    for name, folder in links.items():
        link = root / name
        if not link.is_symlink():
            link.symlink_to(folder.resolve(), target_is_directory=True)
    say(f"{len(links)} checkpoints gathered in {root}: {', '.join(links)}; use that folder in later commands")
    return str(root)


def _root(hub: Sequence[str], folders: Sequence[Path], parents: set[Path]) -> Path:
    """A run folder of a name that the same command finds again."""
    if hub and len({_parsed(one)[0] for one in hub}) == 1:
        return Path(_parsed(hub[0])[0].replace("/", "--"))
    key = hashlib.sha256("\n".join(sorted(str(f.resolve()) for f in folders)).encode()).hexdigest()[:8]
    shared = parents.pop() if len(parents) == 1 else Path(os.path.commonpath([*parents]))  # noqa: TID251
    return shared / f"gathered-{key}"


def _steps(folders: Sequence[tuple[str, Path]]) -> list[int]:
    """The step of each: by trainer_state.json, else by the number in its name, else by the order given."""
    known = [step_in_state(folder) or _number(name) for name, folder in folders]
    if None in known or len(set(known)) < len(known):
        return list(range(1, len(folders) + 1))
    return [step or 0 for step in known]


def _number(name: str) -> int | None:
    last = re.split(r"[/\\@]", name.rstrip("/\\"))[-1]
    found = _STEP.search(last) or _NUMBER.search(last)
    return int(found[1]) if found and int(found[1]) else None


def _label(name: str) -> str:
    parts = [part for part in re.split(r"[/\\@]", name.rstrip("/\\")) if part not in ("", ".", "..")][-2:]
    return re.sub(r"[^\w.-]", "_", "-".join(parts))


def _parsed(identity: str) -> tuple[str, str | None]:
    match = _HUB_ID.fullmatch(identity)
    return (match["repository"], match["revision"]) if match else (identity, None)


def _revisions(identity: str, patterns: Sequence[str]) -> list[tuple[str, Path]]:
    """(name, folder) of every revision that is asked for, downloaded where it is not in the cache."""
    repository, revision = _parsed(identity)
    if revision is not None:
        wanted = [(revision, revision)]
    elif patterns:
        wanted = list(_matching(repository, patterns))
    else:
        wanted = [("main", "main")]
    if not wanted:
        raise BadRequest(f"{repository} has no revision {' or '.join(patterns)}; it has {_shown(repository)}")
    return [(f"{repository}@{name}", _downloaded(repository, at)) for name, at in wanted]


def _matching(repository: str, patterns: Sequence[str]) -> Iterable[tuple[str, str]]:
    """(name, revision) of branches and tags by their names, or of commits by the step in their messages."""
    if list(patterns) == [COMMITS]:
        steps = {}
        for commit in reversed(list(_asked(repository, lambda api: api.list_repo_commits(repository)))):
            if found := _STEP.search(str(commit.title)):
                steps[f"step{int(found[1])}"] = str(commit.commit_id)  # of a step that was pushed twice, the last
        yield from steps.items()
        return
    for name in _names(repository):
        if any(fnmatch(name, pattern) for pattern in patterns):
            yield name, name


def _names(repository: str) -> list[str]:
    refs = _asked(repository, lambda api: api.list_repo_refs(repository))
    return [str(ref.name) for ref in [*refs.branches, *refs.tags]]


def _shown(repository: str) -> str:
    names = _names(repository)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _downloaded(repository: str, revision: str) -> Path:
    import huggingface_hub

    return Path(
        _asked(
            repository,
            lambda api: huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=list(_WANTED)),
        )
    )


def _asked(repository: str, ask: Callable[[Any], Any]) -> Any:
    """What the hub answers.

    Raises:
        BadRequest: it cannot be reached, or has no such repository or revision.
    """
    import huggingface_hub

    try:
        return ask(huggingface_hub.HfApi())
    except Exception as error:  # whatever the network or the hub raises is one thing here: not readable
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadRequest(f"the hub repository {repository!r} could not be read: {reason}") from error
