"""Checkpoints that are not what they seem: refused with a reason, and never taken for another model."""

import json
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from overmem import store
from overmem.checkpoints import Found, Skeleton, check_device, fingerprint, found_in, tokenizer_of
from overmem.errors import BadCheckpoint, BadRequest
from overmem.records import Checkpoint

SIZES = {
    "vocab_size": 60, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip


def base_in(folder, **more):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(**SIZES | more)).save_pretrained(folder)
    return folder


def adapter_in(folder, base, **more):
    asked = {"r": 2, "target_modules": ["q_proj"]} | more
    get_peft_model(LlamaForCausalLM.from_pretrained(base), LoraConfig(**asked)).save_pretrained(folder)
    return folder


def found(folder):
    return Found(Checkpoint(folder.name, 1), str(folder))


def changed(path, **more):
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


@pytest.fixture
def base(tmp_path):
    return base_in(tmp_path / "base")


@pytest.fixture
def adapter(base, tmp_path):
    return adapter_in(tmp_path / "checkpoint-1", base)


def test_an_adapter_of_a_deeper_model_is_not_observed_on_a_shallower_one(base, tmp_path):
    deep = adapter_in(tmp_path / "checkpoint-1", base_in(tmp_path / "deep", num_hidden_layers=3))
    skeleton = Skeleton(str(base))
    with pytest.raises(BadCheckpoint, match=r"no place for: .*layers\.2\.self_attn\.q_proj\.lora_A"):
        skeleton.model(found(deep))
    assert skeleton.model(found(base)) is not None


def test_an_adapter_names_five_of_the_tensors_that_it_lacks(adapter, base, tmp_path):
    adapter_in(tmp_path / "other", base, target_modules=["v_proj"])
    shutil.copy(tmp_path / "other" / "adapter_model.safetensors", adapter)
    with pytest.raises(BadCheckpoint, match="lacks weights") as caught:
        Skeleton(str(base)).model(found(adapter))
    assert str(caught.value).count("q_proj") == 4


@pytest.mark.parametrize("more", [{"modules_to_save": ["lm_head"]}, {"target_modules": ["q_proj", "embed_tokens"]}])
def test_an_adapter_that_brings_whole_layers_is_loaded(base, tmp_path, more):
    folder = adapter_in(tmp_path / "checkpoint-1", base, **more)
    assert Skeleton(str(base)).model(found(folder)) is not None


@pytest.mark.parametrize(
    "written",
    ["{", "[]", "null", "{}", '{"peft_type": 3}', '{"peft_type": "LORA", "r": "x"}', '{"peft_type": "LORA", "r": 0}'],
)
def test_a_damaged_adapter_config_is_a_bad_checkpoint_and_the_next_one_is_loaded(adapter, base, written):
    (adapter / "adapter_config.json").write_text(written)
    assert [one.checkpoint.name for one in found_in(adapter.parent)] == ["checkpoint-1"]
    skeleton = Skeleton(str(base))
    with pytest.raises(BadCheckpoint, match="checkpoint-1"):
        skeleton.model(found(adapter))
    assert skeleton.model(found(base)) is not None


@pytest.mark.parametrize(
    "written",
    [
        "{", "[]", '{"log_history": null}', '{"log_history": [1]}', '{"log_history": [{"learning_rate": null}]}',
        '{"log_history": [{"learning_rate": 1}]}', '{"log_history": 5, "epoch": "one"}',
    ],
)  # fmt: skip
def test_a_damaged_trainer_state_leaves_the_time_unknown_and_the_log_empty_of_what_is_no_row(tmp_path, written):
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-3" / "trainer_state.json").write_text(written)
    assert [one.checkpoint for one in found_in(tmp_path)] == [Checkpoint("checkpoint-3", 3)]
    assert all(isinstance(row, dict) for row in store.read_log_history(store.open_run(tmp_path)))


@pytest.mark.parametrize(
    "written", ["{", "[]", "{}", '{"sources": null}', '{"sources": []}', '{"sources": [{"name": "a"}]}']
)
def test_a_damaged_note_of_a_merge_leaves_its_sources_unknown(tmp_path, written):
    (tmp_path / "merged-x").mkdir()
    (tmp_path / "merged-x" / "overmem-merge.json").write_text(written)
    assert found_in(tmp_path)[0].checkpoint == Checkpoint("merged-x", 0, merged_from=("unknown",))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta:x"])
def test_a_device_that_is_not_there_is_no_fault_of_the_checkpoint(base, device):
    with pytest.raises(BadRequest, match=rf"'{device}'.*allowed: .*cpu"):
        check_device(device)
    with pytest.raises(BadRequest, match=rf"'{device}'.*allowed: .*cpu"):
        Skeleton(str(base), device).model(found(base))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_model_that_does_not_fit_is_no_fault_of_the_checkpoint(base, monkeypatch, error):
    skeleton = Skeleton(str(base))

    def full(path):
        raise error

    monkeypatch.setattr(skeleton, "_loaded", full)
    with pytest.raises(BadRequest, match="does not fit cpu.*--device"):
        skeleton.model(found(base))


def test_code_that_a_model_or_a_tokenizer_brings_is_neither_run_nor_asked_about(base, monkeypatch, tmp_path):
    monkeypatch.setattr("builtins.input", lambda *a: pytest.fail("asked"))
    (base / "evil.py").write_text("raise SystemExit('called')\n")
    changed(base / "config.json", model_type="evil", auto_map={"AutoModelForCausalLM": "evil.Evil"})
    (base / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}))
    with pytest.raises(BadCheckpoint, match="base cannot be loaded"):
        Skeleton(str(base)).model(found(base))
    with pytest.raises(BadRequest, match="no tokenizer"):
        tokenizer_of(base, [found(base)])


def test_a_tokenizer_that_cannot_be_read_is_passed_over_and_the_base_that_is_gone_is_named(tmp_path):
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    (folder / "tokenizer.json").write_text('{"version"')
    there = found_in(tmp_path, str(tmp_path / "gone"))
    with pytest.raises(BadRequest, match=r"their base '.*/gone'.*--tokenizer.*--base"):
        tokenizer_of(tmp_path, there)
    with pytest.raises(BadRequest, match="no tokenizer at"):
        tokenizer_of(tmp_path, there, str(folder))


def test_a_fingerprint_changes_with_what_the_model_computes_and_with_nothing_else(base, adapter, tmp_path):
    before = fingerprint(str(base))
    changed(base / "config.json", transformers_version="0", use_cache=False)
    assert fingerprint(str(base)) == before
    changed(base / "config.json", rms_norm_eps=0.5)
    assert fingerprint(str(base)) != before

    alone, over = fingerprint(str(adapter)), fingerprint(str(adapter), str(base))
    assert alone != over
    changed(adapter / "adapter_config.json", base_model_name_or_path="/elsewhere", inference_mode=False)
    assert fingerprint(str(adapter), str(base)) == over
    tensors = load_file(base / "model.safetensors")
    save_file({k: v * 1.5 for k, v in tensors.items()}, base / "model.safetensors", {"format": "pt"})
    assert (fingerprint(str(adapter)) == alone, fingerprint(str(adapter), str(base)) == over) == (True, False)
    changed(adapter / "adapter_config.json", lora_alpha=64)
    assert fingerprint(str(adapter)) != alone
