"""What the pod of an errand does: `python -m pipeline.cli._inside CLUSTER COMMAND...` runs the command on the volume.

Its state directory is the volume's, its database the cluster's. It prints what the command said as one line.
"""

import contextlib
import io
import json
import sys


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and prints what it said."""
    from kubeflow.errand.errand import Said, line_of
    from kubeflow.node.database import lineage
    from kubeflow.spec.cluster import Cluster
    from pipeline import cli
    from pipeline.state.executions import sharing

    settings, *command = arguments or sys.argv[1:]
    cluster = Cluster(**json.loads(settings))
    root = cluster.volume.path
    out, err = io.StringIO(), io.StringIO()
    volume = sharing(root, lambda: lineage(cluster.database, root).__enter__().store)
    with volume, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([*command, f"--root={root}"])
    print(line_of(Said(code, out.getvalue(), err.getvalue())), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
