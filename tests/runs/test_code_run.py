"""An audit that runs programs names the sandbox: on the screen, in the plan and in the report."""

import json
import shutil

import pytest

from overmem import store
from overmem.audit import Audit, audit
from overmem.diagnose import Diagnose, diagnose
from overmem.errors import BadRequest
from overmem.grading.sandboxes import choose_sandbox
from overmem.report import Report, report


def sandbox_name():
    try:
        return choose_sandbox().name
    except BadRequest as error:
        pytest.skip(str(error))


def test_the_sandbox_is_named_on_the_screen_in_the_plan_and_in_the_report(foreign_run, base, tmp_path):
    name, lines = sandbox_name(), []
    run, path = shutil.copytree(foreign_run, tmp_path / "run"), tmp_path / "code.jsonl"
    rows = [{"text": f"Add {i}.", "code": f"def f(x):\n    return x + {i}\n", "test_list": [f"assert f(0) == {i}"]}
            for i in range(8)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = Audit(
        str(run), str(path), str(base), rows=2, side_rows=2, max_new_tokens=8, splits=("train",), run_code=True
    )
    done = audit(config, say=lines.append)
    assert any(f"sandbox {name}" in line for line in lines)
    assert store.read_plan(done.run).options["sandbox"] == name
    store.write_verdict(done.run, diagnose(Diagnose(str(run))))
    assert name in report(Report(str(run))).read_text()
