"""Observe once: teacher-forced scores of reference solutions, and sampled completions. Only this floor runs a model."""
