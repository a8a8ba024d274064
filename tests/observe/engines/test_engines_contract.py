"""What every engine keeps to, seen on the table's own and on a fake one that overmem has never heard of."""

import pytest
from small_models import grouped, made

from overmem.errors import BadRequest
from overmem.models.discovery import CheckpointRef
from overmem.observe.engines import ENGINES, Engine, engine_of
from overmem.observe.engines.decoding import Completion, Decoding, EngineSettings, Hooks, PromptBatch
from overmem.records import Checkpoint

PROMPTS, NAMES, STOPS = [[5, 6, 7], [9, 8, 7, 6], [11]], list("abc"), [2, 3]


class Parrot(Engine):
    """Completes every prompt with its own last token."""

    def open(self, checkpoint, model):
        pass

    def complete(self, batch, hooks):
        for index, prompt in enumerate(batch.prompts):
            for draw in range(batch.decoding.repeats):
                yield Completion(index, draw, (prompt[-1],), -0.5, "length")
        hooks.advance(len(batch.prompts))

    def close(self):
        pass


@pytest.fixture(params=[*ENGINES, "fake"])
def engine(request):
    return Parrot if request.param == "fake" else ENGINES[request.param]


def test_an_engine_says_what_it_needs_and_what_it_offers(engine):
    assert isinstance(engine.packages, tuple)
    assert bool(engine.packages) == bool(engine.install)
    assert engine.shares_prefill in (True, False)
    assert engine.has_throughput in (True, False)
    assert engine.__doc__


def test_every_prompt_is_completed_once_for_each_draw_and_reported_done(engine):
    if engine.packages:
        pytest.skip("the engine needs weights in a folder: its own tests have some")
    done, decoding = [], Decoding(draws=2, max_new_tokens=4)
    running = engine(EngineSettings(token_budget=64))
    running.open(CheckpointRef(Checkpoint("checkpoint-1", 1), "nowhere"), made(grouped))
    completed = list(running.complete(PromptBatch(PROMPTS, NAMES, decoding, STOPS), Hooks(done.append)))
    again = list(running.complete(PromptBatch(PROMPTS, NAMES, decoding, STOPS), Hooks()))
    running.close()
    assert sorted((c.prompt, c.draw) for c in completed) == [(p, d) for p in range(3) for d in range(3)]
    assert completed == again
    assert sum(done) == len(PROMPTS)
    for one in completed:
        assert one.stop in ("eos", "length")
        assert len(one.token_ids) <= 4
        assert not set(one.token_ids) & set(STOPS)
        assert one.logprob <= 0


def test_an_unknown_engine_is_refused_with_the_names_of_the_table():
    with pytest.raises(BadRequest, match="unknown engine 'sglang'; allowed: hf, module:function, vllm"):
        engine_of("sglang")


def test_an_engine_whose_package_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        BadRequest, match=r"needs vllm, which is not installed: pip install 'overmem\[vllm\]' .*allowed .*: hf"
    ):
        engine_of("vllm")
    assert engine_of("hf") is ENGINES["hf"]


def test_an_engine_from_elsewhere_is_named_by_module_and_class(tmp_path, monkeypatch):
    code = "from overmem.observe.engines import Engine\nclass Mine(Engine): ...\nclass Other: ...\n"
    (tmp_path / "elsewhere_engine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    assert engine_of("elsewhere_engine:Mine").__name__ == "Mine"
    with pytest.raises(BadRequest, match="not a subclass of"):
        engine_of("elsewhere_engine:Other")
