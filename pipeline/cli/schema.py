"""Prints the JSON Schema of a file, which lets editors complete and check it."""

import argparse
import json

import pydantic

from kubeflow.spec.cluster import Cluster
from trainer.exit_codes import DONE

HELP = "print the JSON Schema of cluster.yaml"
EXAMPLE = "schema cluster"
GUIDE = "howto/kubeflow.md"
SCHEMAS = {"cluster": Cluster}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the name of the file."""
    parser.add_argument("file", choices=list(SCHEMAS), help="cluster: of cluster.yaml")


def run(options: argparse.Namespace) -> int:
    """Prints the schema."""
    schema = pydantic.TypeAdapter(SCHEMAS[options.file]).json_schema()
    print(json.dumps({"$schema": pydantic.json_schema.GenerateJsonSchema.schema_dialect, **schema}, indent=2))
    return DONE
