"""The pushed versions of a state directory, and digests of their weights and files."""

import hashlib
import pathlib

from components.card.names import FILES
from tests.chaos.processes import in_child
from tests.chaos.recipes import PIPELINE


def versions(root: pathlib.Path) -> dict[int, str]:
    """Returns the digest of the files of each pushed version by number, oldest first."""
    folder = root / "pushed" / PIPELINE
    found = [path for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []
    return {int(path.name): tree(path) for path in sorted(found, key=lambda path: int(path.name))}


def version_folder(root: pathlib.Path, number: int) -> pathlib.Path:
    """Returns the folder of a pushed version."""
    return root / "pushed" / PIPELINE / str(number)


def tree(folder: pathlib.Path) -> str:
    """Returns a digest of the names and bytes below a folder; a model card is none of the model's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and str(path.relative_to(folder)) not in FILES:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(folder)}\0{content}\n".encode())
    return digest.hexdigest()


def weights(model: pathlib.Path) -> str:
    """Returns a digest of the variables of a SavedModel, to the bit, or the reason why it is not readable."""
    try:
        return in_child(_weights, str(model))
    except RuntimeError as error:
        return f"unreadable: {str(error).strip().splitlines()[-1]}"


def _weights(model: str) -> str:
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    graph = saved_model_pb2.SavedModel()
    graph.ParseFromString(pathlib.Path(model, "saved_model.pb").read_bytes())
    if not graph.meta_graphs or not graph.meta_graphs[0].signature_def:
        raise ValueError("saved_model.pb has no signatures")
    digest = hashlib.sha256()
    reader = tf.train.load_checkpoint(f"{model}/variables/variables")
    for name in sorted(reader.get_variable_to_shape_map()):
        if not name.startswith("_CHECKPOINTABLE") and not name.startswith("save_counter"):
            value = reader.get_tensor(name)
            content = value.tobytes() if value.dtype != object else repr(value).encode()
            digest.update(f"{name} {value.dtype} {value.shape}\0".encode() + content)
    return digest.hexdigest()
