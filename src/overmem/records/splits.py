"""The names of splits, and what they say: `val`, `ood-longer`, `test+typos.2`, `train~recall`."""

import re
from dataclasses import dataclass
from functools import lru_cache

_OOD = "ood-"
_SHIFT = "+"
_ATTACK = "~"


@dataclass(frozen=True)
class SplitName:
    """A split's name in its parts: `<base>[+<shift>[.<telling>]][~<attack>]`.

    >>> SplitName.parse("test+typos.2")
    SplitName(base='test', shift='typos', telling=2, attack='')
    >>> str(SplitName("train", attack="recall"))
    'train~recall'
    """

    base: str
    """The split that it is derived from, or its own name: `train` (a fixed sample of the training rows), `val` (same
    distribution, never trained on), `test` (confirmation), or `ood-<name>`."""
    shift: str = ""
    """The shift that changed its questions, or the name of the user's own set of changed questions; empty for none."""
    telling: int = 1
    """The how many-th rewording by that shift, from 1."""
    attack: str = ""
    """The membership attack whose examples these are. They are scored only, and nothing but that attack reads them."""

    @staticmethod
    def parse(name: str) -> "SplitName":
        """The parts of a name. Every name has them: what follows no grammar is a base."""
        return _parse(name)

    def __str__(self) -> str:
        """The name, as files and measurements carry it."""
        shift = f"{_SHIFT}{self.wording}" if self.shift else ""
        return f"{self.base}{shift}{f'{_ATTACK}{self.attack}' if self.attack else ''}"

    @property
    def wording(self) -> str:
        """The shift and its telling, as example ids carry it: `typos`, `typos.2`; empty for none."""
        return self.shift if self.telling == 1 else f"{self.shift}.{self.telling}"

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
        """Whether its examples are made from those of another split."""
        return bool(self.shift or self.attack)


@lru_cache(maxsize=4096)
def _parse(name: str) -> SplitName:
    unattacked, _, attack = name.partition(_ATTACK)
    base, _, wording = unattacked.partition(_SHIFT)
    numbered = re.fullmatch(r"(.+)\.([1-9]\d*)", wording, re.ASCII)
    if numbered is None or numbered[2] == "1":
        return SplitName(base, wording, 1, attack)
    return SplitName(base, numbered[1], int(numbered[2]), attack)
