"""Evaluation harnesses: importing their logs into a run, and exporting a run's completions as their logs."""
