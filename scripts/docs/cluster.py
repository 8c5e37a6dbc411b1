"""The picture of what runs where on a cluster: a box for each kind of pod, a rail for each thing that pods share."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scripts.docs.deployment import API, DATABASE, WORKERS, Deployment, Workload
from scripts.docs.svg import Picture, wrapped

TITLE = "What runs where on a cluster, and what it uses"
EDGE = 10  # between the picture's border and its contents
GAP = 22  # between two boxes


class Style(NamedTuple):
    """The lengths, in pixels, of one of the two layouts."""

    width: int
    margin: int  # left of the boxes, for the lines between them
    rail: int  # distance between two rails
    name: float  # font sizes
    text: float


WIDE = Style(width=720, margin=44, rail=70, name=15, text=12.5)
NARROW = Style(width=328, margin=26, rail=26, name=12, text=10.5)


class _Box(NamedTuple):
    top: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


class _Drawing:
    """The picture in one of the layouts."""

    def __init__(self, deployment: Deployment, style: Style) -> None:
        self.deployment, self.style = deployment, style
        self.picture = Picture(TITLE, style.width)
        count = len(deployment.rails)
        self.rails = {
            name: style.width - 24 - (count - 1 - place) * style.rail for place, name in enumerate(deployment.rails)
        }

    def draw(self) -> str:
        style = self.style
        command, service = self._boxes(EDGE, self.deployment.starters, style.width - style.margin - EDGE)
        starts, frame, top = self._headings(service.bottom + GAP)
        width = min(self.rails.values()) - style.margin - 16
        workloads = self.deployment.workloads
        boxes = self._boxes(top, [(pod.name, pod.lines) for pod in workloads], width, draw=False)
        bottom = boxes[-1].bottom + EDGE
        for name, x in self.rails.items():
            self.picture.line([(x, starts[name]), (x, bottom - EDGE)], "rail")
        self.picture.box(EDGE / 2, frame, style.width - EDGE, bottom - frame, "frame dashed")
        self._boxes(top, [(pod.name, pod.lines) for pod in workloads], width)
        for pod, box in zip(workloads, boxes, strict=True):
            self._uses(pod, box)
        self._arrows(command, service, dict(zip([pod.name for pod in workloads], boxes, strict=True)))
        return self.picture.svg(self._legend(bottom))

    def _boxes(
        self, y: float, contents: Iterable[tuple[str, Sequence[str]]], width: float, draw: bool = True
    ) -> list[_Box]:
        """Draws boxes from `y` downwards, each with a name in bold above lines of text."""
        x, (*_, size, small) = self.style.margin, self.style
        boxes = []
        for name, texts in contents:
            names = wrapped(name, size * 1.06, width - 20)
            lines = [line for text in texts for line in wrapped(text, small, width - 20)]
            height = 12 + len(names) * (size + 3) + len(lines) * (small + 3)
            boxes.append(_Box(y, y + height))
            if draw:
                self.picture.box(x, y, width, height)
                for i, line in enumerate(names, 1):
                    self.picture.text(x + EDGE, y + 3 + i * (size + 3), line, size, "bold")
                for i, line in enumerate(lines, 1):
                    below = y + 5 + len(names) * (size + 3) + i * (small + 3)
                    self.picture.text(x + EDGE, below, line, small, "dim")
            y += height + GAP
        return boxes

    def _headings(self, y: float) -> tuple[dict[str, float], float, float]:
        """Labels the rails from right to left; returns the tops of each rail, of the frame and of the first box."""
        style, starts, frame = self.style, {}, y
        for name, x in reversed(self.rails.items()):
            for line in wrapped(self.deployment.rails[name], style.text, x - 2 * EDGE):
                self.picture.text(x + 6, y + style.text, line, style.text, "bold", "end")
                y += style.text + 4
            starts[name] = y + 2
            y += 6
            if name == API:  # outside the namespace
                frame = y
                namespace = f"namespace {self.deployment.namespace}"
                self.picture.text(style.margin, y + style.text + 6, namespace, style.text, "dim")
                y += style.text + 16
        return starts, frame, y + EDGE

    def _uses(self, pod: Workload, box: _Box) -> None:
        end = max(self.rails[rail] for rail in pod.uses)
        self.picture.line([(min(self.rails.values()) - 16, box.middle), (end, box.middle)])
        for rail, writes in pod.uses.items():
            self.picture.dot(self.rails[rail], box.middle, "accent" if writes else "open")

    def _arrows(self, command: _Box, service: _Box, boxes: dict[str, _Box]) -> None:
        """Draws an arrow from the starter of a pod to the pod."""
        margin, (*_, small) = self.style.margin, self.style
        center, lane = margin + 30, margin - 10
        self.picture.line([(center, command.bottom), (center, service.top)], head=True)
        tasks = [pod for pod in self.deployment.workloads if DATABASE in pod.uses]
        for pod in tasks:
            y = boxes[pod.name].middle
            self.picture.line([(margin, service.middle), (lane, service.middle), (lane, y), (margin, y)], head=True)
        (trainer,) = [boxes[pod.name] for pod in tasks if API in pod.uses]
        (job,) = [box for name, box in boxes.items() if name.startswith(WORKERS)]
        self.picture.line([(center, trainer.bottom), (center, job.top)], head=True)
        words = "for several workers, or a TPU"
        self.picture.text(center + 8, (trainer.bottom + job.top) / 2 + 4, words, small, "dim")

    def _legend(self, y: float) -> float:
        """Explains the dots; returns the height of the picture."""
        size = self.style.text
        words = "Full dot: uses it. Empty dot: only reads it. Arrow: starts it."
        for i, line in enumerate(wrapped(words, size, self.style.width - 3 * EDGE), 1):
            self.picture.text(EDGE, y + 6 + i * (size + 4), line, size, "dim")
        return y + 6 + i * (size + 4) + EDGE


def draw(deployment: Deployment, style: Style) -> str:
    """Returns the picture as SVG."""
    return _Drawing(deployment, style).draw()
