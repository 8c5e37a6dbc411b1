"""Thin TFX adapters: each unpacks TFX's arguments, calls `trainer` or a library, and returns the result."""
