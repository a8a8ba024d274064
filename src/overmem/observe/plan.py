"""What is observed: splits rendered for one tokenizer, how completions are drawn, and the hash that names a request."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from overmem import seeds
from overmem.observe.sample import Decoding
from overmem.records import TEMPERATURES, Example
from overmem.tasks.render import Encoded, encode


@dataclass(frozen=True)
class Split:
    """One split, as text and as token ids."""

    name: str
    examples: tuple[Example, ...]
    encoded: tuple[Encoded, ...]
    """Those of `examples` that fit the context window."""
    request: str
    """Hash of everything but the weights that decides this split's observations."""

    @property
    def truncated(self) -> int:
        """Examples that do not fit the context window; they are not observed."""
        return len(self.examples) - len(self.encoded)

    @property
    def solution_tokens(self) -> int:
        """Reference solution tokens."""
        return sum(len(e.solution_ids) for e in self.encoded)


def planned(
    tokenizer: Any,
    splits: Mapping[str, Sequence[Example]],
    decoding: Decoding,
    *,
    rows: Mapping[str, int],
    context: int,
    template: str | None,
) -> dict[str, Split]:
    """The splits to observe: at most `rows[split]` examples each, the same ones every time."""
    found = {}
    for name, examples in splits.items():
        chosen = first(examples, name, rows[name])
        encoded = [encode(tokenizer, e, max_length=context, template=template) for e in chosen]
        kept = tuple(e for e in encoded if e is not None)
        asked = [
            [asdict(e) for e in chosen],
            [(e.prompt_ids, e.solution_ids) for e in kept],
            asdict(decoding),
            TEMPERATURES,
        ]
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
        found[name] = Split(name, tuple(chosen), kept, digest)
    return found


def first(examples: Sequence[Example], split: str, rows: int) -> list[Example]:
    """A sample of `rows` examples, drawn by each one's own hash: a larger one keeps the examples of a smaller one."""
    return sorted(examples, key=lambda e: seeds.seed_of("audit", split, e.id))[:rows]


def longest_completion(splits: Mapping[str, Sequence[Example]], tokenizer: Any, template: str | None) -> int:
    """A limit for completions: half as long again as the longest of 200 reference solutions, 16 to 1024 tokens."""
    some = [e for examples in splits.values() for e in examples[:50]][:200]
    lengths = [len(x.solution_ids) for e in some if (x := encode(tokenizer, e, template=template)) is not None]
    return min(1024, max(16, int(1.5 * max(lengths, default=16))))
