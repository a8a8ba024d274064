"""`merge` from checkpoint folders to a merged folder, which transformers loads."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from overmem.errors import BadRequest
from overmem.merging.options import Merge
from overmem.merging.verb import merge
from overmem.models.discovery import find_checkpoints
from overmem.records import SCHEMA, Choice, Estimate, Verdict
from overmem.rules import NEEDS_BASE, RULES
from overmem.store import open_run, write_verdict


def tiny_llama(seed: int, *, tied: bool = False, dtype: torch.dtype = torch.float32, **more: Any) -> LlamaForCausalLM:
    """A tiny Llama with random weights."""
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 64, **more}
    config = LlamaConfig(num_attention_heads=4, tie_word_embeddings=tied, max_position_embeddings=32, **sizes)
    model = LlamaForCausalLM(config).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two checkpoints of full weights, next to its base model."""
    root = tmp_path / "run"
    tiny_llama(0).save_pretrained(tmp_path / "base")
    for seed, step in ((1, 10), (2, 50)):
        folder = root / f"checkpoint-{step}"
        tiny_llama(seed).save_pretrained(folder)
        (folder / "tokenizer.json").write_text(json.dumps({"step": step}))
        (folder / "optimizer.pt").write_bytes(b"pickle")
        (folder / "training_args.bin").write_bytes(b"pickle")
        (folder / "trainer_state.json").write_text(json.dumps({"epoch": step / 10, "log_history": []}))
    return root


PAIR = ("checkpoint-10", "checkpoint-50")


def weights(folder: Path) -> dict[str, Tensor]:
    return {name: t for file in sorted(folder.glob("*.safetensors")) for name, t in load_file(file).items()}


def merge_pair(root: Path, **options: Any) -> Path:
    return merge(Merge(str(root), **{"checkpoints": PAIR, **options}))


def test_a_merged_pair_is_the_mean_of_its_two_checkpoints(run: Path) -> None:
    path = merge_pair(run)
    assert path == run / "merged-linear-10-50"
    early, late, merged = (weights(run / name) for name in (*PAIR, path.name))
    assert merged.keys() == early.keys()
    for name, tensor in merged.items():
        torch.testing.assert_close(tensor, (early[name] + late[name]) / 2, rtol=0, atol=1e-7)


def test_the_merged_folder_loads_as_the_averaged_model(run: Path) -> None:
    merged = AutoModelForCausalLM.from_pretrained(merge_pair(run, weights=(0.25, 0.75)))
    expected = tiny_llama(1)
    with torch.no_grad():
        for ours, theirs in zip(expected.parameters(), tiny_llama(2).parameters(), strict=True):
            ours.mul_(0.25).add_(theirs, alpha=0.75)
    ids = torch.arange(12)[None]
    torch.testing.assert_close(merged(ids).logits, expected(ids).logits, rtol=0, atol=1e-5)


def test_the_merged_folder_holds_the_last_tokenizer_and_no_optimizer_state(run: Path) -> None:
    path = merge_pair(run)
    assert sorted(p.name for p in path.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "overmem-merge.json",
        "tokenizer.json",
    ]
    assert json.loads((path / "tokenizer.json").read_text()) == {"step": 50}


def test_progress_ends_at_the_total_number_of_bytes(run: Path) -> None:
    reports: list[tuple[float, float]] = []
    merge(Merge(str(run), PAIR), progress=lambda what, done, total: reports.append((done, total)))
    assert reports == sorted(reports)
    assert reports[-1][0] == reports[-1][1] == sum(t.nbytes for t in weights(run / PAIR[0]).values())


def test_an_audit_finds_the_merge_and_its_sources(run: Path) -> None:
    merge_pair(run)
    result = {ref.checkpoint.name: ref.checkpoint for ref in find_checkpoints(run)}
    assert result["merged-linear-10-50"].merged_from == PAIR
    assert result["merged-linear-10-50"].step == 50
    note = json.loads((run / "merged-linear-10-50" / "overmem-merge.json").read_text())
    assert [(s["name"], s["step"]) for s in note["sources"]] == [("checkpoint-10", 10), ("checkpoint-50", 50)]
    assert (note["schema"], note["rule"], note["weights"], note["knobs"]) == (SCHEMA, "linear", [0.5, 0.5], {})


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_merges_copies_of_a_checkpoint_into_that_checkpoint(run: Path, tmp_path: Path, rule: str) -> None:
    shutil.rmtree(run / "checkpoint-50")
    shutil.copytree(run / "checkpoint-10", run / "checkpoint-50")
    neutral = {"wise_ft": {"alpha": 1.0}, "ties": {"density": 1.0}, "dare": {"drop": 0.0}}.get(rule, {})
    path = merge_pair(run, rule=rule, knobs=neutral, base=str(tmp_path / "base"))
    for name, tensor in weights(run / "checkpoint-10").items():
        torch.testing.assert_close(weights(path)[name], tensor, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rule", sorted(NEEDS_BASE))
def test_a_rule_without_the_base_that_it_needs_is_refused_before_anything_is_written(run: Path, rule: str) -> None:
    with pytest.raises(BadRequest, match="--base"):
        merge_pair(run, rule=rule)
    assert not list(run.glob(".merged*")) + list(run.glob("merged*"))


def test_the_base_can_be_a_source(run: Path, tmp_path: Path) -> None:
    base = str(tmp_path / "base")
    path = merge_pair(run, checkpoints=("base", "checkpoint-50"), weights=(0.75, 0.25), base=base)
    interpolated = merge_pair(run, checkpoints=("checkpoint-50",), rule="wise_ft", knobs={"alpha": 0.25}, base=base)
    assert path.name == "merged-linear-0-50"
    for name, tensor in weights(path).items():
        torch.testing.assert_close(tensor, weights(interpolated)[name], rtol=0, atol=1e-7)


def test_dare_drops_differently_in_every_parameter(run: Path, tmp_path: Path) -> None:
    path = merge_pair(run, checkpoints=("checkpoint-50",), rule="dare", base=str(tmp_path / "base"))
    base, merged = weights(tmp_path / "base"), weights(path)
    masks = [
        merged[f"model.layers.{i}.mlp.up_proj.weight"] == base[f"model.layers.{i}.mlp.up_proj.weight"] for i in (0, 1)
    ]
    assert 0.4 < float(masks[0].float().mean()) < 0.6
    assert not torch.equal(*masks)


def test_a_user_defined_rule_receives_the_base_and_its_knobs(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_rules.py").write_text(
        "def furthest(tensors, base, *, share=1.0):\n"
        "    return base + share * max((t - base for t in tensors), key=lambda d: float(d.norm()))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = merge_pair(run, rule="my_rules:furthest", knobs={"share": 0.5}, base=str(tmp_path / "base"))
    assert path.name == "merged-my_rules.furthest-10-50"
    base, sides = weights(tmp_path / "base"), [weights(run / name) for name in PAIR]
    for name, tensor in weights(path).items():
        furthest = max((side[name] - base[name] for side in sides), key=lambda change: float(change.norm()))
        torch.testing.assert_close(tensor, base[name] + 0.5 * furthest)


def test_sums_are_computed_in_float32_and_cast_to_the_type_of_the_source(run: Path) -> None:
    for seed, step in ((1, 10), (2, 50), (3, 60)):
        tiny_llama(seed, dtype=torch.bfloat16).save_pretrained(run / f"checkpoint-{step}")
    path = merge_pair(run, checkpoints=(*PAIR, "checkpoint-60"), weights=(0.25, 0.25, 0.5))
    parts = [weights(run / f"checkpoint-{step}") for step in (10, 50, 60)]
    for name, tensor in weights(path).items():
        assert tensor.dtype == torch.bfloat16
        exact = sum(w * part[name].double() for w, part in zip((0.25, 0.25, 0.5), parts, strict=True))
        torch.testing.assert_close(tensor, exact.float().to(torch.bfloat16), rtol=0, atol=0)


def test_another_dtype_is_written_to_the_weights_and_the_configuration(run: Path) -> None:
    path = merge_pair(run, dtype="bfloat16")
    assert {t.dtype for t in weights(path).values()} == {torch.bfloat16}
    assert AutoModelForCausalLM.from_pretrained(path).dtype == torch.bfloat16


def test_buffers_that_are_not_floating_point_are_copied(run: Path) -> None:
    for step in (10, 50):
        file = run / f"checkpoint-{step}" / "model.safetensors"
        save_file({**load_file(file), "counts": torch.tensor([step, 2, 3]), "flag": torch.tensor(True)}, file)
    merged = weights(merge_pair(run))
    assert merged["counts"].tolist() == [50, 2, 3]
    assert bool(merged["flag"])


def test_a_tied_model_stays_tied_even_if_one_file_holds_the_copy(run: Path) -> None:
    for seed, step in ((1, 10), (2, 50)):
        tiny_llama(seed, tied=True).save_pretrained(run / f"checkpoint-{step}")
    file = run / "checkpoint-50" / "model.safetensors"
    tensors = load_file(file)
    assert "lm_head.weight" not in tensors
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, file, {"format": "pt"})
    path = merge_pair(run)
    assert "lm_head.weight" not in weights(path)
    model = AutoModelForCausalLM.from_pretrained(path)
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


def test_sharded_sources_and_results_hold_the_same_weights(run: Path) -> None:
    neutral = weights(merge_pair(run))
    tiny_llama(1).save_pretrained(run / "checkpoint-10", max_shard_size="20KB")
    (run / "checkpoint-10" / "model.safetensors").unlink(missing_ok=True)
    path = merge_pair(run, name="merged-in-shards", shard_bytes=20_000)
    files = sorted(path.glob("*.safetensors"))
    assert len(files) > 2
    index = json.loads((path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {file.name for file in files}
    assert all(torch.equal(neutral[name], tensor) for name, tensor in weights(path).items())
    logits = [
        AutoModelForCausalLM.from_pretrained(p)(torch.arange(9)[None]).logits
        for p in (path, run / "merged-linear-10-50")
    ]
    assert torch.equal(*logits)


def test_an_existing_merge_of_the_same_recipe_is_not_written_again(run: Path) -> None:
    path = merge_pair(run)
    file = path / "model.safetensors"
    before = (file.stat().st_mtime_ns, file.stat().st_ino)
    assert merge_pair(run, weights=(0.5, 0.5)) == path
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_another_merge_of_the_same_name_is_refused_and_the_existing_one_kept(run: Path) -> None:
    path = merge_pair(run)
    before = (path / "model.safetensors").read_bytes()
    with pytest.raises(BadRequest, match=r"weights is \[0.5, 0.5\] there, \[0.2, 0.8\] here.*--name"):
        merge_pair(run, weights=(0.2, 0.8))
    tiny_llama(9).save_pretrained(run / "checkpoint-50")
    with pytest.raises(BadRequest, match="sources is"):
        merge_pair(run)
    assert (path / "model.safetensors").read_bytes() == before


def test_a_folder_that_is_no_merge_is_not_overwritten(run: Path) -> None:
    (run / "merged-mine").mkdir()
    (run / "merged-mine" / "precious.txt").write_text("kept")
    with pytest.raises(BadRequest, match="not written by overmem merge"):
        merge_pair(run, name="merged-mine")
    assert (run / "merged-mine" / "precious.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checkpoints": ("checkpoint-11", "checkpoint-50")}, "checkpoint-11.*allowed: checkpoint-10, checkpoint-50"),
        ({"rule": "average"}, "unknown rule 'average'.*linear"),
        ({"knobs": {"density": 0.5}}, "knob 'density'"),
        ({"rule": "model_stock", "weights": (0.5, 0.5)}, "knob 'weights'"),
        ({"weights": (1.0,)}, "1 weights for 2 checkpoints"),
        ({"weights": (1.0, 1.0)}, "sum to 1"),
        ({"name": "mine"}, "starts with merged-"),
        ({"name": "merged-../../x"}, "starts with merged-"),
        ({"rule": "slerp", "checkpoints": ("checkpoint-10",)}, "two checkpoints; got 1"),
        ({"checkpoints": ("checkpoint-10", "checkpoint-10")}, "twice"),
    ],
)
def test_a_bad_request_is_refused_and_writes_nothing(run: Path, options: dict[str, Any], message: str) -> None:
    before = sorted(p.name for p in run.iterdir())
    with pytest.raises(BadRequest, match=message):
        merge_pair(run, **options)
    assert sorted(p.name for p in run.iterdir()) == before


def test_a_run_that_is_not_there_is_a_bad_request(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no run at"):
        merge(Merge(str(tmp_path / "nowhere")))


def test_by_default_the_recommended_checkpoint_and_the_last_are_merged(run: Path) -> None:
    tiny_llama(3).save_pretrained(run / "checkpoint-30")
    with pytest.raises(BadRequest, match=r"checkpoint-10, checkpoint-30, checkpoint-50.*overmem diagnose"):
        merge(Merge(str(run)))
    none = Estimate(None)
    for name, pair in (("checkpoint-30", True), ("checkpoint-50", False)):
        choice = Choice("bounded", name, none, none, none)
        write_verdict(open_run(run), Verdict("healthy", "", (), (), None, None, choice, ()))
        if pair:
            assert merge(Merge(str(run))).name == "merged-linear-30-50"
        else:
            with pytest.raises(
                BadRequest, match="best checkpoint of the run is checkpoint-50 and the last is checkpoint-50: no pair"
            ):
                merge(Merge(str(run)))
