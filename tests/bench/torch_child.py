"""The PyTorch baselines, in a process without TensorFlow's threads.

`python -m tests.bench.torch_child BATCH_SIZE...` first writes the names and batch sizes of its contestants as a line of
JSON. For each input line, the number of a contestant, it measures a round and writes a line with images per second.
"""

import itertools
import json
import os
import sys
from collections.abc import Iterator

import torch

from tests.bench.rounds import measurer
from tests.bench.torch_models import PIXELS, PlainVAE, PythaeVAE

IMAGES, LEARNING_RATE = 10_000, 1e-4
MODELS = {"PyTorch": PlainVAE, "pythae VAE_IAF": PythaeVAE}


def train(loss_of: torch.nn.Module, batch_size: int) -> Iterator[int]:
    """Trains without end on shuffled bytes in memory; yields the number of images of each step."""
    pixels = torch.randint(0, 256, [IMAGES, PIXELS], dtype=torch.uint8)
    optimizer = torch.optim.Adam(loss_of.parameters(), LEARNING_RATE)
    while True:
        for rows in torch.randperm(IMAGES).split(batch_size)[: IMAGES // batch_size]:
            loss = loss_of(pixels[rows].float() / 255.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield batch_size


def main() -> None:
    """Measures contestants until the input ends."""
    torch.set_num_threads(os.cpu_count() or 1)
    contestants = list(itertools.product(MODELS, map(int, sys.argv[1:])))
    measures = [measurer(train(MODELS[name](), batch_size)) for name, batch_size in contestants]
    print(json.dumps(contestants), flush=True)
    for line in sys.stdin:
        print(measures[int(line)](), flush=True)


if __name__ == "__main__":
    main()
