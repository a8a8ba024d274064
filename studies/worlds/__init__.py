"""Simulated runs whose truth is known: every way in which real runs differ from the textbook, one knob each."""

from studies.worlds.draw import drawn
from studies.worlds.truth import Truth, truth
from studies.worlds.world import World

__all__ = ["Truth", "World", "drawn", "truth"]
