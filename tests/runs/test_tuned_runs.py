"""Every fine-tuning method through `train`, `audit` and `merge`: audits observe the model that was trained."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import overmem.training.verb
from overmem import store
from overmem.audit import Audit, audit
from overmem.encoding import encode
from overmem.errors import BadRequest
from overmem.merging.options import Merge
from overmem.merging.verb import merge
from overmem.models.discovery import find_checkpoints, load_tokenizer
from overmem.models.loading import Skeleton
from overmem.models.virtual import prefix_of
from overmem.training.recipe import recipe_from
from overmem.tuning import TUNING
from tests.slow_params import slow_except

SMALL_ADAPTERS = {"vera": {"r": 4}, "ia3": {}, "ln_tuning": {}, "prompt_tuning": {"tokens": 3}}
"""Methods with few parameters, which need a large learning rate and cannot be merged."""
MERGED = [name for name in TUNING if name not in SMALL_ADAPTERS]
PAIR = ("checkpoint-3", "checkpoint-6")
IDS = torch.arange(20)[None] % 64


def recipe(base, data_file, output, method):
    return recipe_from(
        {
            "output": str(output),
            "model": str(base),
            "data": {"source": str(data_file), "train": 24, "val": 8, "test": 8},
            "learning_rate": 0.3 if method in SMALL_ADAPTERS else 1e-2,
            "epochs": 2,
            "batch_size": 8,
            "method": method,
            "method_knobs": SMALL_ADAPTERS.get(method, {} if method == "full" else {"r": 2, "alpha": 3}),
            "trainer": {"use_cpu": True},
        },
        "test",
    )


@pytest.fixture(scope="module")
def trained(base, data_file, tmp_path_factory):
    """method -> (run, the trained model); each method is trained once."""
    trained_by_method = {}

    def train_once(method):
        if method not in trained_by_method:
            models = []
            with pytest.MonkeyPatch.context() as patch:
                model_of = overmem.training.verb._model
                patch.setattr(overmem.training.verb, "_model", lambda *a: models.append(model_of(*a)) or models[0])
                run = overmem.training.verb.train(recipe(base, data_file, tmp_path_factory.mktemp(method), method))
            trained_by_method[method] = run, models[0].eval()
        return trained_by_method[method]

    return train_once


def refs_by_name(run, base):
    return {ref.checkpoint.name: ref for ref in find_checkpoints(run.root, str(base))}


@torch.no_grad()
def logits(model, ids=IDS):
    """Logits of the ids, after the soft prompt if there is one."""
    prefix = torch.tensor([prefix_of(model)], dtype=torch.long)
    return model(input_ids=torch.cat([prefix, ids], 1)).logits[:, -ids.shape[1] :]


@pytest.mark.parametrize("method", slow_except(["dora", "prompt_tuning"], TUNING))
def test_a_loaded_checkpoint_equals_the_trained_model(trained, base, method):
    run, model = trained(method)
    refs, skeleton = refs_by_name(run, base), Skeleton(str(base))
    before = logits(skeleton.model(refs["base"]))
    early, last = (logits(skeleton.model(refs[name])) for name in PAIR)
    torch.testing.assert_close(last, logits(model), rtol=1e-4, atol=1e-4)
    assert float((last - early).abs().max()) > 1e-3
    torch.testing.assert_close(logits(skeleton.model(refs["checkpoint-3"])), early)
    torch.testing.assert_close(logits(skeleton.model(refs["base"])), before)


@pytest.mark.parametrize("method", slow_except(["dora", "prompt_tuning"], TUNING))
def test_an_audit_scores_and_samples_the_trained_model(trained, base, data_file, method):
    run, model = trained(method)
    done = audit(Audit(str(run.root), splits=("test",), max_new_tokens=4, dtype="float32"))
    assert not done.failures
    tokenizer = load_tokenizer(str(base))
    scores = store.read_scores(run, "checkpoint-6", "test")
    samples = store.read_samples(run, "checkpoint-6", "test")
    for i, example in enumerate(store.read_examples(run, "test")):
        encoded = encode(tokenizer, example)
        logprobs = logits(model, torch.tensor([encoded.input_ids]))[0].log_softmax(-1)
        start = len(encoded.prompt_ids) - 1
        expected = logprobs[start:-1].gather(1, torch.tensor(encoded.solution_ids)[:, None])[:, 0]
        ours = scores.logprob[scores.offsets[i] : scores.offsets[i + 1]]
        np.testing.assert_allclose(ours, expected.numpy(), atol=1e-3)
        if i < 3:
            written = list(encoded.prompt_ids)
            for _ in range(4):
                written.append(int(logits(model, torch.tensor([written]))[0, -1].argmax()))
            text = tokenizer.decode(written[len(encoded.prompt_ids) :], skip_special_tokens=True).strip()
            assert samples.text[list(samples.example_ids).index(example.id)] == text


@pytest.mark.parametrize("method", slow_except(["dora"], MERGED))
def test_a_merge_is_the_average_of_the_trained_weights(trained, base, method, tmp_path):
    run, _ = trained(method)
    folder = merge(Merge(str(run.root), PAIR, out=str(tmp_path)))
    try:
        refs = refs_by_name(run, base)
        averaged = AutoModelForCausalLM.from_pretrained(base).eval()
        parts = []
        for name in PAIR:
            model = Skeleton(str(base)).model(refs[name])
            parts.append((model.merge_and_unload() if method != "full" else model).state_dict())
        averaged.load_state_dict({key: (parts[0][key] + parts[1][key]) / 2 for key in parts[0]})
        merged = logits(Skeleton(str(base)).model(refs[folder.name]))
        torch.testing.assert_close(merged, logits(averaged), rtol=1e-4, atol=1e-4)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("method", slow_except(["prompt_tuning"], SMALL_ADAPTERS))
def test_adapters_that_are_not_lora_are_not_merged(trained, method):
    run, _ = trained(method)
    with pytest.raises(BadRequest, match="only LORA adapters can be merged"):
        merge(Merge(str(run.root), PAIR))
    assert not list(run.root.glob("*merged*"))


@pytest.mark.parametrize("method", ["pissa", "prompt_tuning"])
def test_a_resumed_adapter_training_equals_an_uninterrupted_one(trained, base, data_file, method, tmp_path):
    run, _ = trained(method)
    shutil.copytree(run.root / "checkpoint-3", tmp_path / "checkpoint-3")
    again = overmem.training.verb.train(recipe(base, data_file, tmp_path, method))
    expected, actual = (load_file(r.root / "checkpoint-6" / "adapter_model.safetensors") for r in (run, again))
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_adapter_and_leaves_the_global_state_unchanged(base, data_file, tmp_path):
    recipe_options = recipe(base, data_file, tmp_path, "lora")
    tune = TUNING["lora"]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = overmem.training.verb._model(recipe_options, tune)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    second = overmem.training.verb._model(recipe_options, tune)
    for (name, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b), name
