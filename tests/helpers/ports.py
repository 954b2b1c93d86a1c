"""A port to meet at."""

import socket


def free_port():
    """One of this machine that nothing listens on now."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]
