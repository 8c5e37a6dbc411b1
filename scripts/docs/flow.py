"""The picture of a run's data flow: the nodes of `pipeline/dag.py`, their artifacts and their order."""

import functools
from typing import NamedTuple

from scripts.docs.svg import Picture, width_of, wrapped

TITLE = "Data flow of a run, from the data set to the pushed model and the report"
CAPTIONS = {
    "ImageExampleGen": "Read the images",
    "StatisticsGen": "Count their features",
    "Schema": "Load the schema",
    "StrictExampleValidator": "Validate the images",
    "Transform": "Make the transform",
    "LastBlessedModel": "Find the last blessed model",
    "UnitsCheck": "Check that it can be compared",
    "Tuner": "Tune the recipe",
    "Trainer": "Train the VAE with IAF",
    "ServingCheck": "Load it as a server does",
    "Evaluator": "Evaluate the test-set ELBO",
    "AtomicPusher": "Push the model if blessed",
    "Report": "Write the report",
}


class Node(NamedTuple):
    """A node of the pipeline."""

    name: str
    title: str  # what it does, in a few words
    own: bool  # this project's component, not TFX's
    optional: bool


class Edge(NamedTuple):
    """The artifacts that a node gets from another node."""

    source: str
    target: str
    artifacts: tuple[str, ...]  # outputs of the source; empty if only the order matters


class Flow(NamedTuple):
    """The nodes of a run, in an order in which they can run, and their edges."""

    nodes: list[Node]
    edges: list[Edge]


class Style(NamedTuple):
    """The lengths, in pixels, of one of the two layouts."""

    width: int
    chain: int  # width of a box in the left column
    side: int  # width of a box in the right column
    lane: int  # room for the lines beside the columns
    row: int
    box: int
    name: float  # font sizes
    title: float
    artifact: float


WIDE = Style(width=720, chain=250, side=220, lane=40, row=62, box=42, name=15, title=12.5, artifact=12)
NARROW = Style(width=328, chain=154, side=118, lane=10, row=70, box=50, name=11.5, title=10.5, artifact=10)


@functools.cache
def read_flow() -> Flow:
    """Returns the flow of the pipeline with all optional nodes and without implied edges."""
    from components.train.site import Site
    from kubeflow.spec.file import load_cluster
    from kubeflow.spec.parameters import run_config
    from kubeflow.spec.tasks import OPTIONAL
    from pipeline.dag import compile_pipeline, create_pipeline

    config = run_config({"tune": 1}, load_cluster("kubeflow/spec/cluster.yaml"))
    pipeline = create_pipeline(config, Site())
    own = {component.id: type(component).__module__.startswith("components.") for component in pipeline.components}
    nodes, artifacts, order = [], [], []
    for item in compile_pipeline(pipeline).nodes:
        node = item.pipeline_node
        name = node.node_info.id
        nodes.append(Node(name, CAPTIONS[name], own[name], name in OPTIONAL))
        order += [Edge(source, name, ()) for source in node.upstream_nodes]
        given = [channel for given in node.inputs.inputs.values() for channel in given.channels]
        for source in node.upstream_nodes:
            outputs = {channel.output_key for channel in given if channel.producer_node_query.id == source}
            artifacts += [Edge(source, name, tuple(sorted(outputs)))] if outputs else []
    return Flow(nodes, reduced(artifacts, order))


def reduced(artifacts: list[Edge], order: list[Edge]) -> list[Edge]:
    """Returns the edges that no longer path implies."""
    kept = [edge for edge in artifacts if not _way(edge, artifacts)]
    return kept + [edge for edge in order if not _way(edge, [*artifacts, *order]) and not _direct(edge, artifacts)]


def _direct(edge: Edge, edges: list[Edge]) -> bool:
    return any((other.source, other.target) == (edge.source, edge.target) for other in edges)


def _way(edge: Edge, edges: list[Edge]) -> bool:
    """Returns whether `edges` lead from the edge's source to its target through another node."""
    reached = {other.target for other in edges if other.source == edge.source} - {edge.target}
    while new := {other.target for other in edges if other.source in reached} - reached:
        if edge.target in new:
            return True
        reached |= new
    return False


def chain(flow: Flow) -> list[str]:
    """Returns the longest path through the pipeline."""
    longest: dict[str, list[str]] = {}
    for node in flow.nodes:
        before = [longest[edge.source] for edge in flow.edges if edge.target == node.name]
        longest[node.name] = [*max(before, key=len, default=[]), node.name]
    return max(longest.values(), key=len)


def rows(flow: Flow) -> dict[str, int]:
    """Returns the row of each node: the chain in order, others beside or above the first node that needs them."""
    found = {name: row for row, name in enumerate(chain(flow))}
    for node in reversed(flow.nodes):
        if node.name not in found:
            on = [edge.target for edge in flow.edges if edge.source == node.name]
            beside = min((name for name in on if name in chain(flow)), key=found.__getitem__, default="")
            above = [found[name] - 1 for name in on if name not in chain(flow)]
            found[node.name] = min([*([found[beside]] if beside else []), *above])
    return found


class _Drawing:
    """The picture in one of the layouts."""

    def __init__(self, flow: Flow, style: Style) -> None:
        self.flow, self.style = flow, style
        self.picture = Picture(TITLE, style.width)
        self.row, self.main = rows(flow), chain(flow)
        self.left = 4 + style.lane  # of the left column
        self.right = style.width - 4 - style.lane - style.side  # of the right column

    def draw(self) -> str:
        for edge in self.flow.edges:
            self._edge(edge)
        for node in self.flow.nodes:
            self._node(node)
        return self.picture.svg(self._legend(10 + len(self.main) * self.style.row))

    def _place(self, name: str) -> tuple[float, float, float]:
        """Returns the left side, the right side and the middle of a node's box."""
        x, width = (self.left, self.style.chain) if name in self.main else (self.right, self.style.side)
        return x, x + width, 12 + self.row[name] * self.style.row + self.style.box / 2

    def _node(self, node: Node) -> None:
        style = self.style
        x, end, middle = self._place(node.name)
        top = middle - style.box / 2
        self.picture.box(x, top, end - x, style.box, "box dashed" if node.optional else "box")
        if node.own:
            self.picture.stripe(x, top, style.box)
        lines = wrapped(node.title, style.title, end - x - 16)
        start = middle - (style.name + len(lines) * (style.title + 2)) / 2 + style.name * 0.9
        self.picture.text(x + 11, start, node.name, style.name, "bold")
        for i, line in enumerate(lines, 1):
            self.picture.text(x + 11, start + i * (style.title + 2), line, style.title, "dim")

    def _edge(self, edge: Edge) -> None:
        (x, end, middle), (to_x, to_end, to_middle) = self._place(edge.source), self._place(edge.target)
        half, same = self.style.box / 2, (edge.source in self.main) == (edge.target in self.main)
        down = self.row[edge.target] - self.row[edge.source]
        line = "line" if edge.artifacts else "line dashed"
        if same and down == 1:
            center = x + (end - x) / 2
            self.picture.line([(center, middle + half), (center, to_middle - half)], line, head=True)
            self._name(edge, center + 6, end, (middle + to_middle) / 2 + 4)
        elif same:
            lane = x - self.style.lane + 2
            self.picture.line(
                [(x, middle + 6), (lane, middle + 6), (lane, to_middle - 6), (to_x, to_middle - 6)], line, head=True
            )
        elif down == 0:
            self.picture.line([(x, middle), (to_end, to_middle)], line, head=True)
            self._name(edge, to_end + 8, x, middle - 6)
        elif down == 1:
            lane = (to_end + x) / 2
            self.picture.line(
                [(x, middle + 8), (lane, middle + 8), (lane, to_middle), (to_end, to_middle)], line, head=True
            )
        else:
            lane = end + self.style.lane - 2
            self.picture.line([(end, middle), (lane, middle), (lane, to_middle), (to_end, to_middle)], line, head=True)
            self._name(edge, to_end + 12, lane, to_middle - 6)

    def _name(self, edge: Edge, start: float, end: float, y: float) -> None:
        """Writes the names of as many artifacts as fit between `start` and `end`."""
        names = [", ".join(edge.artifacts[:count]) for count in range(len(edge.artifacts), 0, -1)]
        fitting = [name for name in names if start + width_of(name, self.style.artifact) < end + self.style.lane]
        if fitting:
            self.picture.text(start, y, fitting[0], self.style.artifact, "dim")

    def _legend(self, y: float) -> float:
        """Explains the lines; returns the height of the picture."""
        size = self.style.artifact
        words = (
            "Blue edge: this project's component. Dashed box: only with --tune. "
            "Solid arrow: an artifact. Dashed arrow: order alone."
        )
        lines = wrapped(words, size, self.style.width - 24)
        for i, line in enumerate(lines):
            self.picture.text(12, y + size + i * (size + 4), line, size, "dim")
        return y + len(lines) * (size + 4) + 10


def draw(flow: Flow, style: Style) -> str:
    """Returns the picture as SVG."""
    return _Drawing(flow, style).draw()
