import dataclasses
import json
import re
from itertools import pairwise

import pytest

from overmem.records import Checkpoint, Estimate
from overmem.report.charts import bands, spans, step_domain
from overmem.report.findings import Findings
from overmem.report.page import page


def charts_of(html):
    return json.loads(re.search(r'id="charts">(.*?)</script>', html, re.DOTALL)[1])["charts"]


def _y_domain(spec):
    return next(
        layer["encoding"]["y"]["scale"]["domain"]
        for layer in spec["layer"]
        if "scale" in layer["encoding"].get("y", {})
    )


@pytest.mark.parametrize("count", [0, 1, 2, 200])
def test_any_number_of_checkpoints_can_be_drawn(findings, count):
    first = findings.verdict.checkpoints[2]
    many = tuple(
        dataclasses.replace(first, checkpoint=Checkpoint(f"checkpoint-{i + 1}", i + 1, (i + 1) / 10))
        for i in range(count)
    )
    findings_of_many = Findings("many", dataclasses.replace(findings.verdict, checkpoints=many))
    edges = spans(findings_of_many)
    assert len(edges) == count
    if count:
        low, high = step_domain(findings_of_many)
        assert (edges[0]["step"], edges[-1]["end"]) == (low, high)
        assert all(a["end"] == b["step"] for a, b in pairwise(edges))
        assert len(bands(findings_of_many)) == 1
    assert "Checkpoints" in page(findings_of_many)


def test_a_base_model_far_above_the_curve_is_named_and_does_not_flatten_it(findings):
    judged = list(findings.verdict.checkpoints)
    judged[0] = dataclasses.replace(judged[0], nll=Estimate(4.0, 3.9, 4.1, 200))
    html = page(dataclasses.replace(findings, verdict=dataclasses.replace(findings.verdict, checkpoints=tuple(judged))))
    assert "Above the frame of the second chart: base, perplexity 54.6" in html
    assert max(_y_domain(charts_of(html)["trajectory-perplexity"])) < 3


def test_a_merged_checkpoint_can_be_the_one_to_ship(findings):
    merged = Checkpoint("merged-linear-75-400", 400, merged_from=("checkpoint-75", "checkpoint-400"))
    best = dataclasses.replace(findings.verdict.recommended, rule="merge", checkpoint=merged.name)
    findings_of_many = dataclasses.replace(
        findings, verdict=dataclasses.replace(findings.verdict, recommended=best), checkpoints=(merged,)
    )
    html = page(findings_of_many)
    assert "merged from checkpoint-75 and checkpoint-400" in html
    drawn = [row for rows in charts_of(html)["trajectory-accuracy"]["datasets"].values() for row in rows]
    rings = [row for row in drawn if row.get("name") == "ship merged-linear-75-400"]
    assert [(row["step"], row["value"]) for row in rings] == [(400, 0.91)]
