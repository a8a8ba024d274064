"""Probes: pure functions from one checkpoint's observations to measurements. One file a probe, one literal table."""

from overmem.probes.accuracy import accuracy
from overmem.probes.calibration import calibration
from overmem.probes.diversity import diversity
from overmem.probes.mechanism import mechanism
from overmem.probes.membership import membership
from overmem.probes.memorization import memorization
from overmem.probes.ood import ood
from overmem.probes.perplexity import perplexity
from overmem.probes.robustness import robustness
from overmem.tables import Table

PROBES: Table = {
    "perplexity": perplexity,
    "accuracy": accuracy,
    "robustness": robustness,
    "ood": ood,
    "calibration": calibration,
    "mechanism": mechanism,
    "diversity": diversity,
    "membership": membership,
    "memorization": memorization,
}
