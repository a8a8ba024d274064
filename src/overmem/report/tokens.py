"""The tokens that carry the excess of perplexity, with their texts: read from the observations of two checkpoints."""

from dataclasses import dataclass

from overmem import store
from overmem.probes.carriers import Carrier, carriers, costliest
from overmem.probes.mechanism import TokenExcess, token_excess
from overmem.records import Checkpoint, Snapshot


@dataclass(frozen=True)
class TokenizedSolution:
    """One solution, token by token: text, excess over the reference in nats, and whether the label is the argmax."""

    id: str
    question: str
    excess: float
    """In nats, summed over the tokens."""
    tokens: tuple[tuple[str, float, bool], ...]


@dataclass(frozen=True)
class TokenBreakdown:
    """Which tokens carry one checkpoint's excess over another."""

    late: str
    reference: str
    split: str
    carriers: tuple[tuple[str, Carrier], ...]
    """Text and its share of the excess, the largest first."""
    examples: tuple[TokenizedSolution, ...]


def token_breakdown(run: store.Run, late: Checkpoint, reference: Checkpoint, split: str) -> TokenBreakdown | str:
    """The breakdown of one split, or why there is none."""
    units = [run.unit_path(c.name, split, "scores") for c in (late, reference)]
    if late == reference:
        return "no other checkpoint has a lower perplexity"
    if not all(path.is_file() for path in units):
        return f"{split} was not scored at both checkpoints"
    later, earlier = (Snapshot(c, {}, {split: store.read_scores(run, c.name, split)}, {}) for c in (late, reference))
    tokens = token_excess(later, earlier, split)
    if isinstance(tokens, str):
        return tokens
    token_texts = store.read_token_texts(run)
    if not token_texts:
        return "the texts of the tokens were not kept; audit again"
    named = tuple((token_texts.get(c.token_id, f"token {c.token_id}"), c) for c in carriers(tokens))
    questions = {e.id: e.question for e in store.read_examples(run, split)}
    examples = tuple(_tokenized(tokens, i, token_texts, questions) for i in costliest(tokens))
    return TokenBreakdown(late.name, reference.name, split, named, examples)


def _tokenized(
    tokens: TokenExcess, example: int, token_texts: dict[int, str], questions: dict[str, str]
) -> TokenizedSolution:
    is_of_example = tokens.example == example
    rows = zip(
        tokens.token_id[is_of_example], tokens.excess[is_of_example], tokens.is_argmax[is_of_example], strict=True
    )
    shown = tuple((token_texts.get(int(token), "\ufffd"), float(excess), bool(top)) for token, excess, top in rows)
    name = tokens.example_ids[example]
    return TokenizedSolution(name, questions.get(name, ""), sum(excess for _, excess, _ in shown), shown)
