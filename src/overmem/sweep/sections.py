"""The sections of a sweep's page. Each is a function from the findings to a title, a body and its charts."""

from collections.abc import Callable, Mapping

from markupsafe import Markup

from overmem.records import REGIMES
from overmem.report.figures import coloured
from overmem.report.markup import Section, nothing, render_inline
from overmem.report.numbers import estimate_text
from overmem.report.vega import Spec
from overmem.sweep.charts import by_unit, forest, level_dots, phase_diagrams, run_curves
from overmem.sweep.findings import SweepFindings
from overmem.sweep.tables import TABLES, Table

_TABLE = """
{% macro rows(table) %}
<div class="scroll" tabindex="0"><table class="dense">
<thead><tr>{% for cell in table.head %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in table.rows %}
<tr>{% for cell in row %}<td data-label="{{ table.head[loop.index0] }}">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endmacro %}
"""


def answer(findings: SweepFindings) -> Section:
    """The headline and the sentences."""
    return Section(findings.name, render_inline(_ANSWER, sentences=sentences(findings), headline=headline(findings)))


_ANSWER = """
<div class="head"><h1>{{ headline }}</h1></div>
<div class="words">{% for sentence in sentences %}<p>{{ sentence }}</p>{% endfor %}</div>
"""


def headline(findings: SweepFindings) -> str:
    """How many runs ended over-memorized."""
    count = sum(run.regime == "over-memorized" for run in findings.runs)
    n, seeds = len(findings.runs), len(findings.seeds)
    return f"{count} of {n} runs end over-memorized, over {seeds} seed{'s' if seeds != 1 else ''}"


def sentences(findings: SweepFindings) -> list[str]:
    """Missing runs, the limits of one seed, and every effect and cost that is significant after Holm's correction."""
    texts = []
    missing = findings.planned - len(findings.runs)
    if missing:
        texts.append(f"{missing} of {findings.planned} runs are not finished; the figures are of the others.")
    texts += [f"{name} failed: {reason}." for name, reason in findings.failures.items()]
    if len(findings.seeds) < 2:
        texts.append(
            "With one seed there is no interval over seeds and no test: another seed may order the conditions "
            "differently. Set seeds to 3 or more."
        )
    significant = [e for e in findings.effects if e.p is not None and e.p < 0.05]
    for e in significant:
        size = estimate_text(e.difference, "points" if e.is_share else "difference")
        unit = " nats per token" if "nll" in e.outcome else ""
        texts.append(
            f"{e.factor} {e.level} against {e.reference}: {e.outcome} differs by {size}{unit}, {e.difference.n} seeds."
        )
    if findings.effects and not significant and len(findings.seeds) > 1:
        texts.append(
            f"None of {len(findings.effects)} effects is significant after Holm's correction over all of them; with "
            f"{len(findings.seeds)} seeds intervals are wide."
        )
    for cost in findings.matched:
        if cost.p is not None and cost.p < 0.05:
            size = estimate_text(cost.difference, "points" if cost.is_share else "difference")
            texts.append(f"At matched accuracy the higher perplexity differs in {cost.name} by {size}.")
    return texts


def phases(findings: SweepFindings) -> Section:
    """Regimes over epochs and levels, one diagram per combination of the other factors."""
    title, diagrams = "Where over-memorization begins", phase_diagrams(findings.table)
    if not diagrams:
        return nothing(title, "This needs a factor with two levels, and runs whose epochs are known.")
    charts = {f"phase-{i}": spec for i, spec in enumerate(diagrams.values())}
    body = render_inline(_PHASES, titles=list(diagrams), regimes=REGIMES.values())
    return Section(title, body, charts, "Regime of most seeds at each checkpoint; paler if seeds differ.")


_PHASES = """
<div class="pair">{% for title in titles %}
<figure><h3 class="axis">{{ title }}</h3>
{{ chart("phase-" ~ loop.index0, "Regime at each epoch and level: " ~ title) }}</figure>
{% endfor %}</div>
<div class="legend">{% for regime in regimes %}
<span><i class="swatch {{ regime.name }}"></i>{{ regime.name }}</span>
{% endfor %}</div>
"""


def curves(findings: SweepFindings) -> Section:
    """Val nll and accuracy of every run, a pair of charts per condition."""
    title, pairs = "Curves", run_curves(findings.table)
    if not pairs:
        return nothing(title, "The epochs of the checkpoints are not known.")
    charts: dict[str, Spec] = {}
    for i, (nll, accuracy) in enumerate(pairs.values()):
        charts |= {f"nll-{i}": nll, f"accuracy-{i}": accuracy}
    body = render_inline(_CURVES, titles=list(pairs), seeds=findings.seeds)
    return Section(title, body, charts, "Each line is a seed; each point is filled in the colour of its regime.")


_CURVES = """
{% import "parts.html.j2" as parts %}
{% for title in titles %}{% set i = loop.index0 %}
<h3>{{ title }}</h3>
<div class="pair">
<figure><h4 class="axis">val nll, nats per token</h4>
{{ chart("nll-" ~ i, "Validation nll per token of each seed: " ~ title) }}</figure>
<figure><h4 class="axis">val accuracy</h4>
{{ chart("accuracy-" ~ i, "Validation accuracy of each seed: " ~ title) }}</figure>
</div>
{% endfor %}
<div class="legend">{% for seed in seeds %}
<span><i class="mark line dash-{{ loop.index0 // 4 % 4 }}" style="--c: var(--series-{{ loop.index0 % 8 + 1 }})">
</i>seed {{ seed }}</span>{% endfor %}</div>
"""

_CHARTED_OUTCOMES = (
    "onset, epoch",
    "excess nll, at the end",
    "test accuracy, to ship",
    "test accuracy, at the end",
)


def severity(findings: SweepFindings) -> Section:
    """Onset, severity and accuracy against each factor, with intervals over seeds."""
    title = "Onset and severity by factor"
    if not findings.levels:
        return nothing(title, "This needs a factor with two levels.")
    charted = {
        (factor, outcome): [level for level in findings.levels if (level.factor, level.outcome) == (factor, outcome)]
        for factor in dict.fromkeys(level.factor for level in findings.levels)
        for outcome in _CHARTED_OUTCOMES
    }
    charted = {key: levels for key, levels in charted.items() if levels}
    charts = {f"level-{i}": level_dots(levels) for i, levels in enumerate(charted.values())}
    body = render_inline(_TABLE + _DOTS, keys=list(charted), name="level", table=TABLES["levels"](findings))
    lead = "Means over seeds and the other factors, with 95% intervals. Onsets are of the runs that have one."
    return Section(title, body, charts, lead)


_DOTS = """
<div class="pair">{% for factor, outcome in keys %}
<figure><h3 class="axis">{{ outcome }}, by {{ factor }}</h3>
{{ chart(name ~ "-" ~ loop.index0, outcome ~ " by " ~ factor) }}</figure>
{% endfor %}</div>
<details><summary>All {{ table.rows|length }} numbers</summary>{{ rows(table) }}</details>
"""


def factor_effects(findings: SweepFindings) -> Section:
    """Forest plots of the effects, and their table."""
    title = "Effects"
    if not findings.effects:
        return nothing(title, "This needs a factor with two levels whose runs share an outcome.")
    groups = by_unit(findings.effects)
    colours = {factor: coloured(e.level for e in findings.effects if e.factor == factor) for factor, _ in groups}
    charts = {f"effect-{i}": forest(group, colours[factor]) for i, ((factor, _), group) in enumerate(groups.items())}
    keys = [(factor, unit, group[0].reference, colours[factor]) for (factor, unit), group in groups.items()]
    body = render_inline(_TABLE + _FORESTS, keys=keys, table=TABLES["effects"](findings))
    lead = (
        "Differences from the first level, paired by seed and by example; the seed is a random effect (Hartung, Knapp, "
        f"Sidik and Jonkman); p is Holm-corrected over all {len(findings.effects)} effects."
    )
    return Section(title, body, charts, lead)


_FORESTS = """
{% import "parts.html.j2" as parts %}
{% for factor, unit, reference, colours in keys %}
{% set levels = colours|list %}
{% set compared = factor ~ (" " ~ levels[0] if levels|length == 1 else "") ~ " against " ~ reference %}
<figure><h3 class="axis">{{ compared }}: {{ unit }}</h3>
{{ chart("effect-" ~ loop.index0, "Effects of " ~ compared ~ ", as in the table below.") }}
{% if levels|length > 1 %}{{ parts.legend(colours, small=true) }}{% endif %}</figure>
{% endfor %}
<details><summary>All {{ table.rows|length }} effects</summary>{{ rows(table) }}</details>
"""


def matched(findings: SweepFindings) -> Section:
    """The costs of higher perplexity at equal accuracy."""
    title = "Costs at matched accuracy"
    if not findings.matched:
        return nothing(
            title, "No two conditions have checkpoints that are shown to be equally accurate at a different perplexity."
        )
    lead = "Checkpoints of two conditions of one seed, chosen on val as equally accurate, on test. Positive is worse."
    return Section(title, _table(TABLES["matched"](findings)), {}, lead)


def regret(findings: SweepFindings) -> Section:
    """The regret of every selection rule over all runs."""
    title = "Selection rules over all runs"
    if not findings.regrets:
        return nothing(title, "No checkpoint was measured on test.")
    lead = "Rules choose on val; accuracy and nll are on test. Positive: worse than ours. Intervals are over seeds."
    return Section(title, _table(TABLES["rules"](findings)), {}, lead)


def every_run(findings: SweepFindings) -> Section:
    """The runs, one by one."""
    return Section("Runs", _table(TABLES["runs"](findings)))


def making(findings: SweepFindings) -> Section:
    """The command and the sweep file."""
    body = render_inline(_MAKING, command=findings.command, file=findings.sweep_file)
    return Section(
        "Do it again", body, {}, "Every table is also in tables/ as CSV and LaTeX, and all rows are in sweep.parquet."
    )


_MAKING = "<pre>{{ command }}</pre><pre>{{ file }}</pre>"


def _table(table: Table) -> Markup:
    return render_inline(_TABLE + "{{ rows(table) }}", table=table)


SECTIONS: Mapping[str, Callable[[SweepFindings], Section]] = {
    "answer": answer,
    "phases": phases,
    "curves": curves,
    "severity": severity,
    "effects": factor_effects,
    "matched": matched,
    "rules": regret,
    "runs": every_run,
    "making": making,
}
"""The sections of the page in order."""
