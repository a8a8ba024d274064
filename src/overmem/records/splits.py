"""The grammar of split names: `val`, `ood-longer`, `test+typos.2`, `train~recall`."""

import re
from dataclasses import dataclass
from functools import lru_cache

_OOD = "ood-"
_SHIFT = "+"
_ATTACK = "~"


@dataclass(frozen=True)
class SplitName:
    """A split's name in its parts: `<base>[+<shift>[.<variant>]][~<attack>]`.

    >>> SplitName.parse("test+typos.2")
    SplitName(base='test', shift='typos', variant=2, attack='')
    >>> str(SplitName("train", attack="recall"))
    'train~recall'
    """

    base: str
    """The split that it is derived from, or its own name: `train` (a fixed sample of the training rows), `val` (same
    distribution, never trained on), `test` (confirmation), or `ood-<name>`."""
    shift: str = ""
    """The shift that rephrased its questions, or the name of the user's own set of rephrased questions; empty for
    none."""
    variant: int = 1
    """The number of the variant of that shift, from 1."""
    attack: str = ""
    """The membership attack that the examples were made for. They are only scored, and only that attack reads them."""

    @staticmethod
    def parse(name: str) -> "SplitName":
        """The parts of a name. Never fails: a name that does not follow the grammar is all base."""
        return _parse(name)

    def __str__(self) -> str:
        """The name, as files and measurements carry it."""
        shift = f"{_SHIFT}{self.shift_variant}" if self.shift else ""
        return f"{self.base}{shift}{f'{_ATTACK}{self.attack}' if self.attack else ''}"

    @property
    def shift_variant(self) -> str:
        """The shift with the variant's number, as in example ids: `typos`, `typos.2`; empty for none."""
        return self.shift if self.variant == 1 else f"{self.shift}.{self.variant}"

    @property
    def is_ood(self) -> bool:
        """Whether it is out of distribution."""
        return self.base.startswith(_OOD)

    @property
    def kind(self) -> str:
        """The kind of its base: `train`, `val`, `test`, `ood`, or `other`."""
        return "ood" if self.is_ood else self.base if self.base in ("train", "val", "test") else "other"

    @property
    def is_derived(self) -> bool:
        """Whether its examples were made from those of another split."""
        return bool(self.shift or self.attack)


@lru_cache(maxsize=4096)
def _parse(name: str) -> SplitName:
    unattacked, _, attack = name.partition(_ATTACK)
    base, _, wording = unattacked.partition(_SHIFT)
    numbered = re.fullmatch(r"(.+)\.([1-9]\d*)", wording, re.ASCII)
    if numbered is None or numbered[2] == "1":
        return SplitName(base, wording, 1, attack)
    return SplitName(base, numbered[1], int(numbered[2]), attack)
