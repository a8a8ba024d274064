import shutil
from dataclasses import replace

import pytest

from overmem import store
from overmem.diagnose import FAIL_ON, Diagnose, diagnose, exit_code, markdown, prune
from overmem.diagnose.evidence import audited
from overmem.errors import BadRequest, Locked
from overmem.records import Limits, Measurement
from overmem.verdict.assess import assess
from studies import worlds
from studies.trajectories import World
from studies.worlds import drawn


@pytest.fixture(scope="module")
def harmful(tmp_path_factory, write_run, world):
    """An over-memorized run that also loses 15 points out of distribution."""
    run = write_run(tmp_path_factory.mktemp("harmful"), world, ood_loss=0.15)
    return run, diagnose(Diagnose(str(run.root)))


def test_a_confirmed_cost_makes_the_run_over_memorized(harmful):
    _, verdict = harmful
    assert verdict.regime == "over-memorized"
    (cost,) = [c for c in verdict.costs if c.confirmed]
    assert cost.name == "ood-far"
    assert cost.difference.value > 0
    assert cost.difference.low > 0
    assert verdict.harm_confirmed
    assert any(s.startswith("ood-far: ") for s in verdict.sentences)
    assert "ood-far" in verdict.headline


def test_without_a_cost_no_harm_is_confirmed(tmp_path, write_run, world):
    verdict = diagnose(Diagnose(str(write_run(tmp_path, world).root)))
    assert (verdict.regime, verdict.harm_confirmed) == ("over-memorized", False)
    assert verdict.costs
    assert not any(cost.confirmed for cost in verdict.costs)


def test_onset_and_severity_have_intervals_and_a_verdict_survives_the_disk(harmful):
    run, verdict = harmful
    assert verdict.onset.step.low < verdict.onset.step.value < verdict.onset.step.high
    assert None not in (verdict.onset.epoch.value, verdict.onset.cumulative_lr.value)
    for part in (verdict.severity.excess, verdict.severity.scale_share, verdict.severity.agree_share):
        assert part.low <= part.value <= part.high
    store.write_verdict(run, verdict)
    assert store.read_verdict(run).headline == verdict.headline


def test_a_limit_that_is_most_of_the_nll_is_warned_of_with_what_it_misses(harmful):
    run, verdict = harmful
    assert not any("predictable" in w for w in verdict.warnings)
    lowest = min(v.nll.value for v in verdict.checkpoints if v.nll.value is not None)
    blind = diagnose(Diagnose(str(run.root), d_nll=0.6 * lowest))
    (warning,) = [w for w in blind.warnings if "predictable" in w]
    last = blind.checkpoints[-1]
    assert last.excess.low > 0
    assert last.regime != "over-memorized"
    assert f"At {last.checkpoint.name} it has risen by {last.excess.value:.3f}" in warning


def test_truncated_answers_are_reported_at_the_checkpoint_with_the_most(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    shares = {"base": (0, 1.0), "checkpoint-100": (100, 0.01), "checkpoint-200": (200, 0.12)}
    rows = [
        Measurement(name, step, split, "accuracy", "cut_off", share, 0.01, 0.09, 0.15, 400, "")
        for name, (step, share) in shares.items()
        for split in ("val", "test")
    ]
    store.write_measurements(run, rows)
    store.write_plan(run, replace(store.read_plan(run), decoding={"max_new_tokens": 64}))
    _, context = audited(run, Diagnose(str(run.root)))
    assert {(m.checkpoint, m.value, m.n) for m in context.truncated} >= {("checkpoint-200", 0.12, 400)}
    assert context.max_new_tokens == 64
    assert any("12.0%" in w and "checkpoint-200" in w for w in diagnose(Diagnose(str(run.root))).warnings)


def test_splits_that_were_cut_out_of_training_rows_are_warned_of(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    assert audited(run, Diagnose(str(run.root)))[1].carved_splits == ()
    store.write_plan(run, replace(store.read_plan(run), carved_splits=("val", "test")))
    assert audited(run, Diagnose(str(run.root)))[1].carved_splits == ("val", "test")
    assert diagnose(Diagnose(str(run.root))).warnings[0].startswith("Val and test were")


def test_the_recommended_checkpoint_exists_and_is_scored_on_test(harmful):
    run, verdict = harmful
    assert (run.root / verdict.recommended.checkpoint).is_dir()
    assert verdict.recommended.accuracy.n == 400
    assert verdict.recommended.accuracy.note == ""
    rules = [verdict.recommended.rule, *(c.rule for c in verdict.choices)]
    assert set(rules) == {"healthy", "overmem", "paper", "one-se", "min-nll", "max-accuracy", "last"}
    assert len(rules) == len(set(rules))


def test_a_gain_within_a_standard_error_does_not_ship_an_over_memorized_checkpoint(harmful):
    _, verdict = harmful
    regime = {v.checkpoint.name: v.regime for v in verdict.checkpoints}
    assert verdict.recommended.rule == "overmem"
    assert regime[verdict.recommended.checkpoint] == "healthy"


def test_confirmed_harm_moves_the_recommendation_to_a_healthy_checkpoint(tmp_path, write_run):
    climbing = drawn(worlds.World(n=3000, creep=0.02, base=False), "harm", 0, splits=("val", "test"))
    splits = (climbing["val"], climbing["test"])
    verdict = diagnose(Diagnose(str(write_run(tmp_path, World(n=3000), ood_loss=0.15, splits=splits).root)))
    regime = {v.checkpoint.name: v.regime for v in verdict.checkpoints}
    most_accurate = next(c for c in verdict.choices if c.rule == "overmem")
    assert regime[most_accurate.checkpoint] == "over-memorized"
    assert verdict.recommended.rule == "healthy"
    assert regime[verdict.recommended.checkpoint] == "healthy"
    assert verdict.recommended.regret.value == 0.0


def test_a_checkpoint_that_is_gone_is_not_recommended(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    first = diagnose(Diagnose(str(run.root)))
    (run.root / first.recommended.checkpoint).rmdir()
    second = diagnose(Diagnose(str(run.root)))
    assert second.recommended.checkpoint != first.recommended.checkpoint
    assert list(audited(run, Diagnose(str(run.root)))[1].not_on_disk) == [first.recommended.checkpoint]
    assert any(first.recommended.checkpoint in w for w in second.warnings)


def test_no_checkpoint_on_disk_is_no_recommendation(tmp_path, write_run, world):
    verdict = diagnose(Diagnose(str(write_run(tmp_path, world, on_disk=False).root)))
    assert verdict.recommended is None
    assert verdict.headline.startswith("No checkpoint can be recommended")


def test_a_missing_test_split_is_reported(tmp_path, write_run, world):
    run = write_run(tmp_path, world, test=False)
    verdict = diagnose(Diagnose(str(run.root)))
    assert not assess(audited(run, Diagnose(str(run.root)))[0], Limits()).is_confirmed
    assert any("no test split" in w for w in verdict.warnings)
    assert "flattering" in verdict.recommended.accuracy.note


def test_a_shifted_val_split_is_not_called_memorization(tmp_path, write_run, world):
    run = write_run(tmp_path, world, train_shift=0.2)
    verdict = diagnose(Diagnose(str(run.root)))
    assert verdict.regime == "undecided"
    assert verdict.onset is None
    assert verdict.sentences[0].startswith("Val and train are not one distribution: at the base model")
    assert "over-memorized" not in {v.regime for v in verdict.checkpoints}
    assert "not called memorization" in verdict.headline
    declared = diagnose(Diagnose(str(run.root), same_distribution="yes"))
    assert "over-memorized" in declared.regime


def test_an_equal_train_split_raises_no_doubt(tmp_path, write_run, world):
    verdict = diagnose(Diagnose(str(write_run(tmp_path, world, train_shift=0.0).root)))
    assert "over-memorized" in verdict.regime
    assert not any(
        "one distribution" in s or "could not be compared" in s for s in (*verdict.sentences, *verdict.warnings)
    )


def test_too_few_rows_leave_open_whether_val_and_train_are_one_distribution(tmp_path, write_run):
    run = write_run(tmp_path, World(n=12, checkpoints=4), train_shift=0.01)
    (doubt,) = [w for w in diagnose(Diagnose(str(run.root), save=False)).warnings if "is uncertain" in w]
    assert "too few rows to exclude 0.062" in doubt


def test_a_declared_mismatch_is_believed(tmp_path, write_run, world):
    verdict = diagnose(Diagnose(str(write_run(tmp_path, world).root), same_distribution="no"))
    assert verdict.regime == "undecided"
    assert verdict.sentences[0].startswith("You declared")


@pytest.mark.parametrize("limits", [{"d_nll": 0.0}, {"margin": 1.0}, {"alpha": 0.9}])
def test_a_limit_without_sense_is_refused(tmp_path, limits):
    with pytest.raises(BadRequest, match="between"):
        diagnose(Diagnose(str(tmp_path), **limits))


def test_exit_codes_follow_the_verdict(harmful):
    _, verdict = harmful
    assert exit_code(verdict, ()) == exit_code(verdict, ("never",)) == exit_code(verdict, ("over-fitted",)) == 0
    assert exit_code(verdict, ("over-memorized",)) == exit_code(verdict, ("confirmed",)) == 1
    unconfirmed = replace(verdict, regime="over-memorized", harm_confirmed=False)
    assert (exit_code(unconfirmed, ("confirmed",)), exit_code(unconfirmed, ("over-memorized",))) == (0, 1)
    with pytest.raises(BadRequest, match="confirmed"):
        exit_code(verdict, ("sometimes",))
    assert set(FAIL_ON) >= {"never", "unhealthy"}


def test_markdown_has_a_row_a_checkpoint_and_escapes_what_it_shows(harmful):
    _, verdict = harmful
    text = markdown(replace(verdict, headline="<img src=x> | [a](b)"))
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 + len(verdict.checkpoints)
    assert "<img" not in text.replace("\\<img", "")
    assert "**checkpoint" in text


def test_prune_lists_and_keeps_the_recommended_its_neighbours_and_the_last(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    verdict = diagnose(Diagnose(str(run.root)))
    names = [v.checkpoint.name for v in verdict.checkpoints if v.checkpoint.step > 0]
    verdict = replace(verdict, recommended=replace(verdict.recommended, checkpoint=names[2]))
    free = prune(run, verdict)
    assert free == (names[0], names[4])
    assert (run.root / names[0]).is_dir()
    assert prune(run, verdict, yes=True) == free
    assert [n for n in names if (run.root / n).is_dir()] == [names[1], names[2], names[3], names[5]]


def test_nothing_recommended_prunes_nothing(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    verdict = replace(diagnose(Diagnose(str(run.root))), recommended=None)
    assert prune(run, verdict, yes=True) == ()


def test_pruning_again_deletes_nothing_more(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    verdict = diagnose(Diagnose(str(run.root)))
    names = [v.checkpoint.name for v in verdict.checkpoints if v.checkpoint.step > 0]
    verdict = replace(verdict, recommended=replace(verdict.recommended, checkpoint=names[2]))
    assert prune(run, verdict, yes=True) == (names[0], names[4])
    assert prune(run, verdict, yes=True) == ()
    shutil.rmtree(run.root / names[5])  # by the trainer's rotation
    assert prune(run, verdict, yes=True) == ()


def test_nothing_is_pruned_while_another_process_writes_to_the_run(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    verdict = diagnose(Diagnose(str(run.root)))
    with store.locked(run), pytest.raises(Locked):
        prune(run, verdict, yes=True)
    assert all((run.root / v.checkpoint.name).is_dir() for v in verdict.checkpoints if v.checkpoint.step > 0)


def test_the_trainers_own_choice_of_an_audited_run_is_priced_next_to_ours(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    assert not [c for c in diagnose(Diagnose(str(run.root))).choices if c.rule == "trainer"]
    state = {"best_model_checkpoint": "/somewhere/else/checkpoint-333", "log_history": []}
    store.write_json(run.root / "checkpoint-1000" / "trainer_state.json", state)
    (priced,) = [c for c in diagnose(Diagnose(str(run.root))).choices if c.rule == "trainer"]
    assert priced.checkpoint == "checkpoint-333"
    assert priced.regret.n == world.n
