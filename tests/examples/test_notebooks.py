"""The notebooks of examples/: they run as they are, and they are stored without their outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path):
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.slow
def test_the_notebook_audits_a_run_shows_the_verdict_and_draws_both_curves(tmp_path):
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    shown = [o.data for o in outputs if o.output_type in ("execute_result", "display_data")]
    verdicts = [d["text/markdown"] for d in shown if "text/markdown" in d]
    assert len(verdicts) == 1
    assert "checkpoint-24" in verdicts[0]
    assert sum("image/png" in d for d in shown) == 1
    assert all(len(d["text/plain"]) < 3000 for d in shown), "a value prints more than anybody reads"
