"""Logs of each harness, with all keys and in the shapes that its own code writes."""

import io
import json
import struct
import zipfile
import zlib

import polars as pl
import pytest

from overmem import store
from overmem.cli import main
from overmem.errors import BadData, BadRequest
from overmem.evaluations.formats import FORMATS
from overmem.evaluations.options import HARNESSES, ImportLogs
from overmem.evaluations.steps import step_in
from overmem.evaluations.verb import import_logs
from overmem.store.imported import origin_of

LONG = "A long question, stored as an attachment: how much is two and two?"


def test_every_harness_has_a_reader_and_is_named_in_the_options():
    assert tuple(FORMATS) == HARNESSES


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("results/step-100", 100), ("results/step_00100/model", 100), ("out/checkpoint-50/samples.jsonl", 50),
        ("runs/v2/checkpoint-50", 50), ("epoch_3", 3), ("iter_0000100", 100), ("results/model-7b", None),
        ("logs/2026-11-28T20-51-41-00-00_wp_WTP", None), ("global_step400", 400), ("results/100", 100),
    ],
)  # fmt: skip
def test_the_step_of_a_log_is_the_number_in_its_name(path, step):
    assert step_in(path) == step


def sample(identity, epoch, text, value, **more):
    message = {"role": "assistant", "content": text}
    return {
        "id": identity, "epoch": epoch, "input": "How much is one and one?", "target": "2", "metadata": {},
        "messages": [{"role": "user", "content": "How much is one and one?"}, message],
        "output": {"model": "m", "choices": [{"message": message, "stop_reason": "stop"}], "completion": text,
                   "usage": {"output_tokens": 3}},
        "scores": {"match": {"value": value, "answer": text}}, "attachments": {}, **more,
    }  # fmt: skip


SAMPLES = [
    sample(1, 1, "2", "C"),
    sample(1, 2, "3", "I"),
    sample(2, 1, "attachment://t", "C", input="attachment://q", target=["4"], attachments={"q": LONG, "t": "four: 4"}),
    sample(2, 2, "5", 0, input="attachment://q", target=["4"], attachments={"q": LONG}),
    sample(3, 1, "", "I", error={"message": "died"}),
]
HEADER = {
    "version": 2, "status": "success", "plan": {"config": {}}, "results": {},
    "eval": {"task": "sums", "model": "hf/m", "config": {"epochs": 2}, "model_generate_config": {"temperature": 0.7}},
}  # fmt: skip


def deflated(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(HEADER))
        for s in SAMPLES:
            archive.writestr(f"samples/{s['id']}_epoch_{s['epoch']}.json", json.dumps(s))


def zstandard_zip(path):
    """An archive of a recent version: compression method 93, which Python 3.11's zipfile refuses, in two frames."""
    zstandard = pytest.importorskip("zstandard")
    members = {f"samples/{s['id']}_epoch_{s['epoch']}.json": json.dumps(s) for s in SAMPLES}
    body, central = io.BytesIO(), io.BytesIO()
    for name, text in {**members, "header.json": json.dumps(HEADER)}.items():
        plain, where = text.encode(), body.tell()
        parts = (plain[: len(plain) // 2], plain[len(plain) // 2 :])
        data = b"".join(zstandard.ZstdCompressor().compress(part) for part in parts)
        shared = struct.pack("<HHHHHIIIH", 63, 0, 93, 0, 33, zlib.crc32(plain), len(data), len(plain), len(name))
        body.write(b"PK\x03\x04" + shared + struct.pack("<H", 0) + name.encode() + data)
        central.write(b"PK\x01\x02" + struct.pack("<H", 63) + shared + struct.pack("<HHHHII", 0, 0, 0, 0, 0, where))
        central.write(name.encode())
    count, size = len(members) + 1, len(central.getvalue())
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, size, body.tell(), 0)
    path.write_bytes(body.getvalue() + central.getvalue() + end)


def as_json(path):
    path.write_text(json.dumps(HEADER | {"samples": SAMPLES}))


@pytest.mark.parametrize(
    ("name", "write"), [("a.eval", deflated), ("a.eval", zstandard_zip), ("a.json", as_json)],
    ids=["deflate", "zstandard", "json"],
)  # fmt: skip
def test_a_log_of_inspect_gives_its_questions_with_every_epoch(tmp_path, name, write):
    write(tmp_path / name)
    (log,) = FORMATS["inspect"](tmp_path / name, "")
    assert (log.task, log.model, log.metric, log.temperature) == ("sums", "hf/m", "match", 0.7)
    first, second = log.questions
    assert [(c.text, c.correct, c.stop, c.tokens) for c in first.completions] == [
        ("2", True, "eos", 3), ("3", False, "eos", 3)
    ]  # fmt: skip
    assert (second.row["question"], second.target, second.completions[0].text) == (LONG, "4", "four: 4")
    assert len(log.notes) == 1
    with pytest.raises(BadRequest, match="match"):
        FORMATS["inspect"](tmp_path / name, "no_such_scorer")


def test_epochs_of_inspect_are_sampled_completions(tmp_path):
    deflated(tmp_path / "step-10.eval")
    done = import_logs(ImportLogs("inspect", (str(tmp_path / "step-10.eval"),), str(tmp_path / "run")))
    assert done.completions == 4
    samples = store.read_samples(done.run, "checkpoint-10", "test")
    assert list(samples.draw) == [1, 2, 1, 2]
    assert samples.temperature.tolist() == pytest.approx([0.7] * 4)
    assert list(samples.correct) == [True, False, True, False]
    assert origin_of(done.run, "checkpoint-10", "test", "grades") == "inspect match"


def lighteval_row(i, *, choices=False):
    """A row of lighteval 0.13, with every field of its Doc and ModelResponse."""
    doc = {
        "query": f"What is {i} and 1?", "choices": [" 9", f" {i + 1}"] if choices else [f" {i + 1}"],
        "gold_index": [1] if choices else 0, "instruction": None, "images": None, "specific": None,
        "unconditioned_query": None, "original_query": None, "id": str(i), "task_name": "sums|0",
        "fewshot_samples": [], "sampling_methods": ["LOGPROBS" if choices else "GENERATIVE"],
        "fewshot_sorting_class": None, "generation_size": None if choices else 8,
        "stop_sequences": None if choices else ["\n"], "use_logits": False, "num_samples": 1,
        "generation_grammar": None,
    }  # fmt: skip
    response = {
        "input": doc["query"], "input_tokens": [1, 2], "text": [] if choices else [f"it is {i + 1 + i % 2}"],
        "output_tokens": [[3], [4]] if choices else [[3]], "text_post_processed": None, "reasonings": [],
        "logprobs": [-2.0, -1.0 - 2 * (i % 2)] if choices else [],
        "argmax_logits_eq_gold": [False, True] if choices else [], "logits": None, "unconditioned_logprobs": None,
        "truncated_tokens_count": 0, "padded_tokens_count": 0,
    }  # fmt: skip
    return {"doc": doc, "metric": {"acc" if choices else "extractive_match": 1 - i % 2}, "model_response": response}


def old_lighteval_row(i):
    """A row of lighteval before 0.10, with every field of its Detail."""
    return {
        "choices": [], "cont_tokens": [[3]], "example": f"{i} and 1", "full_prompt": f"What is {i} and 1?",
        "gold": [f"{i + 1}"], "gold_index": [0], "input_tokens": [[1, 2]], "instruction": "",
        "metrics": {"qem": float(1 - i % 2)}, "num_asked_few_shots": 0, "num_effective_few_shots": 0, "padded": [0],
        "pred_logits": [], "prediction_logits": [], "predictions": [f"it is {i + 1 + i % 2}"], "specifics": {},
        "truncated": [0],
    }  # fmt: skip


LIGHTEVAL = {
    "0.13": [lighteval_row(i) for i in range(4)],
    "choices": [lighteval_row(i, choices=True) for i in range(4)],
    "old": [{k: v for k, v in old_lighteval_row(i).items() if k != "specifics"} for i in range(4)],
    "old, as strings": [{k: str(v) for k, v in old_lighteval_row(i).items()} for i in range(4)],
}
"""Layouts of its details. Columns that it cannot write as they are become the text of a Python value."""


@pytest.mark.parametrize("layout", LIGHTEVAL)
def test_details_of_lighteval_are_read_in_every_layout(tmp_path, layout):
    folder = tmp_path / "details" / "org" / "checkpoint-20" / "2026-11-28T20-00-00.123456"
    folder.mkdir(parents=True)
    file = folder / "details_lighteval|sums|0_2026-11-28T20-00-00.123456.parquet"
    pl.DataFrame(LIGHTEVAL[layout]).write_parquet(file)
    (log,) = FORMATS["lighteval"](tmp_path / "details", "")
    assert (log.task, log.model) == ("lighteval:sums:0", "org/checkpoint-20")
    assert [q.completions[0].correct for q in log.questions] == [True, False, True, False]
    assert [q.row["answer"] for q in log.questions] == ["1", "2", "3", "4"]
    assert log.questions[3].completions[0].text == (" 9" if layout == "choices" else "it is 5")
    assert [q.nll for q in log.questions] == ([1.0, 3.0, 1.0, 3.0] if layout == "choices" else [None] * 4)
    done = import_logs(ImportLogs("lighteval", (str(tmp_path / "details"),), str(tmp_path / "run")))
    assert [c.name for c in done.checkpoints] == ["checkpoint-20"]


def evalplus_results(statuses):
    """A file of EvalPlus 0.3, with every field; `plus` is None for --base-only."""
    problems = {
        f"HumanEval/{i}": [
            {"task_id": f"HumanEval/{i}", "solution": "def f(x):\n    return x\n", "base_status": base,
             "plus_status": plus, "base_fail_tests": [] if base == "pass" else [[[1, 2]]],
             "plus_fail_tests": [] if plus in ("pass", None) else [[[3]]]}
        ]
        for i, (base, plus) in enumerate(statuses)
    }  # fmt: skip
    passed = {"base": {"pass@1": 0.5}} | ({"plus": {"pass@1": 0.25}} if statuses[0][1] else {})
    return {"date": "2026-11-28 20:00", "hash": "fe585eb4df8c88d844eeb463ea4d0302", "eval": problems,
            "pass_at_k": passed}  # fmt: skip


TRIED = [("pass", "pass"), ("pass", "fail"), ("fail", "pass"), ("timeout", "timeout")]
FIRST_VERSION = {
    "date": "2026-11-28 20:00", "hash": "0",
    "eval": {f"HumanEval/{i}": {"nfiles": 1, "base": [[base, []]], "plus": [[plus, [True]]]}
             for i, (base, plus) in enumerate(TRIED)},
}  # fmt: skip


@pytest.mark.parametrize(
    ("results", "metric", "right"),
    [
        (evalplus_results(TRIED), "", [True, False, False, False]),
        (evalplus_results(TRIED), "base", [True, True, False, False]),
        (evalplus_results([(base, None) for base, _ in TRIED]), "", [True, True, False, False]),
        (FIRST_VERSION, "", [True, False, False, False]),
    ],
    ids=["plus", "base", "--base-only", "first version"],
)
def test_results_of_evalplus_by_its_extra_tests_or_by_the_original_ones(tmp_path, results, metric, right):
    path = tmp_path / "step-5.eval_results.json"
    path.write_text(json.dumps(results))
    done = import_logs(ImportLogs("evalplus", (str(path),), str(tmp_path / "run"), metric=metric))
    samples = store.read_samples(done.run, "checkpoint-5", "test")
    assert list(samples.correct) == right
    assert {e.kind for e in store.read_examples(done.run, "test")} == {"code"}
    assert (done.scored, done.solutions) == (0, 0)


def test_evalplus_problems_in_another_order_are_the_same_questions(tmp_path):
    results = evalplus_results(TRIED)
    for step, order in ((5, 1), (10, -1)):
        problems = dict(list(results["eval"].items())[::order])
        (tmp_path / f"step-{step}.eval_results.json").write_text(json.dumps({**results, "eval": problems}))
    logs = tuple(str(tmp_path / f"step-{step}.eval_results.json") for step in (5, 10))
    done = import_logs(ImportLogs("evalplus", logs, str(tmp_path / "run"), metric="base"))
    first, second = (store.read_samples(done.run, f"checkpoint-{step}", "test") for step in (5, 10))
    assert dict(zip(first.example_ids, first.correct, strict=True)) == dict(
        zip(second.example_ids, second.correct, strict=True)
    )
    assert done.examples == len(TRIED)


def test_the_command_only_offers_an_audit_where_the_logs_have_solutions(tmp_path, capsys):
    path = tmp_path / "step-5.eval_results.json"
    path.write_text(json.dumps(evalplus_results(TRIED)))
    with pytest.raises(SystemExit) as ended:
        main(["import", "evalplus", str(path), "--run", str(tmp_path / "run")])
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert "no solutions in the logs" in said.out + said.err


def test_several_completions_of_lm_eval_with_one_grade_are_each_graded_again(tmp_path):
    docs = [{"question": f"What is {i} plus 1?", "answer": str(i + 1)} for i in range(3)]
    rows = [
        {"doc_id": i, "doc": doc, "target": doc["answer"], "arguments": [[doc["question"], {"do_sample": True}]],
         "resps": [[f"#### {i + 1}", "#### 77"]], "filtered_resps": [str(i + 1)], "filter": "none",
         "metrics": ["exact_match"], "exact_match": 1.0}
        for i, doc in enumerate(docs)
    ]  # fmt: skip
    path = tmp_path / "samples_sums_2026-11-28T20-00-00.1.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = import_logs(ImportLogs("lm-eval", (str(path),), str(tmp_path / "run"), checkpoints=("checkpoint-4",)))
    samples = store.read_samples(done.run, "checkpoint-4", "test")
    assert list(samples.correct) == [True, False] * 3
    assert origin_of(done.run, "checkpoint-4", "test", "samples")
    assert not origin_of(done.run, "checkpoint-4", "test", "grades")


def test_multiple_choice_of_lm_eval_gives_the_likeliest_choice_and_the_nll_of_the_right_one(tmp_path):
    doc = {"question": "Which is a colour?", "choices": ["dog", "red"], "answer": 1}
    row = {
        "doc_id": 0, "doc": doc, "target": "1", "filter": "none", "metrics": ["acc"], "acc": 1.0,
        "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": " dog"}, "gen_args_1": {"arg_0": "Q", "arg_1": " red"}},
        "resps": [[["-4.5", "False"]], [["-0.5", "True"]]], "filtered_resps": [["-4.5", "False"], ["-0.5", "True"]],
    }  # fmt: skip
    path = tmp_path / "samples_colours_2026-11-28T20-00-00.1.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (log,) = FORMATS["lm-eval"](path, "")
    (question,) = log.questions
    assert (question.nll, question.target) == (0.5, " red")
    assert [(c.text, c.correct) for c in question.completions] == [("red", True)]


@pytest.mark.parametrize("harness", HARNESSES)
def test_a_folder_without_logs_or_with_other_files_is_refused_in_one_line(tmp_path, harness):
    with pytest.raises(BadRequest, match="holds no"):
        FORMATS[harness](tmp_path, "")
    other = tmp_path / "other.json"
    other.write_text('{"rows": []}')
    with pytest.raises(BadData) as error:
        FORMATS[harness](other, "")
    assert str(other) in str(error.value)
    assert "\n" not in str(error.value)


def test_two_logs_of_one_checkpoint_and_a_log_without_a_step_are_refused(tmp_path):
    for name in ("step-3.eval", "ckpt-3.eval", "final.eval"):
        deflated(tmp_path / name)
    logs = tuple(str(tmp_path / n) for n in ("step-3.eval", "ckpt-3.eval"))
    with pytest.raises(BadRequest, match="one checkpoint"):
        import_logs(ImportLogs("inspect", logs, str(tmp_path / "run")))
    with pytest.raises(BadRequest, match="--checkpoints"):
        import_logs(ImportLogs("inspect", (str(tmp_path / "final.eval"),), str(tmp_path / "run")))
