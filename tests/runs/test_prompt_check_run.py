"""A run of TRL's SFTTrainer with evaluations, audited with the template that it was trained with and with another."""

from pathlib import Path

import pytest
from datasets import Dataset

from overmem import assets, store
from overmem.audit import Audit, audit
from overmem.diagnose import Diagnose, diagnose
from overmem.tasks import Data, load

DATA = Data("wordproblems", train=32, val=24, test=8)
TEMPLATE = "Question: {question}\nAnswer:"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    trl = pytest.importorskip("trl")
    root, base = tmp_path_factory.mktemp("run"), str(Path(assets.__file__).parent / "pebble")
    splits = load(DATA).splits

    def pairs(name):
        rows = [
            {"prompt": TEMPLATE.replace("{question}", e.question), "completion": f" {e.solution}"} for e in splits[name]
        ]
        return Dataset.from_list(rows)

    trl.SFTTrainer(
        model=base,
        args=trl.SFTConfig(
            str(root), max_steps=4, save_steps=2, eval_strategy="steps", eval_steps=2, per_device_train_batch_size=8,
            per_device_eval_batch_size=24, report_to="none", disable_tqdm=True, learning_rate=1e-4, use_cpu=True,
            bf16=False,
        ),
        train_dataset=pairs("train"),
        eval_dataset=pairs("val"),
    ).train()  # fmt: skip
    source = root / "data.yaml"
    store.write_text(source, "source: wordproblems\ntrain: 32\nval: 24\ntest: 8\n")
    return root, source, base


def judged(trained, out, template):
    root, source, base = trained
    config = Audit(
        str(root), out=str(out), data=str(source), base=base, template=template, splits=("val",), max_new_tokens=8
    )
    audit(config)
    return diagnose(Diagnose(str(root), out=str(out), save=False))


def test_the_right_template_agrees_with_the_logged_loss_on_the_trainers_own_rows(trained, tmp_path):
    verdict = judged(trained, tmp_path / "right", TEMPLATE)
    assert not verdict.warnings[0].startswith("At checkpoint-")
    (said,) = [s for s in verdict.sentences if "read as it was trained" in s]
    assert "as many rows, so they are probably the same" in said


def test_a_wrong_template_is_the_first_warning_with_an_example_token_by_token(trained, tmp_path):
    verdict = judged(trained, tmp_path / "wrong", "### {question} =>")
    first = verdict.warnings[0]
    assert first.startswith("At checkpoint-")
    assert "not read as it was trained" in first
    shown = store.read_shown(store.open_run(trained[0], tmp_path / "wrong"))
    assert "".join(shown.prompt).endswith(" =>")
    assert "|".join(shown.scored).replace("\n", "\\n") in first
