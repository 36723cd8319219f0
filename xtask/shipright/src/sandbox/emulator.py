"""Starts ministack in the network of the engine: what it invokes is there, and so is who pulls from it.

Everybody else is on this machine's loopback: the socket there is opened first, because a socket stays in the network in which it was made.
"""

import ctypes
import os
import socket

from hypercorn.config import Config

CLONE_NEWNET = 0x40000000


def listen(port):
    here = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    here.bind(("127.0.0.1", port))
    here.setblocking(False)
    return here


def enter(network):
    namespace = os.open(network, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"failed to enter {network}")
    os.close(namespace)


def serve_both(outside):
    create = Config.create_sockets

    def create_sockets(self):
        sockets = create(self)
        sockets.insecure_sockets.append(outside)
        return sockets

    Config.create_sockets = create_sockets


network = os.environ.get("ENGINE_NETWORK")
if network:
    try:
        outside = listen(int(os.environ["GATEWAY_PORT"]))
    except OSError as error:
        raise SystemExit(f"the port is already in use: {error}")
    enter(network)
    serve_both(outside)

from ministack.app import main  # noqa: E402

main()
