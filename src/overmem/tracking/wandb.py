"""Weights & Biases: curves over the optimizer step, facts in the summary, the verdict as HTML, a table of examples."""

from html import escape

from overmem.tracking.record import TrackedVerdict


def wandb(verdict: TrackedVerdict) -> str:
    """Log to the active run, or to a new one of the project `overmem`; returns its address or its folder."""
    import wandb

    active = wandb.run
    run = active or wandb.init(project="overmem", name=verdict.name)
    run.define_metric("overmem/step", hidden=True)
    run.define_metric("overmem/*", step_metric="overmem/step")  # its own axis: earlier steps may come after later ones
    for step, values in verdict.curves.items():
        run.log({"overmem/step": step, **values})
    shown: dict[str, object] = {"overmem/verdict": wandb.Html(f"<pre>{escape(verdict.text)}</pre>"), **verdict.numbers}
    if verdict.examples:
        shown["overmem/examples"] = wandb.Table(columns=list(verdict.columns), data=[list(r) for r in verdict.examples])
    run.log({"overmem/step": verdict.step, **shown})
    run.summary.update(dict(verdict.summary))
    where = run.url or str(run.dir)
    if active is None:
        run.finish()
    return where
