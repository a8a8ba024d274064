"""Audits that are killed, meet damaged files or swap weights still end with the same measurements."""

import json
import shutil
import signal

import polars as pl
import pytest
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from overmem import store
from overmem.audit import Audit, audit
from overmem.errors import BadRequest, Locked
from overmem.models.discovery import find_checkpoints, find_tokenizer
from overmem.models.loading import Skeleton
from tests.processes import run_python

KILLED_AFTER_3_UNITS = """
import json, os, signal, sys
from pathlib import Path
from overmem.audit import Audit, audit

def progress(*_):
    if len([*Path(sys.argv[1], "overmem", "observations").glob("*/*.s*.parquet")]) >= 3:  # scores and samples
        os.kill(os.getpid(), signal.SIGKILL)

audit(Audit(sys.argv[1], **json.loads(sys.argv[2])), progress=progress)
"""
"""An audit that kills itself at a fixed point, so that the test does not depend on the speed of the machine."""


def test_a_killed_audit_resumes_and_measures_the_same(foreign_run, base, data_file, tmp_path):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    options = {"data": str(data_file), "base": str(base), "rows": 6, "max_new_tokens": 8}
    whole = audit(Audit(str(run), **options, out=str(tmp_path / "whole")))
    killed = run_python("-c", KILLED_AFTER_3_UNITS, run, json.dumps(options))
    assert killed.returncode == -signal.SIGKILL
    assert not (run / "overmem" / "measurements.parquet").exists()
    resumed = audit(Audit(str(run), **options))
    assert resumed.already_done >= 3
    assert resumed.already_done + resumed.computed == whole.computed
    assert list(resumed.measurements) == list(whole.measurements)


def test_a_unit_with_damaged_pages_is_named_and_the_next_audit_makes_it_again(foreign_run, base, data_file, tmp_path):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    options = Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8)
    first = audit(options)
    path = first.run.unit_path("checkpoint-2", "val", "scores")
    note = pl.read_parquet_metadata(path)["overmem"]
    pl.read_parquet(path).write_parquet(path, metadata={"overmem": note})  # an earlier version wrote no checksum
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    lines = []
    second = audit(options, say=lines.append)
    assert second.computed == 0
    assert any(line.startswith("checkpoint-2: val.scores.parquet was damaged") for line in lines)
    third = audit(options)
    assert (third.computed, third.already_done) == (1, first.computed - 1)
    for now, then in zip(third.measurements, first.measurements, strict=True):
        assert (now.checkpoint, now.split, now.metric, now.note) == (
            then.checkpoint,
            then.split,
            then.metric,
            then.note,
        )
    nll = [[m.value for m in done.measurements if m.metric == "nll"] for done in (third, first)]
    assert nll[0] == pytest.approx(nll[1], rel=1e-5)  # scored without the completions: equal up to rounding


def test_a_unit_that_differs_from_its_checksum_is_made_again_at_once(foreign_run, base, data_file, tmp_path):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    options = Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8)
    first = audit(options)
    path = first.run.unit_path("checkpoint-2", "val", "scores")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    second = audit(options)
    assert (second.computed, second.already_done) == (1, first.computed - 1)
    nll = [[m.value for m in done.measurements if m.metric == "nll"] for done in (second, first)]
    assert nll[0] == pytest.approx(nll[1], rel=1e-5)


def test_two_audits_of_one_run_do_not_mix(foreign_run, base, data_file, tmp_path):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    with store.locked(store.open_run(run)), pytest.raises(Locked, match="another overmem process"):
        audit(Audit(str(run), str(data_file), str(base), rows=2))


def test_swapped_weights_equal_freshly_loaded_ones(foreign_run, base):
    checkpoints = find_checkpoints(foreign_run, str(base))
    swapped = Skeleton(str(base))
    for one in [*checkpoints, *reversed(checkpoints)]:
        fresh = Skeleton(str(base)).model(one).state_dict()
        now = swapped.model(one).state_dict()
        assert all((now[k] == fresh[k]).all() for k in fresh)


@pytest.fixture
def adapters(base, tmp_path):
    """Two LoRA checkpoints as PEFT saves them, their base named in the adapter's own config."""
    for step, scale in ((1, 0.5), (2, 2.0)):
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
        )
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.fill_(scale)
        model.save_pretrained(tmp_path / f"checkpoint-{step}")
    return tmp_path


def test_adapters_share_one_base_found_from_their_own_config(adapters, base):
    checkpoints = find_checkpoints(adapters)
    assert [f.checkpoint.name for f in checkpoints] == ["base", "checkpoint-1", "checkpoint-2"]
    assert checkpoints[0].path == str(base)
    tokenizer = find_tokenizer(adapters, checkpoints)
    ids = AutoTokenizer.from_pretrained(base)("What is 1 plus 1?", return_tensors="pt")["input_ids"]
    assert tokenizer("x")["input_ids"] == AutoTokenizer.from_pretrained(base)("x")["input_ids"]
    shared = Skeleton(checkpoints[0].path)
    for one in [*checkpoints, checkpoints[0], checkpoints[1]]:
        fresh = Skeleton(checkpoints[0].path).model(one)(ids).logits
        assert (shared.model(one)(ids).logits - fresh).abs().max() < 1e-6


def test_adapters_without_their_base_are_noted(adapters, data_file):
    for one in adapters.glob("checkpoint-*/adapter_config.json"):
        one.write_text(one.read_text().replace('"base_model_name_or_path": "', '"base_model_name_or_path": "/gone'))
    with pytest.raises(BadRequest, match=r"no tokenizer .*their base '/gone"):
        audit(Audit(str(adapters), str(data_file), rows=2))


def test_an_adapter_that_lacks_a_tensor_is_not_taken_for_its_base(adapters, data_file):
    path = adapters / "checkpoint-2" / "adapter_model.safetensors"
    tensors = load_file(path)
    lost = next(name for name in tensors if "lora_B" in name)
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, path, {"format": "pt"})
    done = audit(Audit(str(adapters), str(data_file), rows=2, max_new_tokens=4))
    assert set(done.failures) == {"checkpoint-2"}
    assert lost in done.failures["checkpoint-2"]


@pytest.mark.parametrize("changed", ["base", "alpha"])
def test_an_adapter_is_observed_again_over_another_base_or_at_another_scale(adapters, base, data_file, changed):
    before = audit(Audit(str(adapters), str(data_file), rows=2, max_new_tokens=4))
    if changed == "base":
        other = shutil.copytree(base, adapters / "other")
        tensors = load_file(other / "model.safetensors")
        save_file({k: v * 1.5 for k, v in tensors.items()}, other / "model.safetensors", {"format": "pt"})
        again = audit(Audit(str(adapters), base=str(other)))
        assert (again.computed, again.already_done) == (before.computed, 0)
    else:
        path = adapters / "checkpoint-2" / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": 64}))
        again = audit(Audit(str(adapters)))
        assert again.computed * 3 == before.computed


def test_half_written_notes_of_a_trainer_stop_nothing(adapters, data_file, foreign_run):
    (adapters / "checkpoint-1" / "trainer_state.json").write_text('{"log_hist')
    (adapters / "checkpoint-best").mkdir()
    (adapters / "checkpoint-best" / "trainer_state.json").write_text("{}")
    (adapters / "checkpoint-2" / "adapter_config.json").write_text('{"peft_ty')
    done = audit(Audit(str(adapters), str(data_file), rows=2, max_new_tokens=4))
    assert set(done.failures) == {"checkpoint-2"}
    assert store.read_log_history(done.run) == []


def test_a_device_that_is_not_there_is_refused_before_anything_is_loaded(adapters, data_file):
    with pytest.raises(BadRequest, match=r"unknown device 'gpu'.*allowed: auto, cpu"):
        audit(Audit(str(adapters), str(data_file), device="gpu"))


def test_a_tokenizer_of_another_model_is_refused(foreign_run, base, data_file, tmp_path):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    with pytest.raises(BadRequest, match=r"tokenizer at 'pebble'|another model's"):
        audit(Audit(str(run), str(data_file), str(base), tokenizer="pebble"))
