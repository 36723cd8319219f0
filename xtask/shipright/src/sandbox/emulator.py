"""Starts ministack in the network of the engine: what it invokes is there, and so is who pulls from it.

Everybody else is on this machine's loopback: the socket there is opened first, because a socket stays in the network in which it was made.

What listens on this machine's loopback, a registry or a proxy, is on the engine's loopback as well, as if they had one network. Containers
do not reach it.
"""

import asyncio
import contextlib
import ctypes
import os
import socket
import struct
import threading

from hypercorn.config import Config

CLONE_NEWNET = 0x40000000
LOOPBACK = "127.0.0.1"
REACHED_BY_LOOPBACK = {bytes(16), socket.inet_aton(LOOPBACK) + bytes(12)}
# Source: sock_diag(7), and the kernel's `linux/netlink.h`, `linux/sock_diag.h` and `net/tcp_states.h`.
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
TCP_LISTEN = 10
# A program that has begun to listen is seen after this many seconds.
PAUSE = 0.1

setns = ctypes.CDLL(None, use_errno=True).setns


def listen(port):
    here = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        here.bind((LOOPBACK, port))
    except OSError:
        here.close()
        raise
    here.setblocking(False)
    return here


def enter(network):
    """Brings the thread, and no other, into a network."""
    if setns(network, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "failed to enter a network")


def listening():
    """The ports of the thread's network that are reached by its loopback. Far cheaper than reading `/proc/net/tcp`."""
    ports = set()
    with contextlib.suppress(OSError):
        for family in [socket.AF_INET, socket.AF_INET6]:
            ports.update(listening_of(family))
    return ports


def listening_of(family):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as asked:
        request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 0, 1 << TCP_LISTEN)
        header = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
        asked.settimeout(1)
        asked.send(header + request)
        while True:
            answer, place = asked.recv(1 << 16), 0
            while place < len(answer):
                length, kind = struct.unpack_from("=IH", answer, place)
                if kind != SOCK_DIAG_BY_FAMILY:
                    return
                port, address = struct.unpack_from("!20xH2x16s", answer, place)
                if address in REACHED_BY_LOOPBACK:
                    yield port
                place += (length + 3) & ~3


def serve_both(outside):
    create = Config.create_sockets

    def create_sockets(self):
        sockets = create(self)
        sockets.insecure_sockets.append(outside)
        return sockets

    Config.create_sockets = create_sockets


async def copy(reader, writer):
    with contextlib.suppress(OSError):
        while part := await reader.read(1 << 16):
            writer.write(part)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def hand_on(port, reader, writer):
    try:
        to_reader, to_writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(copy(reader, to_writer), copy(to_reader, writer))
    writer.close()
    to_writer.close()


def opened(ports, machine, engine):
    """Sockets on the engine's loopback, of the ports that are free there."""
    sockets = {}
    if not ports:
        return sockets
    enter(engine)
    try:
        for port in ports - listening():
            with contextlib.suppress(OSError):
                sockets[port] = listen(port)
    finally:
        enter(machine)
    return sockets


async def lend(machine, engine, own):
    """Lets what listens on the machine's loopback be reached on the engine's."""
    lent = {}
    while True:
        theirs = listening() - {own}
        for port in lent.keys() - theirs:
            lent.pop(port).close()
        for port, there in opened(theirs - lent.keys(), machine, engine).items():
            client = lambda reader, writer, port=port: hand_on(port, reader, writer)
            lent[port] = await asyncio.start_server(client, sock=there)
        await asyncio.sleep(PAUSE)


def lend_loopback(machine, engine, own):
    enter(machine)
    asyncio.run(lend(machine, engine, own))


network = os.environ.get("ENGINE_NETWORK")
if network:
    port = int(os.environ["GATEWAY_PORT"])
    try:
        outside = listen(port)
    except OSError as error:
        raise SystemExit(f"the port is already in use: {error}")
    machine = os.open("/proc/self/ns/net", os.O_RDONLY)
    engine = os.open(network, os.O_RDONLY)
    enter(engine)
    serve_both(outside)
    threading.Thread(target=lend_loopback, args=(machine, engine, port), daemon=True).start()

from ministack.app import main  # noqa: E402

main()
