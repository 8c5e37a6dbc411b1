"""Writes the pipeline for Kubeflow into a file."""

import argparse
import os

from kubeflow.spec.file import load_cluster
from pipeline.cli._kubeflow import add_cluster
from pipeline.cli._output import add_json, print_json
from trainer.errors import UserError
from trainer.exit_codes import DONE

HELP = "write the pipeline for Kubeflow into a file"
EXAMPLE = "compile --cluster cluster.yaml --output vaeiaf.yaml"
GUIDE = "howto/kubeflow.md"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the cluster and the file to write."""
    add_cluster(parser)
    parser.add_argument(
        "--output", metavar="FILE", default="vaeiaf.yaml", help="for an upload in the UI (default: %(default)s)"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Compiles the pipeline."""
    from kubeflow.client.submit import version_name, write_package

    cluster = load_cluster(options.cluster)
    folder = os.path.dirname(os.path.abspath(options.output))
    if not os.path.isdir(folder) or not options.output.endswith((".yaml", ".yml")):
        raise UserError("--output", value=options.output, valid="the name of a YAML file in a folder that exists")
    write_package(options.output, cluster)
    if options.json:
        output = os.path.abspath(options.output)
        print_json({"output": output, "version": version_name(output)})
    else:
        print(f"Written: {options.output}")
    return DONE
