"""CuratedSchema: the project's schema of a data set, as an artifact."""

import os

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from trainer.storage.durable import write_durably

SOURCE = "source"  # custom property: path of the file


@component
def CuratedSchema(content: Parameter[str], source: Parameter[str], schema: OutputArtifact[standard_artifacts.Schema]):
    """Writes the schema `content` to an artifact. Messages name its file, `source`."""
    write_durably(os.path.join(schema.uri, "schema.pbtxt"), content.encode())
    schema.set_string_custom_property(SOURCE, source)
