"""`photo_patches`: a TFDS data set for machines with no network and no data.

32x32 crops of the two photographs that scikit-learn ships, with the features of CIFAR-10. Train and test
come from separate regions, so that no test pixel has been seen in training.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

SIZE = 32
TEST_COLUMNS = 160  # the right quarter of each photograph, 640 columns wide
PATCHES = {"train": 6000, "test": 1000}
PHOTOGRAPHS = {"building": "china.jpg", "flower": "flower.jpg"}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builder of photo_patches; needs no download."""

    name = "photo_patches"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(SIZE, SIZE, 3)),
                    "label": tfds.features.ClassLabel(names=list(PHOTOGRAPHS)),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in PATCHES}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        from sklearn import datasets

        rng = np.random.default_rng(list(PATCHES).index(split))
        photographs = {label: datasets.load_sample_image(file) for label, file in PHOTOGRAPHS.items()}
        regions = {
            label: photo[:, :-TEST_COLUMNS] if split == "train" else photo[:, -TEST_COLUMNS:]
            for label, photo in photographs.items()
        }
        for i in range(PATCHES[split]):
            label = list(regions)[i % len(regions)]
            height, width, _ = regions[label].shape
            top, left = rng.integers(height - SIZE + 1), rng.integers(width - SIZE + 1)
            patch = regions[label][top : top + SIZE, left : left + SIZE]
            key = f"{split}_{i:05d}"
            yield key, {"id": key, "image": patch, "label": label}
