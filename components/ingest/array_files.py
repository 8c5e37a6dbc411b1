"""Arrays of NumPy as images: `.npz` files of images and labels, and `.npy` files of images."""

import dataclasses
import os
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from components.ingest.arrays import Array, header, mapped, names_in, rows_of
from components.ingest.labels import label_text
from components.ingest.own_files import files_fingerprint
from components.ingest.prepared import Shard
from components.ingest.records import Batch, Fault
from components.ingest.splits import TRAIN
from components.ingest.unreadable import unreadable
from trainer.errors import UserError

SUFFIXES = (".npz", ".npy")
SHARD_ROWS = 8192
LABELS_FILE = "labels.npy"  # the labels of images.npy in the same folder
PAIRS = {"images": "labels", "x": "y"}  # an array of images in a file of one part -> that of its labels
VALID = "images or x, with labels or y if there are any; or x_train and y_train, x_test and y_test"


class Member(NamedTuple):
    """Images and their labels. Paths are below the location; an array without a name is an .npy file."""

    file: str
    images: str
    labels_file: str  # empty without labels
    labels: str


@dataclasses.dataclass(frozen=True)
class ArrayFiles:
    """Arrays below the folder `location`: images [N, H, W, C] or [N, H, W] uint8, and labels [N] or [N, 1].

    Labels are integers or texts.

    Args:
      location: the folder.
      members: part -> the fields of its members, each a list. A file of another kind is a member without arrays.
    """

    KIND: ClassVar[str] = "arrays"
    location: str
    members: dict[str, list[list[str]]]

    @classmethod
    def of(cls, location: str, files: dict[str, list[str]]) -> "ArrayFiles":
        """Finds the arrays in the files of each part.

        Raises:
          UserError: a file is damaged or has no array of images; arrays do not fit each other; or some have no labels.
        """
        members: dict[str, list[list[str]]] = {}
        for part, names in files.items():
            for name in names:
                for of_part, member in _members(location, name, names, part):
                    members.setdefault(of_part, []).append(list(member))
        source = cls(location, members)
        arrays = [member for part in members for member in source._of(part) if _is_array(member.file)]
        for member in arrays:
            source._check(member)
        if len({bool(member.labels_file) for member in arrays}) > 1:
            without = [member.file for member in arrays if not member.labels_file]
            remedy = "Add the labels that are missing, or remove all others"
            raise UserError(f"{location}, labels", valid="for all images or for none", value=without, remedy=remedy)
        return source

    @property
    def parts(self) -> list[str]:
        """The names of the parts."""
        return list(self.members)

    @property
    def labelled(self) -> bool:
        """Whether there are arrays of labels."""
        return any(member.labels_file for part in self.members for member in self._of(part))

    def paths(self, parts: list[str]) -> list[str]:
        """Returns the files of images and labels."""
        names = {name for part in parts for member in self._of(part) for name in (member.file, member.labels_file)}
        return sorted(names - {""})

    def fingerprint(self, parts: list[str]) -> str:
        """Returns a hash of the names and contents of the files."""
        return files_fingerprint(self.location, self.paths(parts))

    def shards(self, part: str) -> Iterator[Shard]:
        """Yields ranges of rows; a compressed array is one, because it is read from its start."""
        for member in self._of(part):
            path = os.path.join(self.location, member.file)
            if not _is_array(member.file):
                yield Shard(path, self.KIND, 1, (member.file,))
                continue
            images, labels = self._arrays(member)
            rows = header(images).shape[0]
            in_pieces = mapped(images) is not None and (labels is None or mapped(labels) is not None)
            step = SHARD_ROWS if in_pieces else rows
            for first in range(0, rows, max(step, 1)):
                yield Shard(path, self.KIND, min(step, rows - first), (*member, str(first)))

    def read(self, shard: Shard) -> Iterator[Batch | Fault]:
        """Yields the images as PNG. An id is the file, the array's name and the row."""
        if len(shard.names) == 1:
            yield unreadable(os.fsencode(shard.names[0]), "format: expected an array, .npz or .npy, as other files are")
            return
        *fields, start = shard.names
        member, first = Member(*fields), int(start)
        images, labels = self._arrays(member)
        name = f"{member.file}/{member.images}" if member.images else member.file
        marks = rows_of(labels, first, shard.records) if labels else None
        for batch in rows_of(images, first, shard.records):
            ids = [os.fsencode(f"{name}__{first + i}") for i in range(len(batch))]
            pixels = batch if batch.ndim == 4 else batch[..., None]
            found: list[bytes | None] = [None] * len(ids)
            if marks:
                found = [label_text(mark) for mark in next(marks).reshape(-1).tolist()]
            yield Batch(first, tf.io.encode_png(pixels).numpy(), found, ids)
            first += len(batch)

    def _of(self, part: str) -> list[Member]:
        return [Member(*member) for member in self.members[part]]

    def _arrays(self, member: Member) -> tuple[Array, Array | None]:
        """Returns the arrays of images and of labels."""
        images, labels = (os.path.join(self.location, file) for file in (member.file, member.labels_file))
        return Array(images, member.images), Array(labels, member.labels) if member.labels_file else None

    def _check(self, member: Member) -> None:
        """Raises UserError unless the arrays of `member` are images and a label for each."""
        images, labels = self._arrays(member)
        found = header(images)
        mapped(images)  # reveals a file that is too short
        grey, channels = len(found.shape) == 3, found.shape[3:]
        if found.dtype != np.uint8 or not (grey or (len(channels) == 1 and 1 <= channels[0] <= 4)):
            raise UserError(
                str(images),
                valid="uint8 [N, H, W] or [N, H, W, C] with 1 to 4 channels",
                value=f"{found.dtype} {list(found.shape)}",
                remedy="Convert the images to bytes, with the channels last",
            )
        if found.columns_first:
            remedy = "Write it from numpy.ascontiguousarray"
            raise UserError(f"{images}, order", valid="rows first", value="columns first", remedy=remedy)
        if labels is None:
            return
        marks, count = header(labels), found.shape[0]
        if marks.dtype.kind not in "iuSU" or marks.shape not in ((count,), (count, 1)):
            value, valid = f"{marks.dtype} {list(marks.shape)}", f"integers or texts [{count}], one for each image"
            raise UserError(str(labels), valid=valid, value=value, remedy="Give each image one label")


def _is_array(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _members(location: str, name: str, names: list[str], part: str) -> Iterator[tuple[str, Member]]:
    """Yields the arrays of images in a file, each with its part."""
    if not _is_array(name):
        yield part, Member(name, "", "", "")
    elif name.endswith(".npy"):
        labels = os.path.join(os.path.dirname(name), LABELS_FILE)
        if name != labels:
            paired = os.path.basename(name) == "images.npy" and labels in names
            yield part, Member(name, "", labels if paired else "", "")
    else:
        arrays = names_in(os.path.join(location, name))
        found = [(part, *pair) for pair in PAIRS.items() if pair[0] in arrays]
        if not found and part == TRAIN:
            found = [(array[2:], array, f"y_{array[2:]}") for array in arrays if array.startswith("x_")]
        if not found:
            path = os.path.join(location, name)
            raise UserError(f"{path}, names of arrays", valid=VALID, value=arrays, remedy="Rename the arrays")
        for of_part, images, labels in found:
            yield of_part, Member(name, images, *((name, labels) if labels in arrays else ("", "")))
