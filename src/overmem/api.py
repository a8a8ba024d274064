"""What `import overmem` offers: the verbs as functions, and a run as an object to look at."""

import html
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from overmem import store
from overmem.errors import BadRequest, OvermemError, naming_the_extra, unknown
from overmem.records import Checkpoint, Curves, Samples, Verdict
from overmem.store.files import read_frame

if TYPE_CHECKING:
    import polars as pl

    from overmem.audit.verb import Audited
    from overmem.compare import Comparison
    from overmem.records.searches import MergeSearch

_Options = TypeVar("_Options")


@dataclass(frozen=True)
class Run:
    """A run to look at; nothing is written into it."""

    files: store.Run
    """Where everything is."""

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict that was saved, or, where there is none, the one that `diagnose` gives now."""
        if self.files.verdict_path.is_file():
            return store.read_verdict(self.files)
        return diagnose(self.files.root, out=_or_none(self.files))

    @cached_property
    def measurements(self) -> "pl.DataFrame":
        """Every number of the audit: one row per checkpoint, split, probe and metric.

        Raises:
            BadRequest: the run was not audited, or the file is damaged.
        """
        hint = f"run `overmem audit {self.files.root}` first"
        return read_frame(self.files.measurements_path, hint)

    @cached_property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The audited checkpoints in time order, the base model first."""
        return store.read_checkpoints(self.files)

    def curves(self, split: str = "val") -> Curves:
        """Nll and correctness of every example of a split at every checkpoint."""
        return store.read_curves(self.files, split)

    def samples(self, checkpoint: str, split: str = "val") -> Samples:
        """What a checkpoint completed on a split, with its grades."""
        return store.read_samples(self.files, checkpoint, split)

    def __repr__(self) -> str:
        """The folder, the regime and how many checkpoints, or why there is no verdict."""
        try:
            shown = f"{self.verdict.regime}, {len(self.verdict.checkpoints)} checkpoints"
        except OvermemError as error:
            shown = f"no verdict: {error}"
        return f"Run({str(self.files.root)!r}, {shown})"

    def _repr_html_(self) -> str:
        """The verdict as a notebook shows it, or why there is none; all text is escaped."""
        try:
            verdict = self.verdict
        except OvermemError:
            return f"<p>{html.escape(repr(self))}</p>"
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in verdict.rows()
        )
        heads = "".join(f"<th>{html.escape(head)}</th>" for head in Verdict.HEADINGS)
        sentences = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in verdict.sentences)
        return (
            f"<p><b>{html.escape(verdict.headline)}</b></p><ul>{sentences}</ul>"
            f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        )


def open_run(run: str | Path, *, out: str | Path | None = None) -> Run:
    """The run in a folder, to look at.

    Args:
        run: the run directory.
        out: where overmem's files are, if not in `run/overmem`.

    Raises:
        BadRequest: no such folder.
    """
    return Run(store.open_run(run, out))


def diagnose(run: str | Path, **options: Any) -> Verdict:
    """The verdict on a run, from its audit or else from what its trainer logged; nothing is written.

    Args:
        run: the run directory, or a folder with the trainer's logs only.
        options: any option of `overmem diagnose`, such as `margin=0.02` or `accuracy_metric="eval_f1"`.

    Raises:
        BadRequest: no such run or option, or nothing to judge by.
    """
    from overmem.diagnose import Diagnose
    from overmem.diagnose import diagnose as judge

    if "save" in {field.name for field in fields(Diagnose)}:
        options = {"save": False, **options}
    return judge(_options(Diagnose, "overmem.diagnose", {"run": run, **options}))


def audit(run: str | Path, *, data: str | Path | None = None, **options: Any) -> "Audited":
    """Measure every checkpoint of a run; what is measured already is not measured again.

    Args:
        run: the run directory.
        data: where the examples come from: a task name, a file or folder, a hub id; by default the recipe's or those of
            the last audit.
        options: any other option of `overmem audit`, such as `rows=200` or `shifts=["typos"]`.

    Raises:
        BadRequest: no such run, data or option.
    """
    with naming_the_extra():
        from overmem.audit.options import Audit
        from overmem.audit.verb import audit as measure

        return measure(_options(Audit, "overmem.audit", {"run": run, "data": data, **options}))


def report(run: str | Path, *, out: str | Path | None = None) -> Path:
    """The path of the HTML report, written now from the saved verdict.

    Raises:
        BadRequest: no such run, or it has no verdict yet.
    """
    from overmem.report import Report
    from overmem.report import report as draw

    return draw(_options(Report, "overmem.report", {"run": run, "out": out}))


def compare(run_a: str | Path, run_b: str | Path, **options: Any) -> "Comparison":
    """How two runs differ: the checkpoints that they would ship, end with, and reach the same accuracy with.

    Args:
        run_a: an audited run directory.
        run_b: another one, on the same examples.
        options: any option of `overmem compare`, such as `split="val"`.

    Raises:
        BadRequest: a run that was not audited, or that shares no example with the other.
    """
    from overmem.compare import Compare
    from overmem.compare import compare as match

    return match(_options(Compare, "overmem.compare", {"run_a": run_a, "run_b": run_b, **options}))


def merge(run: str | Path, **options: Any) -> Path:
    """The folder of a new checkpoint made of several; `audit` then measures it like any other.

    Args:
        run: the run directory.
        options: any option of `overmem merge`, such as `checkpoints=["checkpoint-50", "checkpoint-100"]`.

    Raises:
        BadRequest: unknown checkpoints, rule or options.
    """
    with naming_the_extra():
        from overmem.merging.options import Merge
        from overmem.merging.verb import merge as blend

        config = _options(Merge, "overmem.merge", {"run": run, **options})
        if config.search:
            raise BadRequest("overmem.merge: search=True; call overmem.search_merges, which returns what was found")
        return blend(config)


def search_merges(run: str | Path, **options: Any) -> "MergeSearch":
    """The best merge of an audited run: chosen on val, confirmed on test, written only if it is shown to be better.

    Args:
        run: an audited run directory, with val and test.
        options: any option of `overmem merge --search`, such as `minutes=10`.

    Raises:
        BadRequest: a run that was not audited on val and test, or unknown options.
    """
    with naming_the_extra():
        from overmem.merging.options import Merge
        from overmem.search.verb import search

        return search(_options(Merge, "overmem.search_merges", {"run": run, **options}))


def train(recipe: str | Path | None = None, **options: Any) -> Run:
    """Fine-tune by a recipe and return the run; an interrupted training is resumed.

    Args:
        recipe: a YAML file; None for a recipe of `options` alone.
        options: keys of a recipe, such as `learning_rate=1e-4`; they take precedence over those of the file.

    Raises:
        BadRequest: no such file, or a key or value that a recipe does not allow.
    """
    with naming_the_extra():
        from overmem.training.recipe import read_recipe, recipe_from
        from overmem.training.verb import train as fine_tune

        content = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
        full = recipe_from(content, "overmem.train") if recipe is None else read_recipe(recipe, content)
        return Run(fine_tune(full))


def _options(kind: type[_Options], where: str, given: dict[str, Any]) -> _Options:
    allowed = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for name in given:
        if name not in allowed:
            raise unknown("option", name, allowed, where)
    return kind(**{name: _plain(value) for name, value in given.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return tuple(value) if isinstance(value, list) else value


def _or_none(files: store.Run) -> str | None:
    return None if files.home == files.root / "overmem" else str(files.home)
