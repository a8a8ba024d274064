"""`overmem merge --search` on audited runs of tiny models: what it saves, how it resumes, and what it never leaves."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from overmem import store
from overmem.audit import Audit, audit
from overmem.cli import main
from overmem.merging.options import Merge
from overmem.records.searches import MergeSearch
from overmem.search import decision, scoring
from overmem.search.verb import search
from tests.merging.made import train
from tests.runs.conftest import audited, audited_run, base, data_file, foreign_run, overmem  # noqa: F401

BUDGET = {"search": True, "device": "cpu", "finalists": 3}


def everything(run):
    """Every observation of a search, by path."""
    home = run / "overmem" / "search"
    return {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}


def test_a_search_saves_what_it_returns_and_writes_no_merge_that_is_not_better(audited):  # noqa: F811
    config, _ = audited
    result = search(Merge(config.run, **BUDGET))
    run = store.open_run(config.run)
    assert store.read_search(run) == result
    assert result.is_complete
    assert not result.recommended
    assert result.written is None
    assert not list(run.root.glob("*merged*"))
    assert [c.nll.value for c in result.candidates] == sorted(c.nll.value for c in result.candidates)
    assert sum(c.accuracy.value is not None for c in result.candidates) >= 3
    assert {"line", "uniform", "base-line", "greedy", "simplex"} <= set(result.picks)
    assert result.lines[0].points[0].nll.n == 6
    before = store.read_measurements(run)
    audit(config)
    assert store.read_measurements(run) == before


def test_json_is_the_whole_result(audited, overmem):  # noqa: F811
    config, _ = audited
    done = overmem("merge", config.run, "--search", "--finalists", 2, "--no-path", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content == json.loads((store.open_run(config.run).search_path).read_text())
    assert {"single", "candidates", "winner", "confirmation", "recommended", "reasons", "lines"} <= content.keys()


def test_an_interrupted_search_resumes_to_the_same_end(audited, tmp_path, monkeypatch):  # noqa: F811
    config, _ = audited
    other = shutil.copytree(config.run, tmp_path / "other")
    whole = search(Merge(config.run, **BUDGET))
    for where, after in (("_scored", 4), ("_scored", 3), ("_graded", 2)):
        observe, calls = getattr(scoring.CandidateScorer, where), 0

        def stop(*arguments, observe=observe, after=after):
            nonlocal calls
            calls += 1
            if calls > after:
                raise KeyboardInterrupt
            return observe(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(scoring.CandidateScorer, where, stop)
            with pytest.raises(KeyboardInterrupt):
                search(Merge(str(other), **BUDGET))
        assert not store.open_run(other).search_path.is_file()
    assert len(everything(other)) >= 4 + 3
    assert search(Merge(str(other), **BUDGET)) == whole
    assert everything(other).keys() == everything(store.open_run(config.run).root).keys()
    monkeypatch.setattr(scoring.CandidateScorer, "_load", lambda *arguments: pytest.fail("loaded again"))
    assert search(Merge(str(other), **BUDGET)) == whole


def test_a_candidate_is_loaded_once_for_its_nll_and_its_answers(audited, monkeypatch):  # noqa: F811
    config, _ = audited
    scorer = scoring.scorer_of(Merge(config.run, device="cpu"))
    loads = []
    model_of = type(scorer.skeleton).model_of
    monkeypatch.setattr(type(scorer.skeleton), "model_of", lambda self, w: loads.append(1) or model_of(self, w))
    weights = {"checkpoint-2": 0.5, "checkpoint-4": 0.5}
    scorer.nll_sums(weights, "test")
    scorer.answers(weights, "test")
    assert len(loads) == 1


def test_a_recommended_merge_is_written_and_audited_to_the_nll_that_the_search_observed(audited, monkeypatch):  # noqa: F811
    config, _ = audited
    monkeypatch.setattr(decision, "judged", lambda *arguments: (True, ("shown to be more accurate",)))
    result = search(Merge(config.run, **BUDGET))
    run = store.open_run(config.run)
    assert result.written is not None
    assert result.winner is not None
    AutoModelForCausalLM.from_pretrained(run.root / result.written)
    audit(config)
    val = store.read_curves(run, "val", merged=True)
    row = [c.name for c in val.checkpoints].index(result.written)
    nll = val.nll_sums[row].sum() / val.token_counts.sum()
    assert nll == pytest.approx(result.winner.nll.value, rel=1e-5)
    assert val.correct[row].mean() == pytest.approx(result.winner.accuracy.value)
    assert not [p for p in run.root.rglob("*.partial")]


def test_an_incomplete_search_says_so_and_the_same_command_completes_it(audited, monkeypatch):  # noqa: F811
    config, _ = audited
    clock = iter(np.arange(0, 1e6, 10.0))
    with monkeypatch.context() as patched:
        patched.setattr("overmem.search.board.time.monotonic", lambda: next(clock))
        short = search(Merge(config.run, **BUDGET, minutes=2))
    assert not short.is_complete
    assert search(Merge(config.run, **BUDGET)).is_complete


def test_draws_give_pass_at_k_and_side_splits_give_costs(audited):  # noqa: F811
    config, _ = audited
    audit(replace(config, draws=2, shifts=("preamble",), side_rows=4, rows=5))
    result = search(Merge(config.run, **BUDGET))
    assert result.draws == 2
    assert result.winner.passed.n == 5
    assert [cost.name for cost in result.confirmation.costs] == ["pass@2", "test+preamble"]
    assert [cost.difference.n for cost in result.confirmation.costs] == [5, 2]
    for point in result.lines[0].points:
        assert point.passed.n == 5
        assert set(point.costs) == {"test+preamble"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_adapters_are_searched_and_a_written_winner_is_one_adapter(
    base,  # noqa: F811
    data_file,  # noqa: F811
    tmp_path,
    monkeypatch,
    kind,
):
    shutil.copytree(base, tmp_path / "base")
    for step in (10, 20, 30):
        train(tmp_path / "base", step, use_dora=kind == "dora")
    run = tmp_path / "run"
    config = Audit(str(run), str(data_file), str(tmp_path / "base"), rows=6, max_new_tokens=8)
    audit(config)
    monkeypatch.setattr(decision, "judged", lambda *arguments: (True, ("shown to be more accurate",)))
    result = search(Merge(str(run), **BUDGET))
    assert (run / result.written / "adapter_model.safetensors").is_file()
    assert -1 <= result.lines[0].updates.cosine <= 1
    audit(config)
    val = store.read_curves(store.open_run(run), "val", merged=True)
    row = [c.name for c in val.checkpoints].index(result.written)
    assert val.nll_sums[row].sum() / val.token_counts.sum() == pytest.approx(result.winner.nll.value, rel=1e-4)


def test_a_result_of_another_version_is_no_result(audited):  # noqa: F811
    config, _ = audited
    run = store.open_run(config.run)
    assert store.read_search(run) is None
    store.write_json(run.search_path, {"schema": 1, "anything": []})
    assert store.read_search(run) is None
    assert isinstance(search(Merge(config.run, **BUDGET)), MergeSearch)


def test_options_that_a_search_chooses_itself_are_refused(audited, capsys):  # noqa: F811
    config, _ = audited
    with pytest.raises(SystemExit) as stopped:
        main(["merge", config.run, "--search", "--rule", "slerp"])
    assert stopped.value.code == 2
    assert "leave them out" in capsys.readouterr().err
