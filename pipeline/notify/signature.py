"""Signatures of Standard Webhooks 1.0 (https://www.standardwebhooks.com), symmetric."""

import base64
import binascii
import hashlib
import hmac

from pipeline.settings import NOTIFY_SECRET
from trainer.errors import UserError

PREFIX = "whsec_"
BYTES = (24, 64)  # of a key, at least and at most


def signing_key(secret: str) -> bytes:
    """Returns the key that a secret stands for: its base64, decoded.

    Raises:
      UserError: it is no such secret. The error does not show it.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        key = b""
    if not BYTES[0] <= len(key) <= BYTES[1]:
        raise UserError(
            f"{NOTIFY_SECRET} is not {PREFIX} and the base64 of {BYTES[0]} to {BYTES[1]} bytes",
            remedy=f'Make one with echo "{PREFIX}$(openssl rand -base64 32)"',
        )
    return key


def signature(key: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """Returns the header `webhook-signature`: HMAC-SHA256 over id, timestamp in seconds since 1970, and body."""
    signed = b".".join([identity.encode(), str(timestamp).encode(), body])
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"
