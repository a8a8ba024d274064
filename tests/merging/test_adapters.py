"""Merged LoRA adapters in real PEFT models: their weight update s B A is the weighted sum of the sources' updates."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaForCausalLM

from overmem.errors import BadCheckpoint, BadRequest
from overmem.merging.adapters import combined_dora
from overmem.merging.options import Merge
from overmem.merging.verb import merge
from overmem.models.discovery import find_checkpoints
from tests.merging.made import random_llama, train

PAIR = ("checkpoint-10", "checkpoint-50")
IDS = torch.arange(20)[None] % 64


def base_model(**more: Any) -> LlamaForCausalLM:
    return random_llama(0, tie_word_embeddings=False, **more)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base_model().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def load_adapter(base: Path, folder: Path) -> PeftModel:
    return PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), folder).eval()


def changes(base: Path, folder: Path) -> dict[str, Tensor]:
    """The change of every weight and bias of the base by an adapter, from PEFT's own merge into full weights."""
    before = LlamaForCausalLM.from_pretrained(base).double().state_dict()
    init = json.loads((folder / "adapter_config.json").read_text())["init_lora_weights"]
    # PEFT computes the PiSSA and OLoRA initialisations in float32 at most.
    model = LlamaForCausalLM.from_pretrained(base)
    after = PeftModel.from_pretrained(model if init in ("pissa", "olora") else model.double(), folder)
    after = after.double().merge_and_unload().state_dict()
    assert before.keys() == after.keys()
    return {name: after[name] - before[name] for name in before}


def assert_exact(base: Path, merged: Path, weights: tuple[float, ...], folders: list[Path], atol: float = 1e-6) -> None:
    parts = [changes(base, folder) for folder in folders]
    merged_changes = changes(base, merged)
    assert sum(float(t.abs().sum()) > 0 for t in merged_changes.values()) >= 4
    for name, changed_tensor in merged_changes.items():
        expected = sum(w * part[name] for w, part in zip(weights, parts, strict=True))
        torch.testing.assert_close(changed_tensor, expected, rtol=0, atol=atol, msg=lambda m, name=name: f"{name}: {m}")


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lora": ({}, {}),
    "rslora": ({"use_rslora": True}, {"use_rslora": True}),
    "different ranks": ({"r": 2}, {"r": 6, "lora_alpha": 3}),
    "rslora with different ranks": ({"r": 2, "use_rslora": True}, {"r": 6, "use_rslora": True}),
    "rslora with lora": ({"use_rslora": True}, {}),
    "rank and alpha by module": (
        {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"layers.1.mlp.down_proj": 5}},
        {"rank_pattern": {"layers.0.self_attn.q_proj": 7}, "alpha_pattern": {"q_proj": 2}},
    ),
    "rslora by module": (
        {"use_rslora": True, "rank_pattern": {"layers.1.self_attn.q_proj": 9}},
        {"use_rslora": True, "alpha_pattern": {"down_proj": 9}},
    ),
    "an output layer trained whole": ({"modules_to_save": ["lm_head"]}, {"modules_to_save": ["lm_head"]}),
    "an adapted embedding": ({"target_modules": ["embed_tokens", "v_proj", "o_proj"]},) * 2,
    "dora": ({"use_dora": True}, {"use_dora": True}),
    "dora with different ranks and rslora": ({"use_dora": True, "r": 2}, {"use_dora": True, "use_rslora": True}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights", [(0.5, 0.5), (1.25, -0.25)])
def test_the_change_of_the_merge_is_the_weighted_sum_of_the_changes(
    base: Path, kind: str, weights: tuple[float, float]
) -> None:
    folders = [train(base, step, **options) for step, options in zip((10, 50), KINDS[kind], strict=True)]
    merged = merge(Merge(str(base.parent / "run"), PAIR, weights=weights))
    assert_exact(base, merged, weights, folders)


@pytest.mark.parametrize("kind", KINDS)
def test_the_merged_adapter_gives_the_logits_of_the_averaged_full_weights(base: Path, kind: str) -> None:
    folders = [train(base, step, **options) for step, options in zip((10, 50), KINDS[kind], strict=True)]
    merged = merge(Merge(str(base.parent / "run"), PAIR))
    averaged = LlamaForCausalLM.from_pretrained(base)
    both = [load_adapter(base, folder).merge_and_unload().state_dict() for folder in folders]
    averaged.load_state_dict({name: (both[0][name] + both[1][name]) / 2 for name in both[0]})
    with torch.no_grad():
        logits, expected = load_adapter(base, merged)(IDS).logits, averaged(IDS).logits
        untouched = LlamaForCausalLM.from_pretrained(base)(IDS).logits
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    assert float((logits - untouched).abs().max()) > 0.01


def test_biases_are_averaged_too(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base_model(attention_bias=True).save_pretrained(base)
    for options in ({"bias": "all"}, {"lora_bias": True, "use_rslora": True, "target_modules": ["q_proj", "v_proj"]}):
        folders = [train(base, step, r=rank, **options) for step, rank in ((10, 3), (50, 5))]
        merged = merge(Merge(str(tmp_path / "run"), PAIR, weights=(0.3, 0.7)))
        assert any("bias" in name and float(t.abs().sum()) > 0 for name, t in changes(base, merged).items())
        assert_exact(base, merged, (0.3, 0.7), folders)
        shutil.rmtree(tmp_path / "run")


def test_a_merge_of_merges_equals_the_merge_of_three_adapters(base: Path) -> None:
    folders = [train(base, step) for step in (10, 20, 50)]
    run = str(base.parent / "run")
    merge(Merge(run, ("checkpoint-10", "checkpoint-20"), name="merged-two"))
    merged = merge(Merge(run, ("merged-two", "checkpoint-50"), weights=(2 / 3, 1 / 3)))
    assert_exact(base, merged, (1 / 3, 1 / 3, 1 / 3), folders)
    assert json.loads((merged / "adapter_config.json").read_text())["r"] == 12


def test_weight_one_on_one_adapter_keeps_its_rank_and_its_change(base: Path) -> None:
    folders = [train(base, 10), train(base, 50)]
    merged = merge(Merge(str(base.parent / "run"), PAIR, weights=(0.0, 1.0)))
    assert json.loads((merged / "adapter_config.json").read_text())["r"] == 4
    assert_exact(base, merged, (0.0, 1.0), folders)


@pytest.mark.parametrize("kind", ["lora", "an output layer trained whole", "dora"])
def test_wise_ft_of_an_adapter_is_part_of_its_change(base: Path, kind: str) -> None:
    folder = train(base, 50, **KINDS[kind][0])
    merged = merge(Merge(str(base.parent / "run"), (folder.name,), rule="wise_ft", knobs={"alpha": 0.25}))
    assert_exact(base, merged, (0.25,), [folder])


def test_the_base_as_a_source_contributes_a_zero_change(base: Path) -> None:
    folder = train(base, 50, modules_to_save=["lm_head"])
    merged = merge(Merge(str(base.parent / "run"), (folder.name, "base"), weights=(0.75, 0.25)))
    assert not (merged / "config.json").exists()
    assert_exact(base, merged, (0.75,), [folder])


@pytest.mark.parametrize(
    "options", [{"bias": "lora_only", "target_modules": ["q_proj"]}, {"trainable_token_indices": [3, 7]}]
)
def test_the_base_as_a_source_counts_in_biases_and_rows_that_were_trained_too(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    base = tmp_path / "base"
    base_model(attention_bias=True).save_pretrained(base)
    folder = train(base, 50, **options)
    merged = merge(Merge(str(tmp_path / "run"), (folder.name, "base"), weights=(0.75, 0.25)))
    assert_exact(base, merged, (0.75,), [folder])


HEAD = "base_model.model.lm_head.weight"


def test_the_base_as_a_source_counts_in_an_output_layer_that_it_ties_to_its_embedding(tmp_path: Path) -> None:
    base = tmp_path / "base"
    random_llama(0, tie_word_embeddings=True).save_pretrained(base)
    folder = train(base, 50, modules_to_save=["lm_head"])
    merged = merge(Merge(str(tmp_path / "run"), (folder.name, "base"), weights=(0.75, 0.25)))
    trained = load_file(folder / "adapter_model.safetensors")[HEAD]
    embedding = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    torch.testing.assert_close(
        load_file(merged / "adapter_model.safetensors")[HEAD], 0.75 * trained + 0.25 * embedding, rtol=0, atol=1e-6
    )


def test_tokens_that_the_base_lacks_are_refused_if_the_base_is_a_source(base: Path) -> None:
    folder = train(base, 50, modules_to_save=["lm_head"])
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors[HEAD] = torch.cat([tensors[HEAD], tensors[HEAD][:2]])  # [vocab hidden] -> [vocab + 2, hidden]
    save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(BadRequest, match="added in training"):
        merge(Merge(str(base.parent / "run"), (folder.name, "base"), weights=(0.75, 0.25)))


def test_task_arithmetic_on_adapters_scales_the_summed_change(base: Path) -> None:
    folders = [train(base, 10), train(base, 50)]
    config = Merge(str(base.parent / "run"), PAIR, rule="task_arithmetic", weights=(1.0, 1.0), knobs={"scale": 0.7})
    assert_exact(base, merge(config), (0.7, 0.7), folders)


def test_trained_token_rows_are_averaged(base: Path) -> None:
    folders = [train(base, step, trainable_token_indices=[3, 7]) for step in (10, 50)]
    assert_exact(base, merge(Merge(str(base.parent / "run"), PAIR)), (0.5, 0.5), folders)


def test_find_checkpoints_lists_the_merged_adapter_and_its_base(base: Path) -> None:
    train(base, 10), train(base, 50)
    merged = merge(Merge(str(base.parent / "run"), PAIR))
    checkpoints = {ref.checkpoint.name: ref for ref in find_checkpoints(base.parent / "run")}
    assert checkpoints[merged.name].is_adapter
    assert checkpoints["base"].path == str(base)
    assert sorted(p.name for p in merged.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "overmem-merge.json",
    ]


@pytest.mark.parametrize("rule", ["slerp", "ties", "dare", "model_stock"])
def test_rules_whose_result_is_not_an_adapter_are_refused_with_a_workaround(base: Path, rule: str) -> None:
    train(base, 10), train(base, 50)
    with pytest.raises(BadRequest, match=r"not a low-rank adapter.*merge_and_unload"):
        merge(Merge(str(base.parent / "run"), PAIR, rule=rule))


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}])
@pytest.mark.parametrize("init", ["pissa", "olora"])
@pytest.mark.parametrize(("ranks", "rank"), [((4, 4), 12), ((3, 5), 16)])
def test_initialisations_that_move_a_part_of_the_base_are_merged_exactly(
    base: Path, init: str, options: dict[str, Any], ranks: tuple[int, int], rank: int
) -> None:
    folders = [train(base, s, init_lora_weights=init, r=r, **options) for s, r in zip((10, 50), ranks, strict=True)]
    merged = merge(Merge(str(base.parent / "run"), PAIR, weights=(0.25, 0.75)))
    config = json.loads((merged / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["init_lora_weights"]) == (rank, rank, True)
    # PEFT moves float32 values as large as the base's weights, so the tolerance is larger.
    assert_exact(base, merged, (0.25, 0.75), folders, atol=1e-5)


def test_random_initialisations_are_refused_with_a_workaround(base: Path) -> None:
    for step in (10, 50):
        train(base, step, init_lora_weights="pissa_niter_4")
    with pytest.raises(BadRequest, match=r"'pissa_niter_4'.*path_initial_model_for_weight_conversion"):
        merge(Merge(str(base.parent / "run"), PAIR))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "type IA3"),
        ({"use_qalora": True}, "use_qalora"),
        ({"target_parameters": ["mlp.experts"]}, "target_parameters"),
        ({"base_model_name_or_path": "another"}, "differ in base_model_name_or_path: .*'another'"),
        ({"use_dora": True}, "differ in use_dora"),
    ],
)
def test_adapters_that_cannot_be_summed_are_refused_with_the_reason(base: Path, change: Any, message: str) -> None:
    train(base, 10)
    path = train(base, 50) / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadRequest, match=message):
        merge(Merge(str(base.parent / "run"), PAIR))
    assert not list((base.parent / "run").glob("*merged*"))


def test_adapters_of_other_layers_are_refused_by_name(base: Path) -> None:
    train(base, 10)
    train(base, 50, target_modules=["q_proj", "up_proj"])
    with pytest.raises(BadCheckpoint, match=r"checkpoint-50 lacks .*down_proj\.lora_A"):
        merge(Merge(str(base.parent / "run"), PAIR))


def test_an_adapter_and_full_weights_cannot_be_merged(base: Path) -> None:
    train(base, 10)
    shutil.copytree(base, base.parent / "run" / "checkpoint-50")
    with pytest.raises(BadRequest, match=r"adapters \(checkpoint-10\) and full weights"):
        merge(Merge(str(base.parent / "run"), PAIR))


def test_a_pickled_adapter_is_refused_with_the_way_to_convert_it(base: Path) -> None:
    train(base, 10)
    file = train(base, 50) / "adapter_model.safetensors"
    file.rename(file.with_name("adapter_model.bin"))
    with pytest.raises(BadCheckpoint, match=r"pickled.*adapter_model.bin"):
        merge(Merge(str(base.parent / "run"), PAIR))


def test_half_precision_adapters_are_summed_in_float32(base: Path) -> None:
    folders = [train(base, 10), train(base, 50)]
    for folder in folders:
        file = folder / "adapter_model.safetensors"
        save_file({k: t.bfloat16() for k, t in load_file(file).items()}, file)
    merged = merge(Merge(str(base.parent / "run"), PAIR, dtype="float32"))
    assert_exact(base, merged, (0.5, 0.5), folders)
    same = merge(Merge(str(base.parent / "run"), PAIR, name="merged-same"))
    assert {t.dtype for t in load_file(same / "adapter_model.safetensors").values()} == {torch.bfloat16}


def test_dora_factors_that_cancel_are_refused() -> None:
    up, down, weight = torch.ones(3, 1), torch.ones(1, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    with pytest.raises(BadRequest, match="cancel"):
        combined_dora(weight, [down], [up], [torch.zeros(3)], [1.0], [1.0])
