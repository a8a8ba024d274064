"""overmem: which checkpoint to ship when validation loss went up and accuracy stayed up, and what it cost.

    import overmem

    overmem.diagnose("runs/demo")                 # the verdict, from an audit or from what the trainer logged
    overmem.audit("runs/demo", data="problems/")  # measure every checkpoint first
    run = overmem.open("runs/demo")
    run.verdict, run.measurements, run.curves("val"), run.samples("checkpoint-50", "test")

Nothing is loaded until it is used: `import overmem` takes milliseconds and needs no torch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from overmem.api import Run as Run
    from overmem.api import audit as audit
    from overmem.api import compare as compare
    from overmem.api import diagnose as diagnose
    from overmem.api import merge as merge
    from overmem.api import open_run as open  # noqa: A004, F401
    from overmem.api import report as report
    from overmem.api import search_merges as search_merges
    from overmem.api import train as train
    from overmem.callback import OvermemCallback as OvermemCallback
    from overmem.records import Checkpoint as Checkpoint
    from overmem.records import CheckpointVerdict as CheckpointVerdict
    from overmem.records import Choice as Choice
    from overmem.records import Consequence as Consequence
    from overmem.records import Curves as Curves
    from overmem.records import Estimate as Estimate
    from overmem.records import Example as Example
    from overmem.records import Measurement as Measurement
    from overmem.records import Samples as Samples
    from overmem.records import Scores as Scores
    from overmem.records import Verdict as Verdict
    from overmem.training.trainers import with_loss as with_loss

_NOUNS = ("Checkpoint", "CheckpointVerdict", "Choice", "Consequence", "Curves", "Estimate", "Example", "Measurement",
          "Samples", "Scores", "Verdict")  # fmt: skip
_PLACES = {
    "Run": "overmem.api:Run",
    "OvermemCallback": "overmem.callback:OvermemCallback",
    "merge": "overmem.api:merge",
    "open": "overmem.api:open_run",
    "search_merges": "overmem.api:search_merges",
    "train": "overmem.api:train",
    "with_loss": "overmem.training.trainers:with_loss",
    **{noun: f"overmem.records:{noun}" for noun in _NOUNS},
}
"""Where each public name is defined; it is imported when the name is first used."""

_VERBS_AND_PACKAGES = ("audit", "compare", "diagnose", "report")
"""Verbs whose name is a package's too."""

__all__ = [*_PLACES, *_VERBS_AND_PACKAGES, "__version__"]


class _Verb:
    """A verb that shares its name with the package behind it: a call is the verb, an attribute is the package's.

    Importing `overmem.audit.options` makes Python bind the package as `overmem.audit`; `overmem.audit("run")` has to
    work before and after that, and so has `overmem.audit.options`.
    """

    def __init__(self, name: str) -> None:
        self.__dict__["__name__"] = name

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.__wrapped__(*arguments, **options)

    @property
    def __wrapped__(self) -> Any:
        """The function, for `help` and `inspect.signature`."""
        return getattr(import_module("overmem.api"), self.__name__)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        from inspect import getdoc

        return getdoc(self.__wrapped__)

    @property
    def _package(self) -> ModuleType:
        return import_module(f"overmem.{self.__name__}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._package, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._package, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._package, name)

    def __repr__(self) -> str:
        return f"<overmem.{self.__name__}: a function, and the package of its parts>"


class _Package(ModuleType):
    """The module itself: importing one of its packages does not take the name away from the verb."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _VERBS_AND_PACKAGES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'overmem' has no attribute {name!r}")
    from overmem.errors import naming_the_extra

    module, _, attribute = _PLACES[name].partition(":")
    with naming_the_extra():
        value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:
    globals().update({name: _Verb(name) for name in _VERBS_AND_PACKAGES})
    sys.modules[__name__].__class__ = _Package
