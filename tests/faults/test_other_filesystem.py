"""A run whose overmem folder is on another filesystem, where files can be neither renamed nor linked across."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from overmem import store
from overmem.audit import audit
from overmem.audit.held import _link_or_copy
from overmem.diagnose import Diagnose, diagnose
from overmem.report import Report, report
from tests.faults.endstate import leftovers
from tests.runs.conftest import audited, audited_run, base, data_file, foreign_run  # noqa: F401

MEMORY = Path("/dev/shm")


@pytest.fixture
def elsewhere(tmp_path):
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second filesystem")
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


def test_an_audit_verdict_and_report_are_written_to_another_filesystem(audited, elsewhere):  # noqa: F811
    config, done = audited
    before = store.read_measurements(done.run)
    shutil.rmtree(done.run.home)
    there = audit(replace(config, out=str(elsewhere / "out"))).run
    verdict = diagnose(Diagnose(config.run, out=str(elsewhere / "out")))
    page = report(Report(config.run, out=str(elsewhere / "out")))
    assert store.read_measurements(there) == before
    assert store.read_verdict(there) == verdict
    assert page.is_relative_to(elsewhere)
    assert not done.run.home.exists()
    assert not leftovers(elsewhere)


def test_weights_that_a_trainer_may_delete_are_copied_where_they_cannot_be_linked(tmp_path, elsewhere):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    _link_or_copy(tmp_path / "model.safetensors", elsewhere / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    assert (elsewhere / "model.safetensors").read_bytes() == b"weights"
