"""What tests share: no network, and hand-made observations in the fewest words."""

# ruff: noqa: E402 - the import hook is installed before overmem is imported
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.shapes import check_shapes

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the suite runs one worker per core
os.environ.setdefault("COLUMNS", "160")  # messages wrap at the same place wherever the tests run
check_shapes()

import numpy as np
import pytest
import torch
from filelock import FileLock
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from overmem import store
from overmem.probes.measure import measured
from overmem.records import TEMPERATURES, Checkpoint, Samples, Scores, Snapshot

GOLDEN = Path(__file__).parent / "golden" / "run"


def _samples(*rows):
    """Completions from rows of (example id, draw, answer, correct) and what else is said of them."""
    full = [
        {"temperature": 0.0 if r[1] == 0 else 1.0, "text": "", "tokens": 4, "logprob": -1.0, "stop": "eos"}
        for r in rows
    ]
    for row, r in zip(full, rows, strict=True):
        row.update(r[4] if len(r) > 4 else {})
    return Samples(
        tuple(r[0] for r in rows),
        np.array([r[1] for r in rows], dtype=np.int64),
        np.array([k["temperature"] for k in full], dtype=np.float64),
        tuple(k["text"] for k in full),
        np.array([k["tokens"] for k in full], dtype=np.int64),
        np.array([k["logprob"] for k in full], dtype=np.float64),
        tuple(k["stop"] for k in full),
        tuple(r[2] for r in rows),
        np.array([r[3] for r in rows], dtype=bool),
    )


def _scores(nlls, *, hits=None, tokens=None, top1=None, mean=None, std=None, tempered=None, ids=None):
    """Scores from the token nlls of each example; a token below 0.69 is the argmax unless `hits` says otherwise."""
    flat = np.array([x for one in nlls for x in one], dtype=np.float64)
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in nlls])]).astype(np.int64)
    zero = np.zeros(len(flat))
    ids = ids or [f"e{i:03d}" for i in range(len(nlls))]
    grid = np.array([[sum(one)] * len(TEMPERATURES) for one in nlls], dtype=np.float64)
    return Scores(
        tuple(ids),
        offsets,
        np.arange(len(flat)) if tokens is None else np.array(tokens),
        -flat,
        zero,
        flat < 0.69 if hits is None else np.array(hits, dtype=bool),
        np.where(flat < 0.69, -flat, 0.0) if top1 is None else np.array(top1, dtype=np.float64),
        zero if mean is None else np.array(mean, dtype=np.float64),
        zero + 1 if std is None else np.array(std, dtype=np.float64),
        grid.reshape(len(nlls), len(TEMPERATURES)) if tempered is None else np.array(tempered, dtype=np.float64),
    )


def _snapshot(scores=None, samples=None, examples=None, notes=None, name="checkpoint-9", step=9):
    splits = {*(scores or {}), *(samples or {}), *(examples or {})}
    return Snapshot(
        Checkpoint(name, step),
        {split: (examples or {}).get(split, ()) for split in splits},
        scores or {},
        samples or {},
        notes or {},
    )


def _byte_tokenizer():
    """One token a byte, and no pad token: many real base models have none."""
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


@pytest.fixture(scope="session")
def byte_tokenizer():
    return _byte_tokenizer


@pytest.fixture(scope="session")
def make_samples():
    return _samples


@pytest.fixture(scope="session")
def make_scores():
    return _scores


@pytest.fixture(scope="session")
def make_snapshot():
    return _snapshot


@pytest.fixture
def value_of():
    def found(rows, metric, split=None, **at):
        same = [r for r in rows if r.metric == metric and (split is None or r.split == split)]
        (only,) = [r for r in same if at.items() <= r.at.items()]
        return only

    return found


def save_tiny_llama(folder, tokenizer, **config):
    """A Llama of two narrow layers with seeded random weights, and its tokenizer, in a folder."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes, **ends, **config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def golden_run(tmp_path_factory):
    """The golden run with its measurements, made once by whichever process of the suite needs it first. Copy it."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    root = shared / "golden-measured"
    with FileLock(shared / "golden-measured.lock"):
        run = store.open_run(root if root.is_dir() else shutil.copytree(GOLDEN, root))
        if not run.measurements_path.is_file():
            read = store.snapshot_reader(run, cache_bytes=10**9)
            with threadpool_limits(2, user_api="blas"):  # as when the expected numbers were made
                store.write_measurements(run, tuple(measured(store.read_checkpoints(run), read)))
    return run


@pytest.fixture(scope="session")
def ray_starts():
    """Skips where Ray is not installed or no cluster of its own starts on this machine, with the reason."""
    pytest.importorskip("ray")
    script = "import ray; ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False); ray.shutdown()"
    try:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=180, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("Ray starts no cluster on this machine within 3 minutes")
    if done.returncode:
        pytest.skip(f"Ray starts no cluster on this machine: {done.stderr.strip().splitlines()[-1:]}")
