"""Engines: who completes prompts."""
