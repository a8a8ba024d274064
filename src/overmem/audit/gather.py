"""Gathers checkpoints into one run folder of links: separate folders, and revisions on the hub."""

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
_DOWNLOADED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md", "*.yaml")


def gathered(paths: Sequence[str], revisions: Sequence[str], say: Callable[[str], None]) -> str:
    """The run folder: the only path itself, or else a new folder with links to all checkpoints.

    Args:
        paths: one run folder; or checkpoint folders and hub ids, `org/model` or `org/model@revision`.
        revisions: revisions of the hub ids to gather: names with wildcards, or `commits`.
        say: called with the order of the checkpoints and the path of the new folder.

    Raises:
        BadRequest: no path, a folder without a model, or a repository that cannot be read.
    """
    if not paths:
        raise BadRequest("no run was given; allowed: a run folder, checkpoint folders, or hub ids")
    hub = [o for o in paths if not Path(o).exists() and _HUB_ID.fullmatch(o)]
    if len(paths) == 1 and not hub:
        if revisions:
            raise BadRequest(f"--revisions is for hub ids, but {paths[0]} is a folder")
        return paths[0]
    folders = [(path, Path(path)) for path in paths if path not in hub]
    for _, folder in folders:
        if not has_model(folder):
            raise BadRequest(
                f"{folder} has no model; allowed: one run folder, or several folders of one checkpoint each"
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
    """The new run folder, whose name is the same whenever the same checkpoints are gathered."""
    if hub and len({_parsed(identity)[0] for identity in hub}) == 1:
        return Path(_parsed(hub[0])[0].replace("/", "--"))
    key = hashlib.sha256("\n".join(sorted(str(f.resolve()) for f in folders)).encode()).hexdigest()[:8]
    shared = parents.pop() if len(parents) == 1 else Path(os.path.commonpath([*parents]))  # noqa: TID251
    return shared / f"gathered-{key}"


def _steps(folders: Sequence[tuple[str, Path]]) -> list[int]:
    """The step of each: from trainer_state.json, else from its name; 1, 2, ... if these are not distinct numbers."""
    steps = [step_in_state(folder) or _number(name) for name, folder in folders]
    if None in steps or len(set(steps)) < len(steps):
        return list(range(1, len(folders) + 1))
    return [step or 0 for step in steps]


def _number(name: str) -> int | None:
    last = re.split(r"[/\\@]", name.rstrip("/\\"))[-1]
    match = _STEP.search(last) or _NUMBER.search(last)
    return int(match[1]) if match and int(match[1]) else None


def _label(name: str) -> str:
    parts = [part for part in re.split(r"[/\\@]", name.rstrip("/\\")) if part not in ("", ".", "..")][-2:]
    return re.sub(r"[^\w.-]", "_", "-".join(parts))


def _parsed(identity: str) -> tuple[str, str | None]:
    match = _HUB_ID.fullmatch(identity)
    return (match["repository"], match["revision"]) if match else (identity, None)


def _revisions(identity: str, patterns: Sequence[str]) -> list[tuple[str, Path]]:
    """(name, folder) of every requested revision, downloaded if it is not in the cache."""
    repository, revision = _parsed(identity)
    if revision is not None:
        requested = [(revision, revision)]
    elif patterns:
        requested = list(_matching(repository, patterns))
    else:
        requested = [("main", "main")]
    if not requested:
        raise BadRequest(f"{repository} has no revision {' or '.join(patterns)}; allowed: {_listed(repository)}")
    return [(f"{repository}@{name}", _downloaded(repository, commit)) for name, commit in requested]


def _matching(repository: str, patterns: Sequence[str]) -> Iterable[tuple[str, str]]:
    """(name, revision) of the matching branches and tags, or of the commits with a step in their messages."""
    if list(patterns) == [COMMITS]:
        steps = {}
        for commit in reversed(list(_from_hub(repository, lambda api: api.list_repo_commits(repository)))):
            if match := _STEP.search(str(commit.title)):
                steps[f"step{int(match[1])}"] = str(commit.commit_id)  # the last commit of a step that was pushed twice
        yield from steps.items()
        return
    for name in _names(repository):
        if any(fnmatch(name, pattern) for pattern in patterns):
            yield name, name


def _names(repository: str) -> list[str]:
    refs = _from_hub(repository, lambda api: api.list_repo_refs(repository))
    return [str(ref.name) for ref in [*refs.branches, *refs.tags]]


def _listed(repository: str) -> str:
    names = _names(repository)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _downloaded(repository: str, revision: str) -> Path:
    import huggingface_hub

    return Path(
        _from_hub(
            repository,
            lambda api: huggingface_hub.snapshot_download(
                repository, revision=revision, allow_patterns=list(_DOWNLOADED)
            ),
        )
    )


def _from_hub(repository: str, call: Callable[[Any], Any]) -> Any:
    """The result of a call of the hub's API.

    Raises:
        BadRequest: the hub cannot be reached, or has no such repository or revision.
    """
    import huggingface_hub

    try:
        return call(huggingface_hub.HfApi())
    except Exception as error:  # the network and the hub raise many kinds of errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadRequest(f"the hub repository {repository!r} could not be read: {reason}") from error
