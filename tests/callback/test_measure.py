"""One measurement: within its limits of time and memory, independent of the batches, and without side effects."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForCausalLM

from overmem.callback import measure
from overmem.callback.config import config_of, load_examples
from overmem.callback.evaluation_set import encode_evaluation_set
from overmem.callback.measure import log_metrics, measure_model, preserve_model_state
from overmem.callback.memory import memory_bound
from overmem.grading import grade
from overmem.models.discovery import base_path, load_tokenizer
from overmem.observe.completions import complete
from overmem.observe.engines.decoding import EngineSettings
from overmem.observe.engines.hf import HuggingFace
from overmem.observe.score import scores
from overmem.tasks import Data

DATA = Data("wordproblems", train=24, val=24, test=8)


@pytest.fixture(scope="module")
def pebble():
    return AutoModelForCausalLM.from_pretrained(base_path("pebble"))


def make_evaluation(model, **more):
    config = config_of({"data": DATA, "rows": 24, "side_rows": 12, "answers": True} | more)
    return config, encode_evaluation_set(config, load_examples(config.data), model, load_tokenizer("pebble"))


def test_it_equals_what_an_audit_observes_of_the_same_split(pebble):
    config, evaluation = make_evaluation(pebble)
    with preserve_model_state(pebble):
        result = measure_model(pebble, config, evaluation, token_budget=300)
        for name, split in evaluation.splits.items():
            expected = scores(pebble, split.encoded, token_budget=10**6)
            assert result.scores[name].example_ids == expected.example_ids
            assert (result.scores[name].offsets == expected.offsets).all()
            assert np.allclose(result.scores[name].logprob, expected.logprob, atol=1e-4)
            assert (result.scores[name].token_id == expected.token_id).all()
        expected = complete(
            HuggingFace(EngineSettings(token_budget=10**6), pebble),
            pebble,
            evaluation.tokenizer,
            evaluation.splits["val"],
            evaluation.decoding,
        )
        assert result.samples["val"].text == expected.text
        assert (result.samples["val"].correct == grade(expected, evaluation.splits["val"].examples).correct).all()
    assert result.notes == ()
    assert list(result.samples) == ["val"]


def test_at_the_time_limit_the_first_examples_are_reported_with_their_n(pebble, monkeypatch):
    config, evaluation = make_evaluation(pebble, seconds=1.5)
    done = []

    def counted_complete(*args, **kwargs):
        result = complete(*args, **kwargs)
        done.append(result)
        return result

    monkeypatch.setattr(measure, "complete", counted_complete)
    with preserve_model_state(pebble):
        part = measure_model(pebble, config, evaluation, token_budget=500, clock=lambda: float(len(done)))
        monkeypatch.undo()
        expected = measure_model(pebble, replace(config, seconds=1e6), evaluation, token_budget=500)
    measured_ids = part.samples["val"].example_ids
    assert measured_ids == done[0].example_ids + done[1].example_ids
    assert len(measured_ids) < 24
    assert measured_ids == expected.samples["val"].example_ids[: len(measured_ids)]
    assert part.notes == (f"val answers: {len(measured_ids)} of 24 examples, then the time limit was reached",)
    assert log_metrics(part.scores, part.samples)["eval_overmem_val_accuracy_n"] == len(measured_ids)


def test_the_time_limit_also_holds_within_a_completion(pebble):
    config, evaluation = make_evaluation(pebble, seconds=1.0)
    calls = []

    def clock():
        calls.append(1)
        return 0.0 if len(calls) < 10 else 2.0

    with preserve_model_state(pebble):
        part = measure_model(pebble, config, evaluation, token_budget=10**6, clock=clock)
    assert part.samples == {}
    assert part.notes == ("val answers: 0 of 24 examples, then the time limit was reached",)
    assert len(calls) < 15


def test_the_token_budget_is_halved_permanently_when_a_batch_does_not_fit(pebble, monkeypatch):
    config, evaluation = make_evaluation(pebble, answers=False)
    sizes = []

    def small_device(model, batch, **more):
        sizes.append(len(batch))
        if len(batch) > 4:
            raise torch.OutOfMemoryError
        return scores(model, batch, **more)

    monkeypatch.setattr(measure, "scores", small_device)
    with preserve_model_state(pebble):
        result = measure_model(pebble, config, evaluation, token_budget=10**6)
        sizes.clear()
        again = measure_model(pebble, config, evaluation, token_budget=result.token_budget)
    assert len(result.scores["val"].example_ids) == 24
    assert any("rows did not fit the device" in note for note in result.notes)
    assert again.notes == ()
    assert max(sizes) <= 4


def test_a_single_row_that_does_not_fit_gives_no_number_and_a_reason(pebble, monkeypatch):
    config, evaluation = make_evaluation(pebble, answers=False)

    def no_device(model, batch, **more):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(measure, "scores", no_device)
    with preserve_model_state(pebble):
        result = measure_model(pebble, config, evaluation, token_budget=10**6)
    assert result.scores == {}
    assert log_metrics(result.scores, result.samples) == {}
    assert result.notes[-1] == "train nll: 0 of 12 examples, then a single one did not fit the device"


def test_model_modes_and_random_states_are_restored_even_after_an_error(pebble):
    pebble.train()
    pebble.model.layers[1].train(False)  # as a script does with layers that it freezes
    modes = [module.training for module in pebble.modules()]
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state()

    def broken():
        with preserve_model_state(pebble):
            assert not any(module.training for module in pebble.modules())
            random.random(), np.random.rand(), torch.rand(1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert [module.training for module in pebble.modules()] == modes
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.random.get_rng_state(), states[2])


def peak_of(work):
    """Peak bytes of tensors while `work` runs, as the profiler reports them."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events, queue = [], list(profiler.profiler.kineto_results.experimental_event_tree())
    while queue:
        event = queue.pop()
        queue += event.children
        if event.typed[0] == _EventType.Allocation:
            events.append((event.start_time_ns, event.typed[1].alloc_size))
    return int(np.cumsum([size for _, size in sorted(events)]).max())


@pytest.mark.parametrize("token_budget", [200, 2000])
@pytest.mark.parametrize("answers", [False, True])
def test_the_peak_memory_stays_below_the_stated_bound(pebble, token_budget, answers):
    config, evaluation = make_evaluation(pebble, answers=answers, token_budget=token_budget, max_new_tokens=24)
    with preserve_model_state(pebble):
        peak = peak_of(lambda: measure_model(pebble, config, evaluation, token_budget=token_budget))
    assert memory_bound(config, evaluation, pebble) / 5 < peak <= memory_bound(config, evaluation, pebble)
