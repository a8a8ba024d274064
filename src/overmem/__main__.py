"""`python -m overmem`."""

from overmem.cli import main

if __name__ == "__main__":  # vLLM's workers may import this module again
    main()
