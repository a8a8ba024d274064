"""The run directory: its paths, and reading and atomically writing its files.

    run/overmem/
      recipe.yaml  plan.json                                     the requests
      reference.parquet                                          the base model's logprobs of the training labels
      examples/<split>.parquet                                   the text that was scored
      observations/<checkpoint>/<split>.{scores,samples,grades}.parquet
      measurements.parquet  verdict.json  report.html            the results

A unit is written under a temporary name and renamed when complete. Its Parquet metadata identifies the weights and the
request that it was made for, so a unit is computed again only if one of them has changed.
"""

from overmem.store.curves import curves_of, read_curves
from overmem.store.examples import (
    example_splits,
    read_examples,
    read_token_texts,
    write_examples,
    write_token_texts,
)
from overmem.store.files import locked, locked_for_training, replacing, to_jsonable, write_json, write_text
from overmem.store.paths import HOME, Run, open_run, run_names
from overmem.store.plan import find_plan, read_checkpoints, read_plan, write_plan
from overmem.store.results import (
    read_log_history,
    read_measurements,
    read_recipe,
    read_reference,
    read_search,
    read_trainers_choice,
    read_verdict,
    write_measurements,
    write_recipe,
    write_reference,
    write_verdict,
)
from overmem.store.rows import read_grader, read_greedy_marks, read_nll_sums, read_rows, read_token_counts
from overmem.store.shown import read_shown, write_shown
from overmem.store.snapshots import drop_damaged_units, read_failure, read_snapshot, snapshot_reader, snapshots
from overmem.store.units import (
    clear_failure,
    drop_other_weights,
    is_unit_current,
    read_completions,
    read_grades,
    read_samples,
    read_scores,
    write_failure,
    write_grades,
    write_samples,
    write_scores,
)

__all__ = [
    "HOME",
    "Run",
    "clear_failure",
    "curves_of",
    "drop_damaged_units",
    "drop_other_weights",
    "example_splits",
    "find_plan",
    "is_unit_current",
    "locked",
    "locked_for_training",
    "open_run",
    "read_checkpoints",
    "read_completions",
    "read_curves",
    "read_examples",
    "read_failure",
    "read_grader",
    "read_grades",
    "read_greedy_marks",
    "read_log_history",
    "read_measurements",
    "read_nll_sums",
    "read_plan",
    "read_recipe",
    "read_reference",
    "read_rows",
    "read_samples",
    "read_scores",
    "read_search",
    "read_shown",
    "read_snapshot",
    "read_token_counts",
    "read_token_texts",
    "read_trainers_choice",
    "read_verdict",
    "replacing",
    "run_names",
    "snapshot_reader",
    "snapshots",
    "to_jsonable",
    "write_examples",
    "write_failure",
    "write_grades",
    "write_json",
    "write_measurements",
    "write_plan",
    "write_recipe",
    "write_reference",
    "write_samples",
    "write_scores",
    "write_shown",
    "write_text",
    "write_token_texts",
    "write_verdict",
]
