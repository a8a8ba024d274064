"""The sections of the page: one file each, one literal table, in reading order.

A section is a function from findings to a Section. One without content gives its reason, and is left out of the page.
"""

from collections.abc import Callable, Mapping

from overmem.report.findings import Findings
from overmem.report.markup import Section
from overmem.report.sections.answer import answer
from overmem.report.sections.calibration import calibration
from overmem.report.sections.checkpoints import checkpoints
from overmem.report.sections.choices import choices
from overmem.report.sections.costs import costs
from overmem.report.sections.diversity import diversity
from overmem.report.sections.dynamics import dynamics
from overmem.report.sections.examples import examples
from overmem.report.sections.making import making
from overmem.report.sections.mechanism import mechanism
from overmem.report.sections.membership import membership
from overmem.report.sections.memorization import memorization
from overmem.report.sections.merges import merges
from overmem.report.sections.ood import ood
from overmem.report.sections.probes import probes
from overmem.report.sections.robustness import robustness
from overmem.report.sections.trajectory import trajectory
from overmem.report.sections.words import words

SECTIONS: Mapping[str, Callable[[Findings], Section]] = {
    "answer": answer,
    "trajectory": trajectory,
    "examples": examples,
    "words": words,
    "choices": choices,
    "merges": merges,
    "costs": costs,
    "checkpoints": checkpoints,
    "robustness": robustness,
    "ood": ood,
    "diversity": diversity,
    "calibration": calibration,
    "membership": membership,
    "memorization": memorization,
    "mechanism": mechanism,
    "probes": probes,
    "dynamics": dynamics,
    "making": making,
}
