"""`photo_patches`: an embedded TFDS data set, for machines without network and data.

Its images are 32x32 crops of the two photographs in scikit-learn, with the features of CIFAR-10. The splits train and
test take separate columns of the photographs, so training never sees a pixel of a test image.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

SIZE = 32
COLUMNS = {"train": [(0, 128), (192, 448), (512, 640)], "test": [(128, 192), (448, 512)]}  # of the 640
PATCHES = {"train": 6000, "test": 1000}
PHOTOGRAPHS = {"building": "china.jpg", "flower": "flower.jpg"}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builder of photo_patches, which downloads nothing."""

    name = "photo_patches"
    VERSION = tfds.core.Version("1.0.0")  # change it with what the builder yields: prepared data are not made anew

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
        lefts = np.concatenate([np.arange(start, end - SIZE + 1) for start, end in COLUMNS[split]])
        for i in range(PATCHES[split]):
            label, photograph = list(photographs.items())[i % len(photographs)]
            top, left = rng.integers(photograph.shape[0] - SIZE + 1), rng.choice(lefts)
            patch = photograph[top : top + SIZE, left : left + SIZE]
            key = f"{split}_{i:05d}"
            yield key, {"id": key, "image": patch, "label": label}
