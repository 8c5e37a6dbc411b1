"""What the pod of an errand does: `python -m pipeline.cli._inside CLUSTER REQUEST...` runs a command on the volume.

Its state directory is the volume's, its database the cluster's, and a relative path starts at the volume. It prints its
answer as lines of the log.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubeflow.errand.request import Answer, Request
    from kubeflow.spec.cluster import Cluster


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and prints its answer."""
    from kubeflow.errand.parcel import lines
    from kubeflow.errand.request import Request
    from kubeflow.spec.cluster import Cluster

    settings, *request = arguments or sys.argv[1:]
    answer = answer_to(Request.read(request), Cluster(**json.loads(settings)))
    for line in lines(answer.text()):
        print(line)
    sys.stdout.flush()
    return 0


def answer_to(request: "Request", cluster: "Cluster") -> "Answer":
    """Runs the command of the request on the volume of the cluster."""
    from kubeflow.errand.request import Answer, written
    from kubeflow.node.database import lineage
    from pipeline import cli
    from pipeline.state.executions import sharing

    root = cluster.volume.path
    options = argparse.Namespace(**request.options, root=root)
    files: dict[str, bytes] = {}

    def run() -> int:
        code = importlib.import_module(f"pipeline.cli.{request.command}").run(options)
        if output:
            files.update(written(output))
        return code

    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(sharing(root, lambda: lineage(cluster.database, root).__enter__().store))
        stack.enter_context(contextlib.chdir(root))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        if request.files:
            from components.ingest.loose_images import given

            stack.enter_context(given(request.files))
        output = ""
        if wanted := request.options.get("output"):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vaeiaf-"))
            options.output = output = os.path.join(folder, os.path.basename(wanted))
        code = cli.reported(run)
    said, complained = out.getvalue(), err.getvalue()
    if output:  # the user's path in place of the pod's
        there = request.options["output"]
        in_json = json.dumps(there, ensure_ascii=False)[1:-1]
        said, complained = said.replace(output, in_json if options.json else there), complained.replace(output, there)
    return Answer(code, said, complained, files)


if __name__ == "__main__":
    sys.exit(main())
