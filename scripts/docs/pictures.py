"""Draws the pictures of the documents: `python -m scripts.docs.pictures` writes them to docs/assets."""

import pathlib

from scripts.docs import cluster, flow
from scripts.docs.deployment import read_deployment

FOLDER = pathlib.Path("docs/assets")


def pictures() -> dict[str, str]:
    """Returns the SVG of each picture by file name: wide ones, and narrow ones for phones."""
    of_run, of_cluster = flow.read_flow(), read_deployment()
    return {
        "flow-wide.svg": flow.draw(of_run, flow.WIDE),
        "flow-narrow.svg": flow.draw(of_run, flow.NARROW),
        "cluster-wide.svg": cluster.draw(of_cluster, cluster.WIDE),
        "cluster-narrow.svg": cluster.draw(of_cluster, cluster.NARROW),
    }


def main() -> None:
    """Writes the pictures."""
    for name, svg in pictures().items():
        (FOLDER / name).write_text(svg)


if __name__ == "__main__":
    main()
