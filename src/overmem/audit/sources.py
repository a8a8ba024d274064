"""Where an audit's examples come from: --data, the run's recipe or plan, or examples that only the run has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from overmem import store
from overmem.audit.options import Audit
from overmem.errors import BadRequest
from overmem.models.trainer_files import TrainerFile
from overmem.records import Example, Plan, SplitName
from overmem.tasks import Data, functions_of, load, not_held_out_warning, with_absolute_paths
from overmem.tasks.data import LoadedData
from overmem.training.recipe import read_data


def data_of(
    config: Audit, recipe: Mapping[str, Any], existing_plan: Plan | None, trained: TrainerFile | None = None
) -> Data | None:
    """Where the examples come from; None if the run itself has the only copy of them.

    Args:
        config: the options.
        recipe: the run's recipe; empty for the run of another trainer.
        existing_plan: the plan of the run's last audit; None if there is none.
        trained: the trainer's own arguments; None if the run's folder has none.
    """
    if config.data is not None:
        return read_data(config.data)
    if "data" in recipe:
        return _trusted(read_data(recipe["data"]), None, config)
    if existing_plan is not None:
        return None if existing_plan.data is None else _trusted(read_data(dict(existing_plan.data)), None, config)
    if trained is not None and (file := trained.data_file()) is not None:
        return Data(source=str(file))
    raise BadRequest(
        f"{config.run} was not trained by overmem, so its data is not known; give --data: a task "
        "(wordproblems, gsm8k, ...), a .jsonl, .csv or .parquet file, a hub id, or a YAML file of a recipe's data keys"
    )


def planned_data(plan: Plan) -> Any:
    """The data of a plan as it would be written now, with defaults for the keys that it lacks."""
    return None if plan.data is None else store.to_jsonable(with_absolute_paths(read_data(dict(plan.data))))


def examples_of_run(run: store.Run, existing_plan: Plan | None) -> dict[str, tuple[Example, ...]]:
    """The examples that were passed to the training callback, of which the run has the only copy."""
    planned = () if existing_plan is None else existing_plan.splits
    names = dict.fromkeys([*planned, *store.example_splits(run)])
    return {name: store.read_examples(run, name) for name in names if not SplitName.parse(name).is_derived}


def text_of(recipe: Mapping[str, Any], key: str, run: store.Run) -> str | None:
    """A text of the run's recipe, which somebody may have edited; None if it is not set.

    Raises:
        BadRequest: it is something else.
    """
    if not isinstance(value := recipe.get(key), str | None):
        raise BadRequest(f"{run.recipe_path}: {key} is {type(value).__name__}; allowed: a text")
    return value


def held_out(config: Audit, recipe: Mapping[str, Any], data: Data, say: Callable[[str], None]) -> LoadedData:
    """The splits; `carved_splits` names those that the run may have been trained on.

    If the run has a recipe, the rows that it was trained on are removed from evaluation, because --data with other
    counts may split the rows differently. Without a recipe, splits carved out of training rows may not be held out.

    Args:
        config: the options.
        recipe: the run's recipe; empty for the run of another trainer.
        data: where the examples come from.
        say: called with every note on the data.
    """
    # Solutions are scored in the form of training: only overmem's own training appends answers to them.
    loaded = load(data, append_answers="data" in recipe)
    for note in loaded.notes:
        say(note)
    if "data" not in recipe:
        if loaded.carved_splits:
            say(not_held_out_warning(loaded.carved_splits, data.source))
        return loaded
    if config.data is None:
        return replace(loaded, carved_splits=())
    trained = {e.id for e in load(_trusted(read_data(recipe["data"]), data, config)).splits["train"]}
    kept: dict[str, tuple[Example, ...]] = {}
    for name, examples in loaded.splits.items():
        kept[name] = tuple(e for e in examples if (e.id in trained) == (name == "train"))
        if dropped := len(examples) - len(kept[name]):
            why = "were not trained on" if name == "train" else "were trained on"
            say(f"{name}: left out {dropped} of {len(examples)} rows, which {why} according to the run's recipe")
    return replace(loaded, splits=kept, carved_splits=())


def _trusted(data: Data, from_user: Data | None, config: Audit) -> Data:
    """`data` from a run's files, if it names no functions other than those in the user's own data.

    Raises:
        BadRequest: it does. A run may come from anybody, so code that it names is not executed.
    """
    if untrusted := functions_of(data) - (functions_of(from_user) if from_user else set()):
        raise BadRequest(
            f"the files of {config.run} name {', '.join(sorted(untrusted))} as its data, which is code; if you trust "
            f"it, pass it yourself: --data {store.open_run(config.run).recipe_path}, or --data MODULE:FUNCTION"
        )
    return data


def say_too_few(examples: Mapping[str, Sequence[Example]], rows: int | None, say: Callable[[str], None]) -> None:
    """Warn if more rows are requested than the run's callback has stored: the run has no others."""
    for name in ("val", "test"):
        if rows is not None and 0 < len(examples.get(name, ())) < rows:
            say(
                f"{name}: {len(examples[name])} examples, not {rows}: the run has only those that its callback "
                "evaluated; for more, give their source: --data"
            )
