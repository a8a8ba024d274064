"""Upper bound of the memory that a measurement takes in addition to the model.

A batch has R rows of T padded tokens (prompt P plus completion), with R T <= max(token_budget, longest row). One
forward pass reads N of these tokens: all of them on an accelerator, on a CPU at most what `overmem.models.device`
allows, but at least one row. For a decoder with a key-value cache in every layer and B bytes per number, a completion
batch holds

    cache        (R T + N) x 2 layers kv_heads head_dim B    the buffer for all steps, and that of new prompts
    one layer    R T x 2 heads head_dim B                    keys and values repeated for grouped queries
    activations  N x (8 hidden + 3 intermediate + P) B       of one layer, while the prompts are read
    logits       R x vocabulary x 4 x 5                      float32, one position per row

and a scoring batch, in which S of the N tokens belong to solutions,

    activations  N x (8 hidden + 3 intermediate + T) B + S x hidden x (B + 4)
    logits       5 x min(LOGIT_BYTES, S x vocabulary x 4)    float32, one chunk at a time
    head         vocabulary x hidden x 4                     on a CPU with 16-bit weights, which it converts to float32

docs/results/callback.md compares this with measurements. Eager attention adds N P heads (B + 4). The state of state
space models is not counted.
"""

from typing import Any

from overmem.callback.config import CallbackConfig
from overmem.callback.evaluation_set import EvaluationSet
from overmem.models.device import logit_rows, tokens_at_once
from overmem.observe.engines.kv_cache import bytes_per_token
from overmem.observe.plan import Split


def rows_that_fit(token_budget: int, longest: int) -> int:
    """Rows of `longest` padded tokens in one batch, at least 1."""
    return max(1, token_budget // max(1, longest))


def memory_bound(config: CallbackConfig, evaluation: EvaluationSet, model: Any) -> int:
    """Bytes in addition to the model at the peak of a measurement, by the formula above."""
    scored = (_scoring_bytes(config, split, model) for split in evaluation.splits.values())
    return max(*scored, _completion_bytes(config, evaluation, model) if config.answers else 0)


def _scoring_bytes(config: CallbackConfig, split: Split, model: Any) -> int:
    shape: Any = model.config.get_text_config()
    hidden, vocabulary, size = int(shape.hidden_size), int(shape.vocab_size), _bytes_per_number(model)
    longest = max((len(e.input_ids) for e in split.encoded), default=0)
    tokens = _tokens(model, min(len(split.encoded), rows_that_fit(config.token_budget, longest)), longest)
    solution = min(tokens, tokens // max(1, longest) * max((len(e.solution_ids) for e in split.encoded), default=0))
    activations = tokens * (_layer_width(shape) + longest) * size + solution * hidden * (size + 4)
    logits = 5 * 4 * vocabulary * min(solution, logit_rows(model.device, vocabulary))
    return activations + logits + (vocabulary * hidden * 4 if model.device.type == "cpu" and size < 4 else 0)


def _completion_bytes(config: CallbackConfig, evaluation: EvaluationSet, model: Any) -> int:
    shape: Any = model.config.get_text_config()
    vocabulary, size = int(shape.vocab_size), _bytes_per_number(model)
    encoded = evaluation.splits["val"].encoded
    prompt = max(len(e.prompt_ids) for e in encoded)
    total = prompt + evaluation.decoding.max_new_tokens
    rows = min(len(encoded), rows_that_fit(config.token_budget, total))
    incoming = _tokens(model, rows, prompt)
    heads = int(shape.num_attention_heads)
    head = int(getattr(shape, "head_dim", None) or shape.hidden_size // heads)
    cache = (rows * total + incoming) * bytes_per_token(model)
    repeated = rows * total * 2 * heads * head * size
    return cache + repeated + incoming * (_layer_width(shape) + prompt) * size + rows * vocabulary * 4 * 5


def _tokens(model: Any, rows: int, longest: int) -> int:
    """Padded tokens in one forward pass of these rows."""
    return max(longest, tokens_at_once(model, rows * longest))


def _layer_width(shape: Any) -> int:
    """Numbers per token in one layer's activations."""
    return int(8 * shape.hidden_size + 3 * (getattr(shape, "intermediate_size", None) or 4 * shape.hidden_size))


def _bytes_per_number(model: Any) -> int:
    return int(next(model.parameters()).element_size())
