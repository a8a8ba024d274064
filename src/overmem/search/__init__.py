"""Search over merges of a run's checkpoints: candidates are observed in memory, and only the winner is written."""
