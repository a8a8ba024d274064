"""The model card: metadata that the hub reads, numbers with n and intervals, hostile names escaped."""

from dataclasses import replace

import pytest
import yaml

from overmem import store
from overmem.cli import main
from overmem.records import Checkpoint, CheckpointVerdict, Choice, Estimate, Measurement, Verdict
from overmem.report.card import card
from overmem.report.findings import Findings

MEASURED = (
    Measurement("checkpoint-5", 5, "test", "accuracy", "accuracy", 0.9, low=0.85, high=0.94, n=200),
    Measurement("checkpoint-5", 5, "test", "perplexity", "nll", 0.25, low=0.24, high=0.26, n=200),
    Measurement("checkpoint-5", 5, "val", "accuracy", "accuracy", 0.8, low=0.7, high=0.9, n=50),
)


def findings_of(name="mine", source="gsm8k", shipped=True):
    share = Estimate(0.9, 0.85, 0.94, 200)
    choice = Choice("overmem", "checkpoint-5", share, share, Estimate(0.0))
    row = CheckpointVerdict(Checkpoint("checkpoint-5", 5), "healthy", share, share, share, share, None, None)
    verdict = Verdict("healthy", "ship it", (), (row,), None, None, choice if shipped else None, (), best=choice)
    return Findings(name, verdict, MEASURED, plan={"data": {"source": source}}, date="1 Jan 2026")


def metadata_of(text):
    return yaml.safe_load(text.split("---")[1])["model-index"][0]


def test_the_metadata_has_every_number_on_test_with_n_and_interval():
    index = metadata_of(card(findings_of()))
    (result,) = index["results"]
    assert result["dataset"] == {"name": "gsm8k", "type": "gsm8k", "split": "test"}
    assert result["metrics"] == [
        {"type": "accuracy", "value": 0.9, "name": "accuracy (n = 200, 95% interval 0.850 to 0.940)"},
        {"type": "nll", "value": 0.25, "name": "nll per solution token, nats (n = 200, 95% interval 0.240 to 0.260)"},
    ]


def test_the_card_states_that_the_best_checkpoint_is_not_recommended():
    assert "which is not recommended" in card(findings_of(shipped=False))
    assert "not recommended" not in card(findings_of())


def test_names_are_escaped_and_local_paths_are_left_out():
    text = card(findings_of(name="a: [b]\n---\nx", source="/somewhere/private/rows.jsonl"))
    index = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))["model-index"][0]
    assert (index["name"], index["results"][0]["dataset"]["name"]) == ("a: [b] --- x", "rows.jsonl")
    assert "/somewhere" not in text
    hostile = replace(findings_of(), verdict=replace(findings_of().verdict, headline="<script>[x](y)"))
    assert "<script>" not in card(hostile)


def test_a_file_that_exists_is_not_written_over(tmp_path, capsys):
    run = store.open_run(tmp_path)
    store.write_verdict(run, findings_of().verdict)
    target = tmp_path / "README.md"
    target.write_text("mine")
    with pytest.raises(SystemExit) as stopped:
        main(["card", str(tmp_path), "--output", str(target)])
    assert stopped.value.code == 2
    assert "exists already" in capsys.readouterr().err
    assert target.read_text() == "mine"
    with pytest.raises(SystemExit) as stopped:
        main(["card", str(tmp_path), "--output", str(tmp_path / "card.md")])
    assert stopped.value.code == 0
    assert metadata_of((tmp_path / "card.md").read_text())["results"] == []
