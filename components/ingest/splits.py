"""The parts of the data that are train and test: named by the user, or by their names, or by a hash of each image."""

from collections.abc import Collection

from trainer.errors import UserError
from trainer.schema import SettingError

SPLITS = TRAIN, TEST = "train", "test"
_PART = r"[\w.-]+"
_PARTS = rf"{_PART}(\+{_PART})*"
PATTERN = rf"^(train={_PARTS}(,test={_PARTS})?|test={_PARTS}(,train={_PARTS})?)$"

Parts = dict[str, list[str]]  # split -> parts of the data; without `test`, it is taken from train by `is_test`


def given_parts(splits: str | None) -> Parts:
    """Parses a setting such as `train=train+extra,test=validation`, which matches `PATTERN`."""
    sides = (side.split("=") for side in splits.split(",")) if splits else ()
    return {split: parts.split("+") for split, parts in sides}


def parts_of(splits: str | None, present: Collection[str], data: str) -> Parts:
    """Returns the parts of each split. A split that `splits` leaves out is the part of its own name, if there is one.

    Args:
      splits: the setting.
      present: the parts that the data have.
      data: what has them, for errors.

    Raises:
      UserError: there is no part for train.
      SettingError: `splits` names a part twice, or one that is not there.
    """
    found = {split: [split] for split in SPLITS if split in present} | given_parts(splits)
    if TRAIN not in found:
        raise UserError(
            f"{data}, parts",
            valid="one named train",
            value=sorted(present),
            remedy="Say with --splits which of them are train and test, as in --splits train=a+b,test=c",
        )
    used = used_parts(found)
    if unknown := [part for part in used if part not in present]:
        raise SettingError("splits", f"parts of {data}: {', '.join(sorted(present))}", unknown[0])
    if repeated := [part for part in used if used.count(part) > 1]:
        raise SettingError("splits", "each part once", f"{repeated[0]} twice")
    return found


def used_parts(parts: Parts) -> list[str]:
    """Returns the parts of all splits."""
    return [part for names in parts.values() for part in names]


def is_test(digest: bytes, share: float) -> bool:
    """Tells whether the image with this digest of its pixels belongs to test.

    It depends on nothing else, so an image stays on its side whatever is added or removed.
    """
    return int.from_bytes(digest[:8], "big") < share * 2**64
