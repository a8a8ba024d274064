"""Sweeps: many runs that differ in a few keys of their recipe, judged together, over seeds."""
