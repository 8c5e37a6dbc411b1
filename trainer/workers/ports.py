"""Free ports of this machine, reserved for workers."""

import contextlib
import socket
from collections.abc import Iterator

from trainer.errors import ReportedError


@contextlib.contextmanager
def reserved_ports(count: int) -> Iterator[list[int]]:
    """Yields free ports that no other program can take within the block.

    TensorFlow listens on its port only seconds after it starts. Until then a socket that does not listen holds the port
    and shares it with sockets of this user that ask for that, which TF_GRPC_REUSE_PORT makes TensorFlow do.

    Raises:
      ReportedError: there are too few ports or sockets.
    """
    with contextlib.ExitStack() as stack:
        try:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for held in sockets:
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                held.bind(("127.0.0.1", 0))
        except OSError as error:
            remedy = "Close other programs, and start again"
            raise ReportedError(f"no ports for {count} workers", value=count, remedy=remedy, cause=error) from error
        yield [held.getsockname()[1] for held in sockets]
