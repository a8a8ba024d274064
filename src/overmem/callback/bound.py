"""How much memory a measurement takes beside the model, at most.

R rows of T padded tokens (prompt P and answer) are what fits the token budget, one at least: R T <= max(token_budget,
the longest row). Of these an accelerator reads all in one forward pass, a CPU no more than `overmem.models.device`
says; N tokens, one row at least. For a decoder with a key-value cache of all its layers and B bytes a number, an answer
batch holds

    cache        (R T + N) x 2 layers kv_heads head_dim B    one buffer for all steps, and that of the prompts coming in
    one layer    R T x 2 heads head_dim B                    keys and values repeated for grouped queries
    activations  N x (8 hidden + 3 intermediate + P) B       of one layer, while the prompts are read
    logits       R x vocabulary x 4 x 5                      float32, of one position a row

and a scoring batch, S of whose N tokens are of solutions,

    activations  N x (8 hidden + 3 intermediate + T) B + S x hidden x (B + 4)
    logits       5 x min(LOGIT_BYTES, S x vocabulary x 4)    float32, a chunk at a time
    head         vocabulary x hidden x 4                     where a CPU multiplies by it in float32 and has it in less

Measured against this in docs/results/callback.md. Eager attention adds N P heads (B + 4); a cache that is not of keys
and values alone (state space models) is not counted.
"""

from typing import Any

from overmem.callback.watch import CallbackConfig, EvaluationSet
from overmem.models.device import logit_rows, tokens_at_once
from overmem.observe.engines.kv_cache import bytes_a_token
from overmem.observe.plan import Split


def rows_that_fit(token_budget: int, longest: int) -> int:
    """How many rows of `longest` padded tokens a batch has."""
    return max(1, token_budget // max(1, longest))


def memory_bound(watch: CallbackConfig, plan: EvaluationSet, model: Any) -> int:
    """Bytes beside the model at the peak of a measurement, by the formula above."""
    scored = (_scoring(watch, split, model) for split in plan.splits.values())
    return max(*scored, _answering(watch, plan, model) if watch.answers else 0)


def _scoring(watch: CallbackConfig, split: Split, model: Any) -> int:
    config: Any = model.config.get_text_config()
    hidden, vocabulary, size = int(config.hidden_size), int(config.vocab_size), _bytes_a_number(model)
    longest = max((len(e.input_ids) for e in split.encoded), default=0)
    tokens = _tokens(model, min(len(split.encoded), rows_that_fit(watch.token_budget, longest)), longest)
    solution = min(tokens, tokens // max(1, longest) * max((len(e.solution_ids) for e in split.encoded), default=0))
    activations = tokens * (_layer(config) + longest) * size + solution * hidden * (size + 4)
    logits = 5 * 4 * vocabulary * min(solution, logit_rows(model.device, vocabulary))
    return activations + logits + (vocabulary * hidden * 4 if model.device.type == "cpu" and size < 4 else 0)


def _answering(watch: CallbackConfig, plan: EvaluationSet, model: Any) -> int:
    config: Any = model.config.get_text_config()
    vocabulary, size = int(config.vocab_size), _bytes_a_number(model)
    encoded = plan.splits["val"].encoded
    prompt = max(len(e.prompt_ids) for e in encoded)
    total = prompt + plan.decoding.max_new_tokens
    rows = min(len(encoded), rows_that_fit(watch.token_budget, total))
    coming = _tokens(model, rows, prompt)
    heads = int(config.num_attention_heads)
    head = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    cache = (rows * total + coming) * bytes_a_token(model)
    repeated = rows * total * 2 * heads * head * size
    return cache + repeated + coming * (_layer(config) + prompt) * size + rows * vocabulary * 4 * 5


def _tokens(model: Any, rows: int, longest: int) -> int:
    """Padded tokens in one forward pass of these rows."""
    return max(longest, tokens_at_once(model, rows * longest))


def _layer(config: Any) -> int:
    """Numbers a token that one layer holds at once."""
    return int(8 * config.hidden_size + 3 * (getattr(config, "intermediate_size", None) or 4 * config.hidden_size))


def _bytes_a_number(model: Any) -> int:
    return int(next(model.parameters()).element_size())
