"""The gate's result in the properties of the pusher's artifact, where ML Metadata has it without TFMA and its files."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

BLESSED, ELBO, STANDARD_ERROR, REASONS = "blessed", "elbo", "elbo_standard_error", "reasons"


class Result(NamedTuple):
    """What decided, in short."""

    blessed: bool | None = None  # None: an older version of this project made the artifact, without the numbers
    elbo: float | None = None  # nats per image; None if it is not finite
    standard_error: float | None = None
    reasons: str = ""  # of a refusal

    def write(self, artifact: Any) -> None:
        """Writes the result into the properties of a TFX artifact."""
        artifact.set_int_custom_property(BLESSED, int(bool(self.blessed)))
        for name, value in ((ELBO, self.elbo), (STANDARD_ERROR, self.standard_error)):
            if value is not None and math.isfinite(value):
                artifact.set_float_custom_property(name, value)
        artifact.set_string_custom_property(REASONS, self.reasons)

    @classmethod
    def read(cls, properties: Mapping[str, Any]) -> "Result":
        """Reads the result from the custom properties of ML Metadata's artifact."""
        if BLESSED not in properties:
            return cls()
        elbo, error = (properties[name].double_value if name in properties else None for name in (ELBO, STANDARD_ERROR))
        return cls(bool(properties[BLESSED].int_value), elbo, error, properties[REASONS].string_value)
