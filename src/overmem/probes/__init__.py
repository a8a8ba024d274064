"""Probes: pure functions from one checkpoint's observations to measurements. One file per probe, one literal table."""

from collections.abc import Iterable, Mapping

from overmem.probes.accuracy import accuracy
from overmem.probes.calibration import calibration, miscalibration
from overmem.probes.diversity import diversity, diversity_lost
from overmem.probes.mechanism import mechanism
from overmem.probes.membership import membership, membership_gained
from overmem.probes.memorization import extraction_gained, memorization
from overmem.probes.ood import ood, ood_lost
from overmem.probes.perplexity import perplexity
from overmem.probes.probe import Probe
from overmem.probes.robustness import robustness, robustness_lost
from overmem.tables import resolve

PROBES: Mapping[str, Probe] = {
    "perplexity": Probe(perplexity),
    "accuracy": Probe(accuracy),
    "robustness": Probe(robustness, robustness_lost),
    "ood": Probe(ood, ood_lost),
    "calibration": Probe(calibration, miscalibration),
    "mechanism": Probe(mechanism),
    "diversity": Probe(diversity, diversity_lost),
    "membership": Probe(membership, membership_gained),
    "memorization": Probe(memorization, extraction_gained),
}


def with_own(names: Iterable[str]) -> Mapping[str, Probe]:
    """The table extended by the named "module:function": each a Probe, or a function that only measures.

    Raises:
        BadRequest: one cannot be imported.
    """
    functions = {name: resolve({}, name, "probe") for name in names}
    return {**PROBES, **{name: f if isinstance(f, Probe) else Probe(f) for name, f in functions.items()}}
