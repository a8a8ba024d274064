"""Observes checkpoints: teacher-forced scores of reference solutions, and completions. Only this room runs models."""
