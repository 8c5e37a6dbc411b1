"""TF_CONFIG, the environment variable that gives the workers of a training their addresses. Imports no TensorFlow."""

import json


def addresses(text: str) -> list[str]:
    """Lists the addresses of all processes in the text of TF_CONFIG; none if it is empty.

    Raises:
      ValueError: it is malformed.
    """
    try:
        found = [address for task in json.loads(text or "{}").get("cluster", {}).values() for address in task]
    except (AttributeError, TypeError) as error:
        raise ValueError(error) from error
    if not all(isinstance(address, str) for address in found):
        raise ValueError(found)
    return found
