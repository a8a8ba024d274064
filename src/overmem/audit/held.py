"""Keeps checkpoints for an audit while the trainer may delete them, as hard links, which take no extra space.

The links are in a folder with the layout of a run, so it can be audited like one. A checkpoint is linked when it is
complete, and its links are removed after it was judged.
"""

import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overmem import store
from overmem.models.complete import Stamp, is_complete, stamp_of
from overmem.models.files import TRAINING_STATE

_SHARED = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "vocab.json", "merges.txt", "tokenizer.model",
)  # fmt: skip
"""Files in the run's folder that an audit may need."""


@dataclass
class HeldCheckpoints:
    """The complete checkpoints of a run that were not judged yet. `update` may be called from several threads."""

    run: store.Run
    """The run that is being trained."""
    every: float
    """Seconds between two updates."""
    _seen: dict[str, Stamp] = field(default_factory=dict)
    """Checkpoint -> sizes and times of its files at the last update."""
    _linked: dict[str, Stamp] = field(default_factory=dict)
    """Checkpoint -> sizes and times of its files when it was linked."""
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: Any = field(default_factory=threading.Lock)

    @property
    def folder(self) -> Path:
        """The folder with the links."""
        return self.run.home / "held"

    def update(self) -> None:
        """Link every complete checkpoint that is new or was overwritten."""
        with self._lock:
            for path in sorted(self.run.root.glob("checkpoint-*")):
                stamp = stamp_of(path)
                if not stamp or self._linked.get(path.name) == stamp:
                    continue
                if is_complete(path, self._seen.get(path.name)) and self._link(path):
                    self._linked[path.name] = stamp
                self._seen[path.name] = stamp
            for name in _SHARED:
                _link_file(self.run.root / name, self.folder / name)
            if self.folder.is_dir():
                _link_file(self.run.recipe_path, store.open_run(self.folder).recipe_path)

    def names(self) -> list[str]:
        """Names of the linked checkpoints."""
        with self._lock:
            return sorted(path.name for path in self.folder.glob("checkpoint-*"))

    def remove(self, names: list[str]) -> None:
        """Remove the links of these checkpoints."""
        with self._lock:
            for name in names:
                shutil.rmtree(self.folder / name, ignore_errors=True)

    def _link(self, path: Path) -> bool:
        """Link a checkpoint's files; False if one of them was deleted meanwhile, or the checkpoint is not complete."""
        target, partial = self.folder / path.name, self.folder / f".{path.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            for file in sorted(path.iterdir()):
                if file.is_file() and not file.name.startswith(TRAINING_STATE):
                    _link_or_copy(file, partial / file.name)
        except FileNotFoundError:  # the trainer deletes it at this moment
            shutil.rmtree(partial, ignore_errors=True)
            return False
        if not is_complete(partial, stamp_of(partial)):
            shutil.rmtree(partial, ignore_errors=True)
            return False
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        return True

    def __enter__(self) -> "HeldCheckpoints":
        """Update now, and from now on in a thread."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.update()
        self._thread = threading.Thread(target=self._keep_updating, name="held checkpoints", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End the thread, and remove all links unless an error ended the block."""
        self._ended.set()
        self._thread.join()
        if error[0] is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _keep_updating(self) -> None:
        while not self._ended.wait(self.every):
            self.update()


def _link_file(source: Path, target: Path) -> None:
    """Link one file, if it exists and is not linked yet."""
    if source.is_file() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(source, target)


def _link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link, or a copy if the filesystem does not support them."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)
