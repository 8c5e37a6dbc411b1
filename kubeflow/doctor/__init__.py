"""Checks of a cluster before the first run: one finding for each, with its remedy."""
