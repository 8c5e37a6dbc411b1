"""The artifacts that TFX gives a node."""

from tfx import types

Artifacts = dict[str, list[types.Artifact]]  # inputs or outputs, by key
