"""Every decoder of transformers that a tiny configuration builds: scores and greedy completions equal transformers'.

In float32, with random weights. A handful is in the default suite; the slow one goes through all of them.
"""

import json

import pytest

from overmem.audit import Audit, audit
from overmem.encoding import Encoded
from overmem.errors import BadRequest
from overmem.models.auto import is_known
from overmem.models.discovery import find_checkpoints
from overmem.models.loading import Skeleton
from overmem.models.supported import UNSUPPORTED
from overmem.observe.engines.decoding import Decoding, PromptBatch
from overmem.observe.engines.hf import completions
from overmem.observe.score import scores
from tests.foreign.conftest import EOS, LONGEST, generated, plain_logprobs
from tests.foreign.decoders import FINE_TUNED, model_types, tiny

PROMPTS = [[5, 6, 7, 8, 9], [11, 12, 13], [20, 21, 22, 23, 24, 25, 26]]


def compare(model):
    """Raise where a score or a completion differs."""
    ids = tuple(range(3, 20))
    scored = scores(model, [Encoded("a", ids[:5], ids[5:]), Encoded("b", ids[:2], ids[2:9])], token_budget=256)
    expected = [*plain_logprobs(model, ids)[4:].tolist(), *plain_logprobs(model, ids[:9])[1:].tolist()]
    assert scored.logprob == pytest.approx(expected, abs=1e-4)
    batch = PromptBatch(PROMPTS, ["a", "b", "c"], Decoding(max_new_tokens=LONGEST), (EOS,))
    completed = {c.prompt: c.token_ids for c in completions(model, batch, token_budget=256)}
    assert [completed[i] for i in range(len(PROMPTS))] == [generated(model, p) for p in PROMPTS]


@pytest.mark.parametrize(
    "model_type", ["gemma3_text", "llama4_text", "mamba2", "mixtral", "modernbert-decoder", "qwen3"]
)
def test_a_handful(model_type):
    compare(tiny(model_type))


def test_a_vision_language_checkpoint_is_scored_on_text_alone(tmp_path):
    for step, seed in ((1, 1), (2, 2)):
        tiny("qwen2_vl", seed).save_pretrained(tmp_path / f"checkpoint-{step}")
    skeleton, ids = Skeleton(None), tuple(range(3, 20))
    for ref in find_checkpoints(tmp_path):
        scored = scores(skeleton.model(ref), [Encoded("a", ids[:5], ids[5:])], token_budget=256)
        expected = plain_logprobs(tiny("qwen2_vl", ref.checkpoint.step), ids)[4:]
        assert scored.logprob == pytest.approx(expected.numpy(), abs=1e-4)


@pytest.mark.slow
def test_every_decoder_that_can_be_built_so_small():
    compared, unbuilt, wrong = [], {}, {}
    for model_type in model_types():
        try:
            model = tiny(model_type)
            generated(model, PROMPTS[0])
        except Exception as error:  # transformers itself does not run it in this size
            unbuilt[model_type] = f"{type(error).__name__}: {error}"
            continue
        try:
            compare(model)
            compared.append(model_type)
        except Exception as error:
            wrong[model_type] = f"{type(error).__name__}: {str(error)[:200]}"
    assert wrong == {}
    assert set(compared) >= FINE_TUNED, {name: unbuilt.get(name) for name in FINE_TUNED - set(compared)}
    assert len(compared) >= 120, unbuilt


@pytest.mark.parametrize("model_type", ["rwkv", "xlstm", "t5", "wav2vec2", "chatglm"])
def test_what_cannot_be_had_is_refused_by_name_before_work_begins(tmp_path, model_type):
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    content = {"model_type": model_type, **({"is_encoder_decoder": True} if model_type == "t5" else {})}
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadRequest, match=f"type {model_type}, which cannot be audited"):
        audit(Audit(str(tmp_path), "wordproblems"))
    assert model_type in UNSUPPORTED or model_type == "t5" or not is_known(model_type)
