"""Prose: every sentence that a verdict is told in, made from its numbers. Pure."""
