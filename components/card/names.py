"""The files of a model card, and the identity of a model without them."""

from trainer.storage.digests import Digests, identity

FACTS, MARKDOWN, HTML = (f"assets.extra/model_card.{end}" for end in ("json", "md", "html"))  # servers ignore them
FILES = (FACTS, MARKDOWN, HTML)


def without_card(digests: Digests) -> Digests:
    """Returns the digests of the other files, which all versions of a model share."""
    return {name: digest for name, digest in digests.items() if name not in FILES}


def model_identity(digests: Digests) -> str:
    """Returns a digest of a SavedModel's content but its card; equal digests mean the same model."""
    return identity(without_card(digests))
