"""TF_CONFIG, the environment variable that gives the workers of a training their addresses. Imports no TensorFlow."""

import json


def addresses(text: str) -> list[str]:
    """Lists the addresses of all processes in the text of TF_CONFIG; none if it is empty.

    Raises:
      ValueError: it is malformed.
    """
    try:
        tasks = json.loads(text or "{}").get("cluster", {}).values()
        return [str.strip(address) for task in tasks for address in task]  # a TypeError for anything but text
    except (AttributeError, TypeError) as error:
        raise ValueError(error) from error
