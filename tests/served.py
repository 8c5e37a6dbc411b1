"""The blessing of ServingCheck, without its process."""

import pathlib

from tfx.types import standard_artifacts

from components.gate.serving_record import FILE, Latency, Serving

SERVING = Serving(
    reasons=[],
    answers=True,
    loaded_seconds=1.26,
    elbo_difference=0.00024,
    latency={"serving_default": {"1": Latency(0.91, 1.06), "32": Latency(0.061, 0.078)}},
)


def infra_blessing(folder: pathlib.Path, serving: Serving = SERVING) -> standard_artifacts.InfraBlessing:
    """Returns the artifact of a check that found this, in `folder`."""
    blessing = standard_artifacts.InfraBlessing()
    blessing.uri = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(serving.to_json())
    blessing.set_int_custom_property("blessed", int(not serving.reasons))
    return blessing
