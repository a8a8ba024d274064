"""Evaluations of other harnesses: their logs into a run, and a run's completions as their logs."""
