"""Prose: every sentence of a verdict, made from its numbers. Pure functions."""
