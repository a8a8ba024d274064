"""overmem: which checkpoint to ship when validation loss went up and accuracy stayed up, and what it cost."""

__version__ = "0.1.0"
