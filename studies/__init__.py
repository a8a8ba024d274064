"""Many runs: what the verdict, the losses and the merges are worth, measured."""
