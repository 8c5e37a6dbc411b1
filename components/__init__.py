"""Thin TFX adapters: they unpack what TFX hands them, call `trainer` or a library, and hand the result back."""
