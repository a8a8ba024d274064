"""Grading: what answer a text gives, and whether it is right."""
