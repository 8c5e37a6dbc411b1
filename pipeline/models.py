"""Finds the model that a user names: by the path of a SavedModel, or by a version in a push directory."""

import os
import re

from components.gate.serving import FORMAT_SERVING, newest, versions
from pipeline.state.served import push_directories
from trainer.errors import ReportedError, UnreadableError, UserError
from trainer.schema import nearest
from trainer.storage.digests import DamageError, below, check_digests, digest_file, read_digests
from trainer.storage.quarantine import damage

NEWEST = "served"
NAME = re.compile(rf"((?P<series>[^/]+)/)?(?P<version>\d+|{NEWEST})")
SAVED_MODEL = "saved_model.pb"


def find_model(name: str, root: str) -> str:
    """Returns the path of the SavedModel `name`, whose files match their digests if any are recorded.

    Args:
      name: a version or `served`, the newest one, with the name of the push directory and a slash before it if there
        are several; or the path of a SavedModel, or of a folder of versions, of which the newest is meant. A folder of
        such a name is given as ./NAME.
      root: the state directory.

    Raises:
      UserError: there is no such model, or several.
      ReportedError: it is damaged.
    """
    match, bases = NAME.fullmatch(name), _push_directories(root)
    if match and (match["series"] is None or match["series"] in bases):
        chosen = {match["series"]: bases[match["series"]]} if match["series"] else bases
        return _version(name, match["version"], chosen, bool(match["series"]) or len(bases) > 1, root)
    path = os.path.abspath(os.path.expanduser(name))
    if os.path.isfile(os.path.join(path, SAVED_MODEL)):
        return _checked(path)
    if os.path.isdir(path):
        if found := newest(path):
            return _checked(found.path)
        sentence = f"the folder {name} has neither a SavedModel nor versions of one"
        raise UserError(sentence, value=path, valid=f"a folder with {SAVED_MODEL}", remedy="Check the path")
    known = _names(bases, len(bases) > 1)
    valid = f"the path of a SavedModel, or a version pushed below {root}: {', '.join(known) or 'there are none'}"
    raise UserError("the model", value=name, valid=valid, remedy=nearest(name, known))


def _push_directories(root: str) -> dict[str, str]:
    """Returns the push directories with versions, by their names."""
    return {name: base for name, base in push_directories(root).items() if versions(base)}


def _names(bases: dict[str, str], in_full: bool) -> list[str]:
    """Returns every name of a version, with that of the push directory if it is asked for `in_full`."""
    return [
        f"{series}/{version}" if in_full else str(version)
        for series, base in bases.items()
        for version in (*versions(base), NEWEST)
    ]


def _version(name: str, version: str, bases: dict[str, str], in_full: bool, root: str) -> str:
    """Returns the path of `version`, called `name`, in the only one of the push directories `bases` that has it."""
    paths = {series: os.path.join(base, _number(base, version)) for series, base in bases.items()}
    paths = {series: path for series, path in paths.items() if os.path.isdir(path)}
    if not paths:
        known = _names(bases, in_full)
        remedy = nearest(name, known) or ("" if known else "Run `vaeiaf run` first, or give its --root")
        valid = f"one of {', '.join(known)}" if known else "a pushed version, and there is none"
        raise UserError(f"no version {name} is pushed below {root}", value=name, valid=valid, remedy=remedy)
    if len(paths) > 1:
        valid = f"one of {', '.join(f'{series}/{version}' for series in paths)}"
        raise UserError(f"{len(paths)} push directories have a version {version}", value=name, valid=valid)
    (path,) = paths.values()
    return _checked(path, recorded=True)


def _number(base: str, version: str) -> str:
    return str(versions(base)[-1]) if version == NEWEST else version


def _checked(path: str, recorded: bool = False) -> str:
    """Returns `path` if its files match their digests. A copy elsewhere has none, which `recorded` does not allow."""
    try:
        fault = damage(path) if recorded or os.path.exists(digest_file(path)) else _artifact_damage(path)
    except OSError as error:
        raise UnreadableError("the model", path, error) from error
    if fault:
        remedy = "Name another version, or restore it; `vaeiaf verify` checks all of them"
        raise ReportedError(f"the model is damaged: {fault}", value=path, remedy=remedy)
    return path


def _artifact_damage(path: str) -> str | None:
    """Describes the damage to a SavedModel in a Model artifact, whose digests lie beside the artifact."""
    artifact, folder = os.path.split(path)
    if folder != FORMAT_SERVING or not os.path.exists(digest_file(artifact)):
        return None
    try:
        check_digests(path, below(read_digests(artifact), folder))
    except DamageError as error:
        return str(error)
    return None
