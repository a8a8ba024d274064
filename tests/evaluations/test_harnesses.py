"""inspect_ai and lm-eval themselves, in a Python environment of their own, write logs that we read, and read ours.

Set HARNESSES_PYTHON to a Python that has both.
"""

import json
import os
import subprocess

import pytest

from overmem.diagnose import Diagnose, diagnose
from overmem.evaluations.export import export_logs
from overmem.evaluations.options import ExportLogs, ImportLogs
from overmem.evaluations.verb import import_logs
from tests.evaluations.conftest import assert_same_verdict

PYTHON = os.environ.get("HARNESSES_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="HARNESSES_PYTHON names no Python with inspect_ai and lm_eval"),
]
READ = """
import json, sys
from inspect_ai.log import read_eval_log
logs = [read_eval_log(path) for path in sys.argv[1:]]
print(json.dumps([{
    "status": log.status, "accuracy": log.results.scores[0].metrics["accuracy"].value,
    "rows": [[s.input, s.target, s.output.completion, s.scores["overmem"].value, s.scores["nll"].value]
             for s in log.samples],
} for log in logs]))
"""
INSPECT = """
import json, sys
from inspect_ai import Task, eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, match, mean, scorer
from inspect_ai.solver import generate

@scorer(metrics=[mean()], name="nll")
def nll():
    async def score(state, target):
        return Score(value=state.metadata["nll"], metadata={"tokens": state.metadata["tokens"]})
    return score

for entry in json.load(open(sys.argv[1])):
    texts = {row["question"]: row["text"] for row in entry["rows"]}
    def answer(messages, *rest):
        output = ModelOutput.from_content("mockllm", texts[messages[-1].text])
        output.usage = ModelUsage(input_tokens=1, output_tokens=4, total_tokens=5)  # else it downloads a tokenizer
        return output
    samples = [
        Sample(id=i, input=row["question"], target=row["answer"],
               metadata={"solution": row["solution"], "nll": row["nll"], "tokens": row["tokens"]})
        for i, row in enumerate(entry["rows"])
    ]
    task = Task(name=entry["split"], dataset=samples, solver=generate(), scorer=[match(numeric=True), nll()])
    folder = f"logs/{entry['split']}/{entry['checkpoint']}"
    model = get_model("mockllm/model", custom_outputs=answer)
    (log,) = evaluate(task, model=model, log_dir=folder, display="none", log_realtime=False, max_samples=100)
    assert log.status == "success", log.error.message
"""
LM_EVAL = """
import json, sys
from pathlib import Path
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

entries = json.load(open(sys.argv[1]))
Path("tasks").mkdir()
for split in ("val", "test"):
    rows = next(e["rows"] for e in entries if e["split"] == split)
    Path(f"{split}.jsonl").write_text("".join(
        json.dumps({k: row[k] for k in ("question", "solution", "answer")}) + "\\n" for row in rows))
    shared = {
        "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(Path(f"{split}.jsonl").resolve())}},
        "test_split": "test", "doc_to_text": "Question: {{question}}\\nAnswer:", "num_fewshot": 0,
    }
    pattern = {"function": "regex", "regex_pattern": "#### (-?[0-9]+)"}
    answers = {
        "task": f"sums_{split}", "output_type": "generate_until", "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["Question:"], "do_sample": False},
        "filter_list": [{"name": "strict", "filter": [pattern, {"function": "take_first"}]}],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    likelihoods = {
        "task": f"sums_{split}_nll", "output_type": "loglikelihood", "doc_to_target": " {{solution}}",
        "metric_list": [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}],
    }
    for task in (answers, likelihoods):
        Path(f"tasks/{task['task']}.yaml").write_text(json.dumps(shared | task))

class Table(LM):
    def __init__(self, rows):
        super().__init__()
        self.rows = {f"Question: {row['question']}\\nAnswer:": row for row in rows}
    def generate_until(self, requests, **more):
        return [self.rows[r.args[0]]["text"] for r in requests]
    def loglikelihood(self, requests, **more):
        return [(-self.rows[r.args[0]]["nll"], False) for r in requests]
    def loglikelihood_rolling(self, requests, **more):
        raise NotImplementedError

manager = TaskManager(include_path="tasks", include_defaults=False)
for checkpoint in dict.fromkeys(e["checkpoint"] for e in entries):
    model = Table([row for e in entries if e["checkpoint"] == checkpoint for row in e["rows"]])
    tracker = EvaluationTracker(output_path=f"results/{checkpoint}")
    tasks = [f"sums_{split}{kind}" for split in ("val", "test") for kind in ("", "_nll")]
    done = simple_evaluate(model, tasks=tasks, task_manager=manager, bootstrap_iters=0, log_samples=True,
                           evaluation_tracker=tracker)
    samples = done.pop("samples")
    tracker.save_results_aggregated(results=done, samples=samples)
    for name, rows in samples.items():
        tracker.save_results_samples(task_name=name, samples=rows)
"""


def run_script(script, folder, *arguments):
    """The standard output of a script in the other environment."""
    (folder / "script.py").write_text(script)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    command = [PYTHON, "script.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def own(audited):
    return diagnose(Diagnose(str(audited.root), save=False))


@pytest.fixture
def table(evaluated, tmp_path):
    """What each checkpoint answers, and its nll, as JSON."""
    entries = [
        {
            "checkpoint": e.checkpoint.name,
            "split": e.split,
            "rows": [
                {"question": x.question, "solution": x.solution, "answer": x.answer, "text": text, "nll": float(nll),
                 "tokens": 9}
                for x, text, nll in zip(e.examples, e.texts, e.nll, strict=True)
            ],
        }
        for e in evaluated
    ]  # fmt: skip
    (tmp_path / "table.json").write_text(json.dumps(entries))
    return entries


def folders(root):
    return tuple(map(str, sorted(root.iterdir(), key=lambda p: len(p.name))))


def test_inspect_reads_what_we_export(audited, table, tmp_path):
    paths = export_logs(ExportLogs(str(audited.root), str(tmp_path / "exported")))
    logs = dict(zip([p.stem for p in paths], json.loads(run_script(READ, tmp_path, *paths)), strict=True))
    assert len(logs) == len(table)
    for entry in table:
        log = logs[f"{entry['checkpoint']}_{entry['split']}"]
        expected = {row["question"]: row for row in entry["rows"]}
        assert log["status"] == "success"
        assert len(log["rows"]) == len(expected)
        for question, target, text, value, nll in log["rows"]:
            row = expected[question]
            assert (target, text) == (row["answer"], row["text"])
            assert (value == "C") == (text == row["solution"])
            assert nll == pytest.approx(row["nll"], rel=1e-5)
        right = sum(row["text"] == row["solution"] for row in entry["rows"])
        assert log["accuracy"] == pytest.approx(right / len(expected))


def test_the_verdict_from_logs_that_inspect_wrote_is_that_of_an_audit(own, table, tmp_path):
    run_script(INSPECT, tmp_path, tmp_path / "table.json")
    for split in ("val", "test"):
        import_logs(ImportLogs("inspect", folders(tmp_path / "logs" / split), str(tmp_path / "run"), split=split))
    assert_same_verdict(diagnose(Diagnose(str(tmp_path / "run"))), own)


def test_the_verdict_from_logs_that_lm_eval_wrote_is_that_of_an_audit(own, table, tokenizer, tmp_path):
    run_script(LM_EVAL, tmp_path, tmp_path / "table.json")
    for split in ("val", "test"):
        tasks = (f"sums_{split}", f"sums_{split}_nll")
        logs = folders(tmp_path / "results")
        import_logs(ImportLogs("lm-eval", logs, str(tmp_path / "run"), task=tasks, split=split, tokenizer=tokenizer))
    assert_same_verdict(diagnose(Diagnose(str(tmp_path / "run"))), own)
