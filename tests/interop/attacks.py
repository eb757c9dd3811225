"""What a lying process may send over a channel, byte by byte. docs/transport.md says what is believed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onecopy

FIRST, LAST = 1, 2
HANDLE, DESCRIPTOR, WHOLE, FILE = 1, 2, 3, 4
SHRINK, GROW, WRITE, FUTURE_WRITE = 2, 4, 8, 16  # fcntl's F_SEAL_*
ALL_SEALS = 1 | SHRINK | GROW | WRITE


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def item(form: int, text: bytes = b"", blob: bytes = b"", node: int = 0) -> bytes:
    return struct.pack("<BBHIII", form, 0, 0, node, len(text), len(blob)) + pad(text) + pad(blob)


def packet(items: list[bytes], flags: int = FIRST | LAST, number: int = 1, data: bytes = b"") -> bytes:
    head = struct.pack("<4sHBBIIII", b"1cpy", 1, 2, flags, number, len(items), len(data), 0)
    return head + b"".join(items) + data


def greeting(user: int, host: bytes, store: bytes) -> bytes:
    return struct.pack("<4sHBBIIII", b"1cpy", 1, 1, 0, 0, 0, 0, 0) + struct.pack("<I", user) + host + store


class Liar:
    """The bare socket at the other end of a victim's channel."""

    def __init__(self) -> None:
        self.socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _, _, host, store, _ = onecopy.handle(onecopy.share(np.zeros(3))).split(":")
        self.put(greeting(os.geteuid(), host.encode(), store.encode()))

    def put(self, data: bytes, descriptors: list[int] | None = None) -> None:
        self.socket.settimeout(60)
        socket.send_fds(self.socket, [data], descriptors or [])


def region(values: np.ndarray | None = None) -> bytes:
    """The bytes of a proper region."""
    number = onecopy.sealed_descriptor(np.arange(1000.0) if values is None else values)
    with os.fdopen(number, "rb") as memory:
        return memory.read()


def memfd(content: bytes, seals: int) -> int:
    made = os.memfd_create("attack", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(made, content)
    if seals:
        fcntl.fcntl(made, fcntl.F_ADD_SEALS, seals)
    return made


def hostile_structures(good: bytes) -> Iterator[bytes]:
    """Regions whose tables lie: each 8 bytes of the header and of the first node, one after the other, all ones."""
    for at in range(16, 192, 8):
        yield good[:at] + b"\xff" * 8 + good[at + 8 :]


@dataclass
class Attack:
    """One message, and what the victim must say of it: kinds of errors, or "ok"."""

    name: str
    expected: set[str]
    send: Callable[[Liar], None]


def attacks(folder: Path) -> Iterator[Attack]:
    good = region()
    refused, broken = {"permission"}, {"corrupt"}

    def one(name: str, expected: set[str], descriptor: int, *, keep: bool = False) -> Attack:
        def send(liar: Liar) -> None:
            liar.put(packet([item(DESCRIPTOR)]), [descriptor])
            if not keep:
                os.close(descriptor)

        return Attack(name, expected, send)

    yield one("a proper object", {"ok"}, memfd(good, ALL_SEALS))
    yield one("a directory", broken, os.open(folder, os.O_RDONLY))
    reading, writing = os.pipe()
    yield one("the end of a pipe that reads", broken, reading)
    yield one("the end of a pipe that writes", broken, writing)
    yield one("a device", broken, os.open("/dev/zero", os.O_RDONLY))
    yield one("a socket", broken, socket.socketpair()[0].detach())
    yield one("a path without rights", broken, os.open(folder, os.O_PATH))
    path = folder / "file"
    path.write_bytes(good)
    yield one("a file to read and write", refused, os.open(path, os.O_RDWR))
    yield one("a file to read", refused, os.open(path, os.O_RDONLY))
    yield one("memory without seals", refused, memfd(good, 0))
    yield one("memory that may shrink", refused, memfd(good, GROW | WRITE))
    yield one("memory that may grow", refused, memfd(good, SHRINK | WRITE))
    yield one("memory that may be written", refused, memfd(good, SHRINK | GROW))
    yield one("memory that old mappings may write", refused, memfd(good, SHRINK | GROW | FUTURE_WRITE))
    yield one("nothing", broken, memfd(b"", ALL_SEALS))
    yield one("too few bytes", broken, memfd(good[:100], ALL_SEALS))
    yield one("fewer bytes than it says", broken, memfd(good[:-4096], ALL_SEALS))
    yield one("noise", broken, memfd(os.urandom(100_000), ALL_SEALS))
    for number, content in enumerate(hostile_structures(good)):
        yield one(f"a hostile structure {number}", {"corrupt", "unsupported", "ok"}, memfd(content, ALL_SEALS))

    def bare(name: str, expected: set[str], items: list[bytes], descriptors: list[int] | None = None) -> Attack:
        return Attack(name, expected, lambda liar: liar.put(packet(items), descriptors))

    yield bare("an object without its descriptor", {"system"}, [item(DESCRIPTOR)])
    yield bare("a node that is not there", {"invalid_argument", "corrupt"}, [item(DESCRIPTOR, node=1000)],
               [memfd(good, ALL_SEALS)])
    yield bare("more descriptors than objects", {"ok"}, [item(DESCRIPTOR)], [memfd(good, ALL_SEALS)] * 250)
    yield bare("a form of the future", {"unsupported"}, [item(77)])
    yield bare("a handle to nowhere", {"not_found", "wrong_host"},
               [item(HANDLE, b"onecopy:1:0123456789abcdef:0123456789abcdef:00112233445566778899aabbccddeeff")])
    yield bare("a handle that is a path", {"invalid_argument"}, [item(HANDLE, b"../../etc/passwd")])
    yield bare("bytes that are no region", broken, [item(WHOLE, blob=os.urandom(4096))])
    yield bare("a file that anybody may write", {"permission", "corrupt"},
               [item(FILE, b"/x", struct.pack("<QQ", 0, 4096) + bytes(200))], [os.open(open_to_all(folder), os.O_RDONLY)])

    def interrupted(liar: Liar) -> None:
        liar.put(packet([item(WHOLE, blob=good[:4096])], FIRST, 50))
        liar.put(packet([item(DESCRIPTOR)], FIRST | LAST, 51), [memfd(good, ALL_SEALS)])

    yield Attack("a message that another one interrupts", {"ok"}, interrupted)

    def in_pieces(liar: Liar) -> None:
        numbers = [memfd(region(np.full(1000, float(i))), ALL_SEALS) for i in range(20)]
        for part in range(0, 600, 200):
            flags = (FIRST if part == 0 else 0) | (LAST if part == 400 else 0)
            liar.put(packet([item(DESCRIPTOR)] * 200, flags, 60), numbers * 10)

    yield Attack("600 descriptors in one message", {"ok"}, in_pieces)


def open_to_all(folder: Path) -> Path:
    path = folder / "anybody"
    path.write_bytes(bytes(8192))
    path.chmod(0o666)
    return path


@contextlib.contextmanager
def no_more_descriptors_than_before() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) <= before + 2
