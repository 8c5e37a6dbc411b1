"""The exit codes of every program; of one that a signal ended it is 128 + its number."""

DONE = 0  # of a run: pushed or unchanged
FAILED = 1
BAD_INPUT = 2
REFUSED = 3  # by a gate
