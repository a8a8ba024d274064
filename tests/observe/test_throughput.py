import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from overmem.encoding import Encoded
from overmem.observe.engines.decoding import Decoding
from overmem.observe.plan import Split
from overmem.observe.throughput import Throughput
from overmem.observe.warmup import measure_throughput


def split(count, prompt=4, solution=6):
    rows = tuple(Encoded(str(i), tuple(range(5, 5 + prompt)), tuple(range(9, 9 + solution))) for i in range(count))
    return Split("val", (), rows, "")


def test_scoring_costs_by_the_token_and_completing_by_prompt_step_and_row():
    pace = Throughput(
        Decoding(max_new_tokens=20), 10**6, scored=1.0, prefill=10.0, step=100.0, row=1000.0, length=5.0, longest=8
    )
    assert pace.seconds(split(3), ("scores",)) == pytest.approx(3 * 10)
    assert pace.seconds(split(3), ("samples",)) == pytest.approx(10 * 3 * 4 + 100 * 8 + 1000 * 3 * 5)
    assert pace.most_seconds(split(3), ("samples",)) == pytest.approx(10 * 3 * 4 + 100 * 20 + 1000 * 3 * 20)
    both = pace.seconds(split(3), ("scores", "samples"))
    assert both == pytest.approx(3 * 10 + 100 * 8 + 1000 * 3 * 5)  # the prompts are read once
    assert pace.generated(split(3)) == 15


def test_rows_that_wait_for_a_place_take_more_steps():
    pace = Throughput(
        Decoding(max_new_tokens=20), 2 * 27, step=1.0, length=5.0, longest=8
    )  # room for two rows of 24 + 3
    assert pace.seconds(split(2), ("samples",)) == pytest.approx(8)
    assert pace.seconds(split(6), ("samples",)) == pytest.approx(8 + 5 * (6 / 2 - 1))


def test_a_warm_up_measures_all_of_it_and_counts_what_it_cut_short_as_long_as_it_may_be():
    class Tokenizer:
        eos_token_id = None

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            bos_token_id=None, eos_token_id=None,
        )  # fmt: skip
        model = LlamaForCausalLM(config).eval()
    how = {"token_budget": 4096, "seconds": 5.0}
    pace = measure_throughput(model, Tokenizer(), [split(12)], Decoding(draws=1, max_new_tokens=9), **how)
    assert min(pace.scored, pace.prefill, pace.step + pace.row, pace.spent) > 0
    assert (pace.length, pace.longest) == (9.0, 9)
    assert pace.memory > 2**20
    cut = measure_throughput(
        model, Tokenizer(), [split(12)], Decoding(max_new_tokens=999), token_budget=4096, seconds=0.0
    )
    assert cut.longest == 999
    assert 6 <= cut.length < 999
