"""The training loop: steps, losses, optimizer, checkpoints and the record of a run."""
