"""Adapters that were trained on a base of 4 bits are audited on it: what is measured is what was trained.

Needs bitsandbytes, which computes on a CPU too: pip install bitsandbytes.
"""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from overmem import store
from overmem.audit import Audit, audit

pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, byte_tokenizer):
    """A full base, the same in 4 bits, and an adapter trained on the latter for some steps by plain PEFT."""
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    root, tokenizer = tmp_path_factory.mktemp("qlora"), byte_tokenizer()
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), **sizes, eos_token_id=tokenizer.eos_token_id, bos_token_id=None)
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(root / "base")
    four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(root / "base", quantization_config=four_bits, device_map="cpu")
    model.save_pretrained(root / "base-4bit")
    for folder in ("base", "base-4bit"):
        tokenizer.save_pretrained(root / folder)
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(prepare_model_for_kbit_training(model, use_gradient_checkpointing=False), lora)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 3e-2)
    ids = torch.randint(0, 200, (4, 20))
    for step in range(1, 7):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 3 == 0:
            model.save_pretrained(root / "run" / f"checkpoint-{step}")
    rows = [{"question": f"What is {a} plus 1?", "solution": f"{a + 1}\n#### {a + 1}"} for a in range(20)]
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def nll_sums(model, tokenizer, examples):
    """By example: the nll of its solution and the end token, by the logits of a plain model."""
    sums = {}
    for e in examples:
        prompt = tokenizer(f"Question: {e.question}\nAnswer:", add_special_tokens=False).input_ids
        solution = [*tokenizer(f" {e.solution}", add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        with torch.no_grad():
            logprobs = model(input_ids=torch.tensor([prompt + solution])).logits[0].float().log_softmax(-1)
        sums[e.id] = -sum(float(logprobs[len(prompt) - 1 + i, token]) for i, token in enumerate(solution))
    return sums


def test_scores_are_those_of_the_adapter_on_the_quantized_base(trained, byte_tokenizer):
    from peft import PeftModel

    found = {}
    for base in ("base-4bit", "base"):
        config = Audit(
            str(trained / "run"), str(trained / "rows.jsonl"), str(trained / base), rows=8, max_new_tokens=4,
            splits=("val",), out=str(trained / f"out-{base}"),
        )  # fmt: skip
        run = audit(config).run
        scores = store.read_scores(run, "checkpoint-6", "val")
        found[base] = dict(zip(scores.example_ids, scores.nll_sums, strict=True))
        examples = store.read_examples(run, "val")
    quantized = AutoModelForCausalLM.from_pretrained(trained / "base-4bit", device_map="cpu", dtype=torch.float32)
    plain = PeftModel.from_pretrained(quantized, trained / "run" / "checkpoint-6").eval()
    expected = nll_sums(plain, byte_tokenizer(), examples)
    assert found["base-4bit"].keys() == expected.keys()
    values = np.array([found["base-4bit"][name] for name in expected])
    # On a CPU bitsandbytes has two kernels, in float32 and in bfloat16, which differ by 4e-4 here.
    np.testing.assert_allclose(values, list(expected.values()), rtol=1e-3)
    full = np.array([found["base"][name] for name in expected])
    assert np.abs(full / values - 1).max() > 2e-3  # on the full base it is another model
