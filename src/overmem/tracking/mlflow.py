"""MLflow: curves as metrics, facts as tags, the verdict and the examples as artifacts."""

from overmem.tracking.record import TrackedVerdict


def mlflow(verdict: TrackedVerdict) -> str:
    """Log to the active run, or to a new one named as the run; returns the run's id and the tracking server."""
    import mlflow

    active = mlflow.active_run()
    run = active or mlflow.start_run(run_name=verdict.name)
    for step, values in verdict.curves.items():
        mlflow.log_metrics(dict(values), step=step)
    mlflow.log_metrics(verdict.numbers, step=verdict.step)
    mlflow.set_tags({name.replace("/", "."): value[:5000] for name, value in verdict.words.items()})
    mlflow.log_text(verdict.text, "overmem/verdict.md")
    if verdict.examples:
        table = {"columns": list(verdict.columns), "data": [list(row) for row in verdict.examples]}
        mlflow.log_dict(table, "overmem/examples.json")  # in the form of log_table, which needs pandas
    if active is None:
        mlflow.end_run()
    return f"run {run.info.run_id} at {mlflow.get_tracking_uri()}"
