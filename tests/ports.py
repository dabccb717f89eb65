"""Ports of this machine for servers that tests start."""

import itertools
import random
import socket

LOWEST, BEYOND = 10_000, 30_000
"""Below those that the kernel gives to connections, and below Kubernetes' node ports."""

_tried = itertools.count(random.SystemRandom().randrange(LOWEST, BEYOND))


def free_port() -> int:
    """A TCP port that nobody listens on, on any address, and that no connection takes before it is listened on.

    Other processes count from elsewhere, so that two hardly choose the same at once.
    """
    while True:
        port = LOWEST + next(_tried) % (BEYOND - LOWEST)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
