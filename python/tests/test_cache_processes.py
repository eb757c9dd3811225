"""A cache that processes share: who loads, who waits, who dies, and what is evicted."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import onecopy

WAIT = 60


def start(code: str, *args: str, **popen) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *args], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True, **popen)  # fmt: skip


def line_of(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


HOLDER = """
import sys, onecopy, numpy as np
cache = onecopy.Cache(sys.argv[1])
x = cache.get(sys.argv[2], lambda: np.full(20_000, 1.0))
print("holds", cache.statistics().loads, flush=True)
sys.stdin.read()
"""


def test_one_loads_while_the_others_wait():
    children = [start("""
        import sys, time, onecopy, numpy as np
        cache = onecopy.Cache("one loads in python")
        def load():
            time.sleep(0.2)
            return np.full(20_000, 7.0)
        x = cache.get("x", load)
        print(cache.statistics().loads, x[-1], flush=True)
        sys.stdin.read()
    """) for _ in range(4)]  # fmt: skip
    said = [line_of(child) for child in children]
    end(*children)
    assert sorted(said) == ["0 7.0"] * 3 + ["1 7.0"]


def test_when_the_loader_is_killed_the_next_one_loads():
    loader = start("""
        import time, onecopy
        def load():
            print("loading", flush=True)
            time.sleep(600)
        onecopy.Cache("killed loader in python").get("x", load)
    """)
    assert line_of(loader) == "loading"
    cache = onecopy.Cache("killed loader in python")
    with pytest.raises(onecopy.Timeout):
        cache.get("x", lambda: np.zeros(3), timeout=0.1)
    got = []
    waiter = threading.Thread(target=lambda: got.append(cache.get("x", lambda: np.full(20_000, 3.0), timeout=WAIT)))
    waiter.start()
    time.sleep(0.05)
    end(loader)
    waiter.join(WAIT)
    assert got[0][0] == 3 and cache.statistics().loads == 1
    got.clear()


def test_entries_of_a_client_that_is_killed_are_evicted_and_those_of_the_living_are_not():
    gone = []
    cache = onecopy.Cache("killed client in python", on_evict=lambda key, size, why: gone.append((key, size, why)))
    for key in ("a", "b"):
        cache.get(key, lambda: np.full(20_000, 1.0))
    clients = [start(HOLDER, "killed client in python", key) for key in ("a", "b")]
    assert [line_of(client) for client in clients] == ["holds 0", "holds 0"]
    assert cache.evict_unused() == 0
    assert {entry.key: entry.in_use for entry in cache.entries()} == {"a": True, "b": True}
    end(clients[0])
    assert cache.evict_unused() == 1
    assert [(key, why) for key, _, why in gone] == [("a", "asked")] and gone[0][1] >= 160_000
    assert cache.find("b") is not None and cache.find("a") is None
    end(clients[1])


def test_a_process_that_evicts_takes_nothing_from_those_who_use_it():
    client = start("""
        import sys, onecopy, numpy as np
        cache = onecopy.Cache("evictor in python")
        x = cache.get("x", lambda: np.full(20_000, 5.0))
        print("holds", flush=True)
        sys.stdin.readline()
        print(float(x.sum()), flush=True)
        sys.stdin.read()
    """)
    assert line_of(client) == "holds"
    evictor = start("""
        import sys, onecopy, numpy as np
        cache = onecopy.Cache("evictor in python", budget=0)
        cache.get("x", lambda: 1 / 0)
        cache.remove("x")
        cache.clear()
        print(cache.evict_unused(), cache.trim(), flush=True)
    """)
    assert line_of(evictor) == "0 0"
    end(evictor)
    client.stdin.write("\n")
    client.stdin.flush()
    assert line_of(client) == "100000.0"
    end(client)


def test_age_evicts_what_nobody_uses():
    gone = []
    cache = onecopy.Cache(max_age=0.05, on_evict=lambda key, size, why: gone.append((key, why)))
    used = cache.get("used", lambda: np.zeros(1000))
    cache.get("unused", lambda: np.zeros(1000))
    time.sleep(0.1)
    assert cache.trim() == 1
    assert gone == [("unused", "age")]
    assert cache.find("used") is not None and used[0] == 0


def test_a_lying_client_holds_memory_longer_and_takes_nothing():
    here, there = onecopy.Channel.pair(peer="stranger", inline_limit=0)
    liar = start("""
        import fcntl, os, sys, onecopy
        channel = onecopy.Channel(int(sys.argv[1]))
        x = channel.receive()
        number = onecopy.sealed_descriptor(x)
        tried = [lambda: os.ftruncate(number, 0), lambda: os.pwrite(number, b"bad", 4096),
                 lambda: os.pwrite(os.open(f"/proc/self/fd/{number}", os.O_RDWR), b"bad", 4096),
                 lambda: fcntl.flock(os.open(f"/proc/self/fd/{number}", os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB),
                 lambda: os.unlink(f"/proc/self/fd/{number}")]
        done = []
        for number_of, one in enumerate(tried):
            try:
                one()
                done.append(number_of)
            except OSError:
                pass
        onecopy.Cache("lied to").clear()
        channel.send(f"did my worst: {done}".encode())
        channel.receive()
    """, str(there.fileno()), pass_fds=[there.fileno()])  # fmt: skip
    there.close()
    with here:
        cache = onecopy.Cache(budget=0)
        here.send(cache.get("x", lambda: np.full(20_000, 4.0)))
        assert here.receive(timeout=WAIT) == b"did my worst: []"
        again = cache.get("x", lambda: np.full(20_000, 4.0))
        assert float(again.sum()) == 80_000
        del again
    end(liar)


def test_killed_at_random_nobody_finds_a_wrong_entry_and_nothing_is_left():
    before = len(onecopy.ls())
    code = """
        import random, sys, onecopy, numpy as np
        random.seed(int(sys.argv[1]))
        while True:
            cache = onecopy.Cache("killed at random in python", budget=100_000)
            for _ in range(random.randrange(1, 6)):
                key = random.randrange(4)
                x = cache.get(str(key), lambda: np.full(5000, float(key)))
                if x[0] != key or x[-1] != key:
                    print("wrong", flush=True)
                if random.random() < 0.2:
                    cache.remove(str(key))
                del x
            print("ok", flush=True)
    """
    random.seed(7)
    workers = [start(code, str(i)) for i in range(3)]
    for i in range(12):
        at = random.randrange(len(workers))
        assert line_of(workers[at]) == "ok"
        time.sleep(random.uniform(0, 0.02))
        end(workers[at])
        workers[at] = start(code, str(100 + i))
    for worker in workers:
        assert line_of(worker) == "ok"
    end(*workers)
    onecopy.gc()
    assert len(onecopy.ls()) == before
    assert onecopy.Cache("killed at random in python").find("0") is None


def test_weak_references_and_holders_follow_processes():
    x = onecopy.share(np.arange(50_000.0))
    assert onecopy.holders(x) == 1
    assert onecopy.holders(x[10:]) == 1
    child = start("""
        import sys, onecopy
        x = onecopy.attach(sys.argv[1])
        print(onecopy.holders(x), flush=True)
        sys.stdin.read()
    """, onecopy.handle(x))  # fmt: skip
    assert line_of(child) == "2"
    assert onecopy.holders(x) == 2
    weak = onecopy.WeakReference(x)
    del x
    assert weak.alive and weak.get()[-1] == 49_999
    end(child)
    assert not weak.alive and weak.get() is None
    with pytest.raises(onecopy.WrongType):
        onecopy.holders(np.zeros(3))
