"""Options of an audit, and audits after an earlier one."""

import itertools
import json
import shutil
from dataclasses import replace

import pytest

from overmem import store
from overmem.audit import Audit, audit
from overmem.errors import BadRequest


@pytest.fixture
def run(foreign_run, tmp_path):
    return shutil.copytree(foreign_run, tmp_path / "run")


def test_only_the_checkpoints_and_splits_that_are_named_are_observed(run, base, data_file):
    some = {"checkpoints": ("base", "checkpoint-4"), "splits": ("val",)}
    done = audit(Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, **some))
    assert done.computed == 2 * 2
    assert {m.checkpoint for m in done.measurements} == {"base", "checkpoint-4"}
    rest = audit(Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8))
    assert (rest.computed, rest.already_done) == (3 * 3 * 2 - 4, 4)


@pytest.mark.parametrize("options", [{"checkpoints": ("checkpoint-3",)}, {"splits": ("vel",)}])
def test_an_unknown_checkpoint_or_split_is_refused_with_the_allowed_ones(run, base, data_file, options):
    with pytest.raises(BadRequest, match=r"allowed: .*(checkpoint-4|val)"):
        audit(Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, **options))


def test_rephrased_questions_are_paired_with_their_originals(run, base, data_file):
    config = Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, shifts=("preamble",))
    done = audit(config)
    rephrased = store.read_examples(store.open_run(run), "test+preamble")
    plain = {e.id: e for e in store.read_examples(store.open_run(run), "test")}
    assert rephrased
    assert all(e.id.removesuffix("+preamble") in plain and e.id != e.id.removesuffix("+preamble") for e in rephrased)
    assert all(plain[e.id.removesuffix("+preamble")].question in e.question for e in rephrased)
    drops = [m for m in done.measurements if m.split == "test+preamble" and m.metric == "accuracy_drop"]
    assert [m.checkpoint for m in drops] == ["base", "checkpoint-2", "checkpoint-4"]
    fitting = len(rephrased) - store.read_plan(store.open_run(run)).splits["test+preamble"].truncated
    assert fitting > 0
    assert all(m.n == fitting for m in drops)


def test_an_unknown_shift_is_refused_with_the_allowed_ones(run, base, data_file):
    with pytest.raises(BadRequest, match="preamble"):
        audit(Audit(str(run), str(data_file), str(base), rows=6, shifts=("preambel",)))


def test_an_audit_without_options_uses_those_of_the_previous_one(run, base, data_file, monkeypatch, tmp_path):
    monkeypatch.chdir(data_file.parent)
    first = audit(
        Audit(str(run), data_file.name, str(base), rows=6, side_rows=4, max_new_tokens=8, template="{question}")
    )
    monkeypatch.chdir(tmp_path)
    lines = []
    again = audit(Audit(str(run)), say=lines.append)
    assert (again.computed, again.already_done) == (0, first.computed)
    assert "rows as in the previous audit: 6 (--rows changes it)" in lines
    more = audit(Audit(str(run), rows=8))
    assert more.already_done == first.computed // 3  # val and test have more rows now, train has not


def test_draws_are_made_at_every_temperature_and_kept_by_later_audits(run, base, data_file):
    config = Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, draws=2, temperature=(0.5, 1.0))
    done = audit(config)
    samples = store.read_samples(store.open_run(run), "checkpoint-4", "test")
    each = {(int(d), round(float(t), 2)) for d, t in zip(samples.draw, samples.temperature, strict=True)}
    assert each == {(0, 0.0), (1, 0.5), (2, 0.5), (3, 1.0), (4, 1.0)}
    passes = [m.at for m in done.measurements if m.metric == "pass@k" and m.split == "test"]
    assert all({"k": 2, "temperature": t} in passes for t in (0.5, 1.0))
    again = audit(Audit(str(run)))
    assert (again.computed, again.already_done) == (0, done.computed)
    dropped = audit(Audit(str(run), draws=0))
    assert dropped.computed > 0


@pytest.mark.parametrize("invalid", [{"draws": -1}, {"temperature": (0.0,)}, {"temperature": (0.7, 0.7)}])
def test_an_invalid_number_of_draws_or_temperature_is_refused(run, base, data_file, invalid):
    with pytest.raises(BadRequest, match=r"allowed: (0 or more|different numbers above 0 and up to 10)"):
        audit(Audit(str(run), str(data_file), str(base), rows=6, **invalid))


def test_texts_for_an_attack_are_scored_and_not_completed(run, base, tmp_path):
    words = itertools.cycle(["so we get", "that makes", "so that makes", "and we get"])
    rows = [
        {"question": f"{a} plus {b}?", "solution": f"{next(words)} {a + b}\n#### {a + b}"}
        for a, b in itertools.product(range(9), range(9))
    ]
    data_file = tmp_path / "rephrased.jsonl"
    data_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, attacks=("recall", "neighbour"))
    done = audit(config)
    here = store.open_run(run)
    for split, attack in itertools.product(("train", "val"), config.attacks):
        scored = store.read_scores(here, "checkpoint-4", f"{split}~{attack}")
        assert scored.example_ids
        assert not here.unit_path("checkpoint-4", f"{split}~{attack}", "samples").is_file()
    assert {m.split for m in done.measurements if "~" in m.split} == set()
    result = {m.metric: m for m in done.measurements if m.checkpoint == "checkpoint-4" and m.probe == "membership"}
    assert result["recall_auroc"].value is not None
    assert result["neighbour_auroc"].value is not None
    assert audit(config).computed == 0


def test_several_wordings_of_a_question_are_a_split_each(run, base, data_file):
    config = Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, shifts=("preamble:2",))
    audit(config)
    first, second = (store.read_examples(store.open_run(run), f"test+{name}") for name in ("preamble", "preamble.2"))
    assert len(first) == len(second) == 6
    assert not {e.question for e in first} & {e.question for e in second}


def test_a_file_of_rephrased_test_questions_is_paired_with_them(run, base, data_file, tmp_path):
    rows = [json.loads(line) for line in data_file.read_text().splitlines()]
    rephrased = [{**row, "question": f"Tell me: {row['question']}", "seed_question": row["question"]} for row in rows]
    (tmp_path / "rephrased.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rephrased))
    recipe = tmp_path / "data.yaml"
    recipe.write_text(f"source: {data_file}\nshifted: {{mine: {{source: {tmp_path / 'rephrased.jsonl'}}}}}\n")
    done = audit(Audit(str(run), str(recipe), str(base), rows=6, max_new_tokens=8))
    plain = {e.id: e for e in store.read_examples(store.open_run(run), "test")}
    rephrased = store.read_examples(store.open_run(run), "test+mine")
    assert [
        e.question for e in rephrased if e.question != f"Tell me: {plain[e.id.removesuffix('+mine')].question}"
    ] == []
    drops = [m for m in done.measurements if m.split == "test+mine" and m.metric == "accuracy_drop"]
    assert {m.n for m in drops} == {6}


def test_the_same_command_without_some_options_reuses_them(run, base, data_file):
    first = audit(Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, shifts=("preamble",)))
    again = audit(Audit(str(run), str(data_file), str(base)))
    assert (again.computed, again.already_done) == (0, first.computed)
    assert "test+preamble" in store.read_plan(again.run).splits


def test_deleted_checkpoints_and_splits_that_are_not_requested_stay_in_the_plan(audited):
    _, done = audited
    shutil.rmtree(done.run.root / "checkpoint-2")
    some = audit(Audit(str(done.run.root), splits=("val",), checkpoints=("checkpoint-4",)))
    assert some.computed == 0
    assert [c.name for c in store.read_checkpoints(done.run)] == ["base", "checkpoint-2", "checkpoint-4"]
    assert some.measurements == done.measurements


def test_other_data_starts_a_new_plan(audited):
    config, done = audited
    audit(replace(config, data="wordproblems", splits=("val",)))
    assert list(store.read_plan(done.run).splits) == ["val"]


def test_units_of_different_requests_are_not_mixed(run, base, data_file, monkeypatch):
    done = audit(Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8, splits=("val",)))
    write = store.write_grades

    def stopped(*arguments, **options):
        write(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_grades", stopped)  # the last file of a unit
    with pytest.raises(KeyboardInterrupt):
        audit(Audit(str(run), max_new_tokens=4, splits=("val",)))
    one, two, _ = store.snapshots(done.run)
    assert "val" in one.samples
    assert not two.samples
    assert two.notes["val", "samples"] == "observed for another request than the plan's"
