"""Objects as descriptors: to children, over bare sockets, through /proc, to other users; and who may change what."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

import onecopy

WAIT = 60
NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def run(code: str, *args: str, **popen) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), *args], capture_output=True, text=True,
                          timeout=120, **popen)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_any_object_as_sealed_memory(python):
    for obj in (np.arange(100_000.0), onecopy.share(np.arange(100_000.0)), {"a": np.arange(5), "s": "text"}, [1, None]):
        number = onecopy.sealed_descriptor(obj)
        seals = fcntl.fcntl(number, fcntl.F_GET_SEALS)
        assert seals & (fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE) == 14
        back = onecopy.receive_descriptor(number)
        os.close(number)
        if isinstance(obj, np.ndarray):
            np.testing.assert_array_equal(back, obj)
        elif isinstance(obj, dict):
            assert list(back["a"]) == [0, 1, 2, 3, 4] and back["s"] == "text"
        else:
            assert list(back) == obj
        del back


def test_sealed_memory_is_not_copied_again():
    here, there = onecopy.Channel.pair(peer="stranger", inline_limit=0)
    with here, there:
        here.send(np.arange(100_000.0))
        x = there.receive(timeout=WAIT)
    copies = []
    onecopy.report_copies(1000, lambda *what: copies.append(what))
    try:
        first, second = onecopy.sealed_descriptor(x), onecopy.sealed_descriptor(x)
        stored = onecopy.share(np.arange(100_000.0))
        third, fourth = onecopy.sealed_descriptor(stored), onecopy.sealed_descriptor(stored)
    finally:
        onecopy.report_copies(0)
    assert os.fstat(first).st_ino == os.fstat(second).st_ino
    assert os.fstat(third).st_ino == os.fstat(fourth).st_ino
    assert len(copies) == 1
    for one in (first, second, third, fourth):
        os.close(one)


def test_parts_and_frames_and_what_cannot_be_sealed():
    frame = onecopy.share(pd.DataFrame({"a": np.arange(10_000), "s": ["x", "y"] * 5000}))
    number = onecopy.sealed_descriptor(frame)
    pd.testing.assert_frame_equal(onecopy.receive_descriptor(number), frame)
    os.close(number)
    number = onecopy.sealed_descriptor(onecopy.share(np.arange(1000))[10:20])
    assert list(onecopy.receive_descriptor(number)) == list(range(10, 20))
    os.close(number)
    with pytest.raises(onecopy.PermissionDenied):
        onecopy.sealed_descriptor(onecopy.empty(1000, "f8", mutable=True))
    for wrong in (987_654, -1):
        with pytest.raises((onecopy.SystemFailure, onecopy.Corrupt, onecopy.InvalidArgument)):
            onecopy.receive_descriptor(wrong)


def test_children_inherit_it_and_others_find_it_in_proc():
    number = onecopy.sealed_descriptor(np.arange(100_000.0))
    code = "import sys, onecopy; x = onecopy.receive_descriptor(int(sys.argv[1])); print(x[-1], x.flags.writeable)"
    assert run(code, str(number), pass_fds=[number]) == "99999.0 False"
    found = f"/proc/{os.getpid()}/fd/{number}"
    assert run("import sys, onecopy; print(onecopy.receive_descriptor(open(sys.argv[1]))[-1])", found) == "99999.0"
    os.close(number)


def test_bare_sockets_and_ordinary_messages():
    """With the standard library's send_fds: no channel, bytes beside the descriptors, 300 of them in two messages."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    numbers = [onecopy.sealed_descriptor(np.full(1000, i)) for i in range(300)]
    with here, there:
        for first in (0, 250):
            socket.send_fds(here, [b"numbers"], numbers[first : first + 250])
        seen = []
        for _ in range(2):
            text, received, _, _ = socket.recv_fds(there, 100, 253)
            assert text == b"numbers"
            for one in received:
                seen.append(int(onecopy.receive_descriptor(one)[-1]))
                os.close(one)
        assert seen == list(range(300))
    for one in numbers:
        os.close(one)


def test_hundreds_of_descriptors_in_one_message():
    here, there = onecopy.Channel.pair(peer="stranger", inline_limit=0)
    with here, there:
        before = len(os.listdir("/proc/self/fd"))
        here.send_message(b"all", [np.full(1000, i) for i in range(600)])
        message = there.receive_message(timeout=WAIT)
        assert message.data == b"all"
        assert [int(one[0]) for one in message.objects] == list(range(600))
        del message
        assert len(os.listdir("/proc/self/fd")) <= before + 600


# What a process with a descriptor can try: each prints what it managed to do.
TRY_TO_CHANGE = """
import mmap, os, sys
import numpy, onecopy, onecopy._objects.opaque
def become_nobody():  # after the imports, as the folders of the tests may be closed to others
    os.environ["ONECOPY_DIR"] = sys.argv[2]
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
def attempts(number):
    path = f"/proc/self/fd/{number}"
    yield "write", lambda: os.pwrite(number, b"bad", 4096)
    yield "cut", lambda: os.truncate(path, 0)
    yield "open to write", lambda: os.pwrite(os.open(path, os.O_RDWR), b"bad", 4096)
    yield "map to write", lambda: mmap.mmap(number, 0)
def changed(number):
    done = []
    for name, attempt in attempts(number):
        try:
            attempt()
            done.append(name)
        except (OSError, PermissionError):
            pass
    return done
"""


@pytest.fixture
def of_nobody():
    """Where a store of nobody's may be made."""
    folder = f"/dev/shm/onecopy-nobody-{os.getpid()}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@needs_root
def test_another_user_reads_and_cannot_write(of_nobody):
    x = onecopy.share(np.arange(100_000.0))
    number = onecopy.sealed_descriptor(x)
    code = TRY_TO_CHANGE + textwrap.dedent("""
        become_nobody()
        x = onecopy.receive_descriptor(int(sys.argv[1]))
        print(os.getuid(), x[-1], x.flags.writeable, changed(int(sys.argv[1])))
    """)
    assert run(code, str(number), of_nobody, pass_fds=[number]) == "65534 99999.0 False []"
    assert x[0] == 0 and onecopy.receive_descriptor(number)[1] == 1
    os.close(number)


@needs_root
def test_another_user_at_the_other_end_of_a_channel(of_nobody):
    here, there = onecopy.Channel.pair()
    code = TRY_TO_CHANGE + textwrap.dedent("""
        become_nobody()
        c = onecopy.Channel(int(sys.argv[1]))
        c.send(b"hello")
        x = c.receive(timeout=60)
        c.send(f"{x[-1]} {changed(onecopy.sealed_descriptor(x))}".encode())
        c.send(Exception("pickled"))
        c.receive(timeout=60)
    """)
    child = subprocess.Popen([sys.executable, "-c", code, str(there.fileno()), of_nobody], pass_fds=[there.fileno()])
    there.close()
    with here:
        who = here.wait_for_peer(WAIT)
        assert (who.user, who.same_store, who.known) == (NOBODY, False, True)
        assert here.receive(timeout=WAIT) == b"hello"
        here.send(onecopy.share(np.arange(100_000.0)))
        assert here.receive(timeout=WAIT) == b"99999.0 []"
        # Code of another user is not run here.
        with pytest.raises(onecopy.PermissionDenied):
            here.receive(timeout=WAIT)
        here.send(b"")
        assert child.wait(WAIT) == 0


@needs_root
def test_who_says_to_be_us_is_not_believed(of_nobody):
    """A process of another user that claims our number and our store, and sends a pickle."""
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with first, second, onecopy.Channel(first) as victim:
        pickled = onecopy.sealed_descriptor(Evil())
        _, _, host, store, _ = onecopy.handle(onecopy.share(np.zeros(3))).split(":")
        code = TRY_TO_CHANGE + textwrap.dedent("""
            import socket, struct
            become_nobody()
            s = socket.socket(fileno=int(sys.argv[1]))
            head = lambda kind, flags, items: struct.pack("<4sHBBIIII", b"1cpy", 1, kind, flags, 1, items, 0, 0)
            s.send(head(1, 0, 0) + struct.pack("<I", 0) + sys.argv[4].encode() + sys.argv[5].encode())
            socket.send_fds(s, [head(2, 3, 1) + struct.pack("<BBHIII", 2, 0, 0, 0, 0, 0)], [int(sys.argv[3])])
        """)
        run(code, str(second.fileno()), of_nobody, str(pickled), host, store, pass_fds=[second.fileno(), pickled])
        with pytest.raises(onecopy.PermissionDenied):
            victim.receive(timeout=WAIT)
        assert victim.peer().user == NOBODY
        os.close(pickled)


class Evil:
    """Pickled as a call; to read it would make a folder."""

    def __reduce__(self):
        return os.makedirs, ("/nonexistent/by a pickle",)
