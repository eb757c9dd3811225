"""Channels, caches, mapped files and weak references."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pandas as pd
import pytest

import onecopy

WAIT = 60


@pytest.fixture
def ends():
    here, there = onecopy.Channel.pair()
    with here, there:
        yield here, there


def test_bytes_arrive_in_order_and_apart(ends):
    here, there = ends
    for sent in (b"one", b"", bytearray(b"two"), memoryview(b"three"), os.urandom(300_000)):
        here.send(sent)
        assert there.receive(timeout=WAIT) == bytes(sent)


@pytest.mark.parametrize("obj", [
    1, 2.5, None, True, "text", [1, "a", None], {"a": [1, 2]}, {1, 2}, (1, (2, 3)), np.arange(100_000.0),
    np.arange(6).reshape(2, 3), np.float32(1.5), pd.DataFrame({"a": [1, 2], "s": ["x", None]}), 3 + 4j,
])  # fmt: skip
def test_objects_of_all_kinds(ends, obj):
    here, there = ends
    here.send(obj)
    got = there.receive(timeout=WAIT)
    if isinstance(obj, pd.DataFrame):
        pd.testing.assert_frame_equal(got, obj)
    elif isinstance(obj, np.ndarray):
        np.testing.assert_array_equal(got, obj)
    else:
        assert got == obj


def test_a_shared_array_arrives_as_the_same_memory(ends):
    here, there = ends
    x = onecopy.share(np.arange(100_000.0))
    here.send(x)
    y = there.receive(timeout=WAIT)
    assert np.shares_memory(x, y)
    assert onecopy.handle(x) == onecopy.handle(y)


def test_bytes_and_many_objects_in_one_message(ends):
    here, there = ends
    arrays = [onecopy.share(np.full(2000, i)) for i in range(600)]
    sender = threading.Thread(target=here.send_message, args=(b"all", arrays))
    sender.start()
    message = there.receive_message(timeout=WAIT)
    sender.join()
    assert message.data == b"all"
    assert [int(one[0]) for one in message.objects] == list(range(600))


def test_a_stranger_gets_sealed_memory(ends):
    here, there = onecopy.Channel.pair(peer="stranger", inline_limit=0)
    seen = []
    onecopy.report_copies(100_000, lambda size, what, place: seen.append((size, what, place)))
    try:
        x = onecopy.share(np.arange(100_000.0))
        here.send(x)
        y = there.receive(timeout=WAIT)
        here.send(b"x" * 200_000)
    finally:
        onecopy.report_copies(0)
    np.testing.assert_array_equal(x, y)
    assert not np.shares_memory(x, y)
    assert not y.flags.writeable
    assert len(seen) == 2
    assert seen[0][0] >= 800_000 and "sealed" in seen[0][1]
    assert all(place.startswith("test_transport.py:") for _, _, place in seen)


def test_timeouts_polling_and_the_end_of_the_peer(ends):
    here, there = ends
    with pytest.raises(onecopy.Timeout):
        there.receive(timeout=0.01)
    assert there.try_receive() is None
    here.send(b"x")
    assert select.select([there], [], [], WAIT)[0]
    assert there.receive(timeout=0) == b"x"
    block = b"b" * 30_000
    with pytest.raises(TimeoutError):
        for _ in range(1000):
            here.send(block, timeout=0.01)
    here.close()
    with pytest.raises(onecopy.PeerClosed):
        while there.receive(timeout=WAIT) == block:
            pass
    with pytest.raises(onecopy.InvalidArgument):
        here.send(b"x")
    assert here.fileno() == -1 and "closed" in repr(here)


def test_only_packet_sockets_make_channels():
    first, second = socket.socketpair()
    with first, second, pytest.raises(onecopy.InvalidArgument):
        onecopy.Channel(first)
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with first, second:
        a, b = onecopy.Channel(first), onecopy.Channel(second.fileno())
        a.send([1, 2])
        assert b.receive(timeout=WAIT) == [1, 2]
    for wrong in ({"inline_limit": -1}, {"inline_limit": 16385}, {"peer": "friend"}):
        with pytest.raises(onecopy.InvalidArgument):
            onecopy.Channel.pair(**wrong)


def test_noise_closes_this_channel_only():
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with first, second:
        victim = onecopy.Channel(first)
        second.send(b"GET / HTTP/1.1")
        with pytest.raises(onecopy.Corrupt):
            victim.receive(timeout=WAIT)
        with pytest.raises(onecopy.PeerClosed):
            victim.receive(timeout=WAIT)


def test_a_spawned_program_and_its_death():
    code = textwrap.dedent("""
        import numpy as np, onecopy
        with onecopy.Channel.inherited() as parent:
            while True:
                x = parent.receive()
                assert onecopy.is_shared(x)
                parent.send(x * 2)
    """)
    channel, child = onecopy.Channel.spawn([sys.executable, "-c", code])
    with channel:
        for size in (10, 100_000):
            channel.send(onecopy.share(np.arange(float(size))))
            assert channel.receive(timeout=WAIT)[-1] == 2.0 * (size - 1)
        assert channel.peer() == onecopy.Peer(os.geteuid(), os.getpid(), True, True) or channel.peer().same_store
        last = channel
        child.kill()
        child.wait()
        with pytest.raises(onecopy.PeerClosed):
            last.receive(timeout=WAIT)
    with pytest.raises(onecopy.InvalidArgument):
        onecopy.Channel.inherited()


def test_listeners(tmp_path):
    path = tmp_path / "door"
    with onecopy.Listener(path) as door:
        assert door.path == str(path)
        with pytest.raises(onecopy.Exists):
            onecopy.Listener(path)
        with pytest.raises(onecopy.Timeout):
            door.accept(timeout=0.01)
        with onecopy.Channel.connect(path) as client, door.accept(timeout=WAIT) as server:
            client.send({"a": 1})
            assert server.receive(timeout=WAIT) == {"a": 1}
            assert server.peer().known and server.peer().user == os.geteuid()
    assert not path.exists()
    with pytest.raises(onecopy.NotFound):
        onecopy.Channel.connect(path, timeout=1)


def test_an_interrupt_ends_a_wait(ends):
    _, there = ends

    def stop(*_):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            there.receive()
    finally:
        signal.signal(signal.SIGALRM, old)
    del there


def test_asyncio():
    async def main():
        here, there = onecopy.Channel.pair()
        with here, there:
            block = b"b" * 30_000

            async def produce():
                for _ in range(100):
                    await here.send_async(block, timeout=WAIT)
                await here.send_async(np.arange(5), timeout=WAIT)

            async def consume():
                for _ in range(100):
                    assert await there.receive_async(timeout=WAIT) == block
                return await there.receive_async(timeout=WAIT)

            _, last = await asyncio.gather(produce(), consume())
            assert list(last) == [0, 1, 2, 3, 4]
            with pytest.raises(onecopy.Timeout):
                await there.receive_async(timeout=0.02)
            here.close()
            with pytest.raises(onecopy.PeerClosed):
                await there.receive_async(timeout=WAIT)

    asyncio.run(main())


# ---- caches


def test_a_cache_loads_once_and_evicts_what_nobody_uses():
    gone = []
    cache = onecopy.Cache(budget=200_000, on_evict=lambda key, size, why: gone.append((key, why)))
    loads = []

    def load():
        loads.append(1)
        return np.zeros(10_000)

    a = cache.get("a", load)
    assert cache.get("a", load) is not None and len(loads) == 1
    for key in "bcd":
        cache.get(key, load)
    assert cache.find("a") is not None
    assert ("b", "budget") in gone and all(key != "a" for key, _ in gone)
    assert {e.key: e.in_use for e in cache.entries()}["a"]
    weak = onecopy.WeakReference(a)
    assert weak.alive and np.shares_memory(weak.get(), a)
    del a
    assert cache.evict_unused() >= 1
    assert not weak.alive and weak.get() is None
    assert cache.statistics().entries == 0
    assert not cache.remove("a")


def test_a_loader_that_fails_leaves_the_key_free():
    cache = onecopy.Cache()
    with pytest.raises(ZeroDivisionError):
        cache.get("x", lambda: 1 / 0)
    assert list(cache.get("x", lambda: np.arange(3), timeout=5)) == [0, 1, 2]
    with pytest.raises(onecopy.InvalidArgument):
        onecopy.Cache("n" * 121)


def test_processes_share_a_named_cache(python):
    cache = onecopy.Cache("shared between tests")
    kept = cache.get("x", lambda: np.full(50_000, 7.0))
    out = python("""
import onecopy, numpy as np
cache = onecopy.Cache("shared between tests")
x = cache.get("x", lambda: 1 / 0)
s = cache.statistics()
print(x[0], s.attached, s.loads, onecopy.is_shared(x))
""")
    assert out.split() == ["7.0", "1", "0", "True"]
    assert kept[0] == 7


# ---- files and weak references


def send_on(ends):
    """Sends an object, and receives it: one of the two raises what is wrong with it."""

    def go(obj):
        ends[0].send(obj)
        ends[1].receive(timeout=WAIT)

    return go


def test_what_no_handle_leads_to_is_pickled_as_data(tmp_path):
    path = tmp_path / "numbers"
    np.arange(10_000.0).tofile(path)
    onecopy.save({"a": np.arange(1000), "t": pd.DataFrame({"x": [1, 2]})}, tmp_path / "saved")
    originals = [np.arange(1000.0), pd.DataFrame({"a": np.arange(5), "s": ["x"] * 5}), ["a", np.arange(3)], {"a": 1}]
    received = []
    for obj in originals:
        number = onecopy.sealed_descriptor(obj)
        received.append(onecopy.receive_descriptor(number))
        os.close(number)
    objects = [onecopy.map_file(path, "f8"), onecopy.open(tmp_path / "saved"), *received]
    for obj in objects:
        back = pickle.loads(pickle.dumps(obj))
        assert not onecopy.is_shared(back) and type(onecopy.unshare(obj)) is type(back)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(received[0])), originals[0])
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(received[1])), originals[1])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(np.sum, [objects[0], received[0]]) == [49_995_000.0, 499_500.0]


def test_a_file_is_used_where_it_lies(tmp_path, ends):
    here, there = ends
    path = tmp_path / "numbers"
    np.arange(10_000.0).tofile(path)
    x = onecopy.map_file(path, "f8")
    np.testing.assert_array_equal(x, np.arange(10_000.0))
    assert not x.flags.writeable
    assert onecopy.map_file(path, "f8", offset=64, shape=3).tolist() == [8, 9, 10]
    assert onecopy.map_file(path, "f8", shape=(100, 100)).shape == (100, 100)
    assert onecopy.map_file(path, "f8", shape=(100, 100), order="F")[1, 0] == 1
    assert onecopy.map_file(path).nbytes == 80_000
    here.send(x)
    np.testing.assert_array_equal(there.receive(timeout=WAIT), x)
    onecopy.check_intact(x)
    os.truncate(path, 100)
    with pytest.raises(onecopy.Corrupt):
        onecopy.check_intact(x)
    assert x[-1] == 0 and x[1] == 1
    onecopy.check_intact(np.zeros(3))
    # Whatever would hand it on says so; nobody gets zeros that were never written.
    for use in (onecopy.unshare, pickle.dumps, onecopy.sealed_descriptor, lambda y: onecopy.save(y, tmp_path / "copy"),
                lambda y: onecopy.share({"a": y}), lambda y: onecopy.share(y, name="cut"), send_on(ends)):
        with pytest.raises(onecopy.Corrupt):
            use(x)
    assert not (tmp_path / "copy").exists()
    wrongs = ({"offset": 8}, {"shape": 10_001}, {"shape": -1}, {"dtype": "U3"}, {"order": "K"}, {"offset": 64 * 3})
    for wrong in wrongs:
        with pytest.raises(onecopy.InvalidArgument):
            onecopy.map_file(path, **{"dtype": "f8", **wrong})
    with pytest.raises(onecopy.NotFound):
        onecopy.map_file(tmp_path / "missing")


def test_a_received_file_that_its_sender_cuts_later(tmp_path, ends):
    here, there = ends
    path = tmp_path / "numbers"
    np.arange(100_000.0).tofile(path)
    here.send(onecopy.map_file(path, "f8"))
    x = there.receive(timeout=WAIT)
    os.truncate(path, 4096)
    assert x[0] == 0 and x[-1] == 0  # and this process lives
    for use in (onecopy.check_intact, onecopy.unshare, there.send):
        with pytest.raises(onecopy.Corrupt):
            use(x)
            here.receive(timeout=WAIT)
    here.send(b"still usable")
    assert there.receive(timeout=WAIT) == b"still usable"


def test_a_saved_file_that_is_cut_under_private_pages(tmp_path):
    path = tmp_path / "saved"
    onecopy.save(np.arange(100_000.0), path)
    x = onecopy.open(path, writable="private")
    x[0] = -1
    os.chmod(path, 0o600)
    os.truncate(path, 8192)
    assert x[-1] == 0 and x[0] == -1  # and this process lives
    with pytest.raises(onecopy.Corrupt):
        onecopy.check_intact(x)


def test_weak_references_travel_as_text(python):
    x = onecopy.share(np.arange(50_000))
    weak = onecopy.WeakReference(x)
    out = python("import sys, onecopy; w = onecopy.WeakReference(sys.argv[1]); print(w.alive, w.get()[-1])", weak.text)
    assert out.split() == ["True", "49999"]
    del x
    assert python("import sys, onecopy; w = onecopy.WeakReference(sys.argv[1]); print(w.alive, w.get())",
                  weak.text).split() == ["False", "None"]
    with pytest.raises(onecopy.WrongType):
        onecopy.WeakReference(np.zeros(3))


def test_a_descriptor_at_birth():
    x = onecopy.share(np.arange(100_000))
    here, there = onecopy.Channel.pair(peer="stranger")
    with here, there:
        here.send(x)
        sealed = there.receive(timeout=WAIT)
    number = onecopy._memory.place.owner_of(sealed).open_descriptor()
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"import onecopy; print(onecopy.receive_descriptor({number})[-1])"],
            pass_fds=[number], capture_output=True, text=True, timeout=WAIT,
        )  # fmt: skip
        assert done.stdout.split() == ["99999"], done.stderr
    finally:
        os.close(number)
    with open("/dev/zero", "rb") as device, pytest.raises(onecopy.Corrupt):
        onecopy.receive_descriptor(device)


def test_waiting_in_one_thread_lets_others_run(ends):
    here, there = ends
    begun = time.monotonic()
    waiter = threading.Thread(target=there.receive)
    waiter.start()
    time.sleep(0.05)
    here.send(b"go")
    waiter.join(WAIT)
    assert time.monotonic() - begun < WAIT
