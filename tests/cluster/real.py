"""A real cluster."""

from world import World


class Real(World):
    """x."""
