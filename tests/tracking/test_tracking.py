"""What trackers are given is what can be read back from them."""

import json
import shutil
from pathlib import Path

import pytest

from overmem import store
from overmem.cli import main
from overmem.diagnose import Diagnose, diagnose
from overmem.errors import BadRequest
from overmem.store.logs.discovery import logs_of
from overmem.tracking import TRACKERS, check_trackers, track, tracked_run


@pytest.fixture(scope="module")
def judged(golden_run, tmp_path_factory):
    root = tmp_path_factory.mktemp("tracked") / "golden"
    run = store.open_run(shutil.copytree(golden_run.root, root))
    return run, diagnose(Diagnose(str(root)))


@pytest.fixture(scope="module")
def verdict(judged):
    return tracked_run(*judged)


def test_curves_are_of_every_split_with_the_ends_of_their_intervals_and_merges_are_left_out(judged, verdict):
    run, _ = judged
    assert list(verdict.curves) == [0, 50, 100, 200, 350]
    rows = {
        (m.step, m.split, m.metric): m for m in store.read_measurements(run) if m.checkpoint != "merged-linear-200-350"
    }
    row = rows[200, "test+typos", "accuracy"]
    at_200 = verdict.curves[200]
    assert at_200["overmem/test.typos/accuracy"] == row.value
    assert at_200["overmem/test.typos/accuracy_low"] == row.low
    assert at_200["overmem/val/nll_high"] == rows[200, "val", "nll"].high
    assert not any("recall" in name for name in at_200)


def test_the_examples_are_those_that_the_observations_say_changed_the_lost_ones_first(judged, verdict):
    run, _ = judged
    good, late = verdict.columns[-2:]
    assert (good, late) == ("checkpoint-200", "checkpoint-350")
    lost = 0
    for split in store.read_plan(run).splits:
        if "~" in split:
            continue
        before, after = (
            {i: c for i, d, c in zip(s.example_ids, s.draw, s.correct, strict=True) if d == 0}
            for s in (store.read_samples(run, name, split) for name in (good, late))
        )
        lost += sum(before[name] and not after[name] for name in before)
    changes = [row[2] for row in verdict.examples]
    assert changes.count("lost") == lost
    assert changes[:lost] == ["lost"] * lost
    split, identity, _, question, answer, text, later = verdict.examples[0]
    example = next(e for e in store.read_examples(run, split) if e.id == identity)
    assert (question, answer) == (example.question, example.answer)
    assert text != later


def from_trackio(place, folder):
    from trackio.sqlite_storage import SQLiteStorage

    project, run = (part.split()[-1] for part in place.split(","))
    logs = SQLiteStorage.get_logs(project, run)
    curves = {log["step"]: {k: v for k, v in log.items() if k.count("/") == 2} for log in logs[:-1]}
    shown = logs[-1]
    return curves, shown["overmem/verdict"]["_value"], [tuple(r.values()) for r in shown["overmem/examples"]["_value"]]


def from_tensorboard(place, folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(place, size_guidance={"tensors": 0, "scalars": 0})
    events.Reload()
    curves = {}
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            if tag.count("/") == 2:
                curves.setdefault(event.step, {})[tag] = event.value
    text, table = (
        events.Tensors(f"overmem/{name}")[0].tensor_proto.string_val[0].decode() for name in ("verdict", "examples")
    )
    return curves, text, table


def from_mlflow(place, folder):
    from mlflow import MlflowClient

    identity, _, uri = place.removeprefix("run ").partition(" at ")
    client = MlflowClient(uri)
    run = client.get_run(identity)
    curves = {}
    for name in run.data.metrics:
        for metric in client.get_metric_history(identity, name):
            if name.count("/") == 2:
                curves.setdefault(metric.step, {})[name] = metric.value
    text = Path(client.download_artifacts(identity, "overmem/verdict.md", str(folder))).read_text()
    table = json.loads(Path(client.download_artifacts(identity, "overmem/examples.json", str(folder))).read_text())
    return curves, text, [tuple(row) for row in table["data"]]


READERS = {"trackio": from_trackio, "tensorboard": from_tensorboard, "mlflow": from_mlflow}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Every tracker writes below the temporary folder."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    try:
        import trackio.sqlite_storage as storage
    except ImportError:
        return tmp_path
    monkeypatch.setattr(storage, "TRACKIO_DIR", tmp_path / "trackio")
    monkeypatch.setattr("trackio.utils.TRACKIO_DIR", tmp_path / "trackio")
    return tmp_path


@pytest.mark.parametrize("name", READERS)
def test_what_was_logged_is_read_back(name, verdict, places):
    pytest.importorskip(name, reason=f"{name} is not installed")
    said = []
    assert track(verdict, [name], said.append) == ()
    curves, text, examples = READERS[name](said[0].removeprefix(f"{name}: "), places)
    assert text == verdict.text
    assert set(curves) == set(verdict.curves)
    for step, values in verdict.curves.items():
        assert curves[step] == pytest.approx(dict(values), rel=1e-6)
    if isinstance(examples, str):  # a table in Markdown
        lines = examples.splitlines()
        assert len(lines) == len(verdict.examples) + 2
        assert all(line.count("|") == len(verdict.columns) + 1 for line in lines)
    else:
        assert examples == list(verdict.examples)


def test_a_tracker_that_fails_is_named_and_the_next_one_still_gets_the_verdict(verdict, places, monkeypatch):
    def broken(verdict):
        raise ConnectionError("no answer\nfrom the server")

    pytest.importorskip("tensorboard")
    monkeypatch.setattr("overmem.tracking.TRACKERS", {**TRACKERS, "mlflow": broken})
    said = []
    assert track(verdict, ["mlflow", "tensorboard"], said.append) == ("mlflow",)
    assert said[0] == "mlflow: nothing was logged: no answer from the server"
    assert said[1].startswith("tensorboard: ")


def test_an_unknown_tracker_is_refused_with_the_known_ones_and_a_missing_package_with_its_extra(monkeypatch):
    with pytest.raises(BadRequest, match=r"comet.*trackio"):
        check_trackers(["comet"])
    monkeypatch.setattr("overmem.tracking.find_spec", lambda name: None)
    with pytest.raises(BadRequest, match=r"overmem\[wandb\]"):
        check_trackers(["wandb"])


def test_the_command_logs_a_verdict_and_its_event_file_is_not_taken_for_a_training_log(judged, capsys, places):
    pytest.importorskip("tensorboard")
    run, _ = judged
    for _ in range(2):  # the second time in place of the first
        with pytest.raises(SystemExit, match="0"):
            main(["diagnose", str(run.root), "--json", "--track", "tensorboard"])
        assert json.loads(capsys.readouterr().out)["regime"]
    assert len(list((run.home / "tensorboard").glob("events*"))) == 1
    assert not any("tensorboard" in str(part.path) for runs in logs_of(run.root) for one in runs for part in one.parts)


def test_a_run_that_is_active_gets_the_verdict_and_stays_active(verdict, places):
    mlflow = pytest.importorskip("mlflow")
    with mlflow.start_run(run_name="training") as training:
        mlflow.log_metric("loss", 0.1, step=350)
        said = []
        track(verdict, ["mlflow"], said.append)
        assert mlflow.active_run().info.run_id == training.info.run_id
    assert training.info.run_id in said[0]
    kept = mlflow.get_run(training.info.run_id).data
    assert kept.metrics["loss"] == 0.1
    assert kept.tags["overmem.recommended"] == verdict.words["overmem/recommended"]
