"""A run whose folder tells how it was trained is audited without a word more, and says what it took from there."""

import json
import shutil

import pytest

from overmem import store
from overmem.audit import Audit, audit
from tests.foreign.conftest import CHATML, conversation

pytestmark = pytest.mark.slow
DROPS = CHATML.replace("m.content + '<|im_end|>'", "m.content.split('</think>')[-1] + '<|im_end|>'")
THINKING = [
    {
        "messages": [
            {"role": "user", "content": f"What is {a} plus 1?"},
            {"role": "assistant", "content": f"<think>\n{a} and 1.\n</think>\n\n{a} + 1 = {a + 1}\n#### {a + 1}"},
        ]
    }
    for a in range(20)
]


def run_of(base, rows, arguments, tokenizer, root):
    """A run as LLaMA-Factory leaves it: the base's weights as its only checkpoint."""
    shutil.copytree(base, root / "checkpoint-2")
    tokenizer.save_pretrained(root / "checkpoint-2")
    (root / "rows.json").write_text(json.dumps(rows))
    (root / "dataset_info.json").write_text(json.dumps({"sums": {"file_name": "rows.json"}}))
    (root / "training_args.yaml").write_text(f"template: qwen\ndataset: sums\ndataset_dir: {root}\n{arguments}")
    return root


def test_the_folder_alone_suffices_and_every_default_is_told(chat_base, chat_tokenizer, tmp_path):
    rows = [{"messages": conversation(a, b, rounds=2)} for a in range(4) for b in range(4)]
    root = run_of(chat_base, rows, "", chat_tokenizer(), tmp_path)
    lines = []
    done = audit(Audit(str(root), base=str(chat_base), splits=("train",), max_new_tokens=8), say=lines.append)
    said = "\n".join(lines)
    assert "trained by LLaMA-Factory (training_args.yaml), data" in said
    assert "replies: each, as LLaMA-Factory trained them" in said
    examples = store.read_examples(done.run, "train")
    assert {e.question.partition("?")[2] for e in examples} == {""}
    assert any('"assistant"' in e.context for e in examples)


@pytest.mark.parametrize("arguments", [True, False], ids=["LLaMA-Factory", "unknown trainer"])
def test_a_thought_that_the_template_drops_is_scored_where_it_was_trained(
    chat_base, chat_tokenizer, tmp_path, arguments
):
    tokenizer = chat_tokenizer(DROPS)
    root = run_of(chat_base, THINKING, "", tokenizer, tmp_path)
    if not arguments:
        (root / "training_args.yaml").unlink()
    lines = []
    config = Audit(str(root), str(root / "rows.json"), str(chat_base), splits=("train",), max_new_tokens=8,
                   tokenizer=str(root / "checkpoint-2"))  # fmt: skip
    done = audit(config, say=lines.append)
    scores = store.read_scores(done.run, "checkpoint-2", "train")
    text = tokenizer.decode(scores.token_id[: scores.offsets[1]].tolist())
    assert text.startswith("<think>") == arguments
    assert text.endswith("<|im_end|>")
    said = "\n".join(lines)
    assert ("replies are scored literally" in said) == arguments
    assert ("give --template '{chat}{solution}'" in said) != arguments
