"""Locks, events, semaphores, barriers, counters, queues: between processes, with any of them killed at any time."""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onecopy
from processes import kill

spawn = multiprocessing.get_context("spawn")


def hold(lock: Any, ready: Any) -> None:
    lock.acquire()
    ready.set()
    time.sleep(100)


# ------------------------------------------------------------ locks


def test_lock_is_threadings_lock() -> None:
    lock = onecopy.Lock()
    assert lock.acquire()
    assert lock.locked()
    assert not lock.acquire(blocking=False)
    assert not lock.acquire(timeout=0.05)
    lock.release()
    assert not lock.locked()
    with lock as same:
        assert same is lock and lock.locked()
    with pytest.raises(ValueError):
        lock.acquire(blocking=False, timeout=1)
    for plain in (lock, threading.Lock()):
        with pytest.raises(RuntimeError):
            plain.release()
    with pytest.raises(onecopy.NotHeld) as caught:
        lock.release()
    assert isinstance(caught.value, onecopy.InvalidArgument) and "does not hold it" in str(caught.value)
    assert type(pickle.loads(pickle.dumps(caught.value))) is onecopy.NotHeld
    with pytest.raises(onecopy.NotHeld):
        lock.repaired()
    with pytest.raises(onecopy.NotHeld):
        lock.__exit__(None, None, None)
    with pytest.raises(TypeError):
        lock.acquire(timeout="soon")


def test_a_name_or_a_file_or_a_pickle_finds_the_same_lock(tmp_path: Path) -> None:
    for first, second in (
        (onecopy.Lock("door"), onecopy.Lock("door")),
        (onecopy.Lock(path=tmp_path / "l"), onecopy.Lock(path=tmp_path / "l", create=False)),
        (a := onecopy.Lock(), pickle.loads(pickle.dumps(a))),
        (b := onecopy.Lock(), onecopy.Lock.attach(b.handle)),
    ):
        with first:
            assert second.locked() and not second.acquire(blocking=False)
    with pytest.raises(onecopy.NotFound):
        onecopy.Lock("no such", create=False)
    event = onecopy.Event("an event")
    with pytest.raises(onecopy.WrongType, match="event"):
        onecopy.Lock("an event")
    with pytest.raises(ValueError):
        onecopy.Lock("a", path="b")
    del event


def test_every_kind_pickles_to_the_same_thing(child: Any) -> None:
    lock = onecopy.Lock()
    kinds = [lock, onecopy.RWLock(), onecopy.Event(), onecopy.Condition(lock), onecopy.Semaphore(2), onecopy.Barrier(2),
             onecopy.Counter(), onecopy.Queue()]  # fmt: skip
    for one in kinds:
        copy = pickle.loads(pickle.dumps(one))
        assert type(copy) is type(one)
        assert len(pickle.dumps(one)) < 400
        assert repr(copy).startswith("<onecopy.")
    counter = kinds[6]
    pickle.loads(pickle.dumps(counter)).add(3)
    assert counter.value == 3


def test_the_next_owner_learns_that_the_last_one_died(child: Any) -> None:
    lock, ready = onecopy.Lock(), onecopy.Event()
    owner = child(hold, lock, ready)
    assert ready.wait(30)
    assert not lock.acquire(timeout=0.1)
    kill(owner)
    assert lock.acquire(timeout=10)
    assert lock.owner_died
    lock.release()
    with lock:
        assert lock.owner_died, "until somebody says that it is repaired"
        lock.repaired()
    assert not lock.owner_died


def test_another_thread_may_release_and_others_run_meanwhile() -> None:
    lock = onecopy.Lock()
    lock.acquire()
    ticks = 0

    def release_later() -> None:
        nonlocal ticks
        for _ in range(20):
            time.sleep(0.005)
            ticks += 1
        lock.release()

    thread = threading.Thread(target=release_later)
    thread.start()
    assert lock.acquire(timeout=20)
    assert ticks == 20
    thread.join()
    lock.release()


@pytest.mark.parametrize("wait", ["lock.acquire()", "event.wait()", "items.get()", "permits.acquire()", "line.wait()",
                                  "changed.wait()", "f.locked().__enter__()"])  # fmt: skip
def test_ctrl_c_ends_every_wait(wait: str) -> None:
    code = f"""
import onecopy, sys, threading
lock, event, items, permits, line = (onecopy.Lock(), onecopy.Event(), onecopy.Queue(), onecopy.Semaphore(0),
                                     onecopy.Barrier(2))
changed = onecopy.Condition(onecopy.Lock())
@onecopy.record
class F:
    x: int = 0
f = F.shared()
f.locked().__enter__()
lock.acquire()
changed.lock.acquire()
print("ready", flush=True)
try:
    {wait}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert out == "interrupted\n"
    assert process.returncode == 0


def test_a_program_ends_though_its_daemon_threads_wait(python) -> None:
    code = """
import onecopy, threading, time
lock, items = onecopy.Lock(), onecopy.Queue()
lock.acquire()
for wait in (lock.acquire, items.get):
    threading.Thread(target=wait, daemon=True).start()
time.sleep(0.2)
print("end")
"""
    assert python(code) == "end\n"


def test_rwlock(child: Any) -> None:
    lock, ready = onecopy.RWLock(), onecopy.Event()
    with lock.read(), lock.read():
        assert lock.readers() == 1
        assert not lock.acquire_write(timeout=0.05)
    with lock.write():
        assert lock.write_locked()
        assert not lock.acquire_read(timeout=0.05)
        with pytest.raises(onecopy.Timeout), lock.read(timeout=0.05):
            pass
    for release in (lock.release_read, lock.release_write, lock.repaired):
        with pytest.raises(onecopy.NotHeld):
            release()

    def read() -> None:
        lock.acquire_read()
        ready.set()
        time.sleep(100)

    reader = child(read)
    assert ready.wait(30)
    assert not lock.acquire_write(timeout=0.05)
    kill(reader)
    assert lock.acquire_write(timeout=10), "a dead reader blocks nobody"
    assert not lock.owner_died
    lock.release_write()

    def write() -> None:
        lock.acquire_write()
        ready.set()
        time.sleep(100)

    ready.clear()
    writer = child(write)
    assert ready.wait(30)
    kill(writer)
    assert lock.acquire_read(timeout=10), "nor does a dead writer"
    assert lock.owner_died
    lock.release_read()
    with lock.write():
        lock.repaired()
    assert not lock.owner_died


def test_condition(child: Any) -> None:
    lock = onecopy.Lock()
    changed = onecopy.Condition(lock)
    value = onecopy.Counter()

    def wait() -> None:
        with changed:
            assert changed.wait_for(lambda: value.value == 1, timeout=30)
            value.add(10)

    waiters = [child(wait) for _ in range(3)]
    time.sleep(0.1)
    kill(waiters.pop(0))
    with changed:
        value.value = 1
        changed.notify()
    for _ in range(300):
        if value.value != 1:
            break
        time.sleep(0.05)
    with changed:
        assert not changed.wait(timeout=0.01)
        assert changed.wait_for(lambda: False, timeout=0.05) is False
    assert value.value == 11, "one of the two got through, and the value is no longer 1 for the other"
    with pytest.raises(onecopy.NotHeld):
        changed.wait(timeout=0.1)


# ------------------------------------------------------------ signals


def test_event(child: Any) -> None:
    bell = onecopy.Event()
    assert not bell.wait(timeout=0.02)
    child(bell.set)
    assert bell.wait(timeout=30)
    assert bell.is_set()
    bell.clear()
    assert not bell.is_set()


def test_semaphore_units_of_the_dead_come_back(child: Any) -> None:
    permits, ready = onecopy.Semaphore(2), onecopy.Event()

    def take_both() -> None:
        permits.acquire()
        permits.acquire()
        ready.set()
        time.sleep(100)

    holder = child(take_both)
    assert ready.wait(30)
    assert not permits.acquire(blocking=False)
    assert permits.available() == 0
    kill(holder)
    with permits:
        assert permits.acquire(timeout=10)
        assert permits.held() == 2
        permits.release()
    assert permits.available() == 2
    bounded = onecopy.Semaphore(1, bounded=True)
    with pytest.raises(ValueError):
        bounded.release()
    permits.release(3)
    assert permits.available() == 5
    for bad in (-1, 2**32):
        with pytest.raises(ValueError):
            onecopy.Semaphore(bad)


def test_barrier(child: Any) -> None:
    line = onecopy.Barrier(3)
    passed = onecopy.Counter()

    def rounds() -> None:
        for _ in range(20):
            line.wait(30)
            passed.add()
        line.leave()

    all_of_them = [child(rounds) for _ in range(3)]
    for process in all_of_them:
        process.join(60)
        assert process.exitcode == 0
    assert passed.value == 60
    with pytest.raises(onecopy.Timeout):
        line.wait(0.05)
    assert line.n_waiting == 0
    victim = child(line.wait)
    while line.n_waiting == 0:
        time.sleep(0.005)
    kill(victim)
    with pytest.raises(threading.BrokenBarrierError):
        line.wait(30)
    assert line.broken
    line.reset()
    assert not line.broken
    with pytest.raises(ValueError):
        onecopy.Barrier(0)


def test_counter(child: Any) -> None:
    hits = onecopy.Counter()

    def add() -> None:
        for _ in range(5000):
            hits.add()

    for process in [child(add) for _ in range(4)]:
        process.join(60)
    assert int(hits) == hits.value == 20000
    assert hits.exchange(-5) == 20000
    assert hits.compare_exchange(-5, 1) and not hits.compare_exchange(-5, 2)
    hits.value = 2**63 - 1
    with pytest.raises(TypeError):
        hits.add(2**64)


# ------------------------------------------------------------ queues


def test_queue_is_queues_queue() -> None:
    items = onecopy.Queue(maxsize=3, message_bytes=100)
    assert items.maxsize == 4 and items.empty()
    for item in (b"", b"bytes", "text", {"a": [1, None]}):
        items.put(item)
    assert items.full() and items.qsize() == 4
    with pytest.raises(queue.Full):
        items.put_nowait(1)
    with pytest.raises(queue.Full):
        items.put(1, timeout=0.02)
    assert [items.get() for _ in range(4)] == [b"", b"bytes", "text", {"a": [1, None]}]
    with pytest.raises(queue.Empty):
        items.get_nowait()
    with pytest.raises(queue.Empty):
        items.get(timeout=0.02)
    items.put(b"x" * 100)
    with pytest.raises(onecopy.InvalidArgument, match="handle"):
        items.put(b"x" * 1000)  # room is rounded up
    items.close()
    with pytest.raises(onecopy.PeerClosed):
        items.put(1)
    assert items.get() == b"x" * 100
    with pytest.raises(onecopy.PeerClosed):
        items.get()
    with pytest.raises(onecopy.InvalidArgument):
        onecopy.Queue(maxsize=0)


def _echo(jobs: Any, answers: Any) -> None:
    while True:
        try:
            item = jobs.get(timeout=30)
        except onecopy.PeerClosed:
            return
        answers.put(float(np.sum(item)))


def test_queue_sends_shared_arrays_as_handles() -> None:
    jobs, answers = onecopy.Queue("jobs"), onecopy.Queue("answers")
    worker = spawn.Process(target=_echo, args=(jobs, answers))
    worker.start()
    array = onecopy.share(np.arange(100_000.0))
    for _ in range(3):
        jobs.put(array)
        assert answers.get(timeout=30) == float(np.arange(100_000.0).sum())
    jobs.close()
    worker.join(30)
    assert worker.exitcode == 0


def test_queue_for_one_producer_refuses_another(child: Any) -> None:
    items, ready = onecopy.Queue(single=True), onecopy.Event()

    def produce() -> None:
        items.put(b"first")
        ready.set()
        time.sleep(100)

    producer = child(produce)
    assert ready.wait(30)
    with pytest.raises(onecopy.Busy):
        items.put(b"second")
    kill(producer)
    items.put(b"second")
    assert [items.get(), items.get()] == [b"first", b"second"]


def test_nothing_that_was_put_is_lost_when_producers_are_killed(child: Any) -> None:
    items = onecopy.Queue(maxsize=64)
    done = [onecopy.Counter() for _ in range(3)]
    stop = onecopy.Event()

    def produce(worker: int, life: int) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            items.put((worker, life, n), timeout=30)
            done[worker].add()

    received = [0] * 3
    last: dict[tuple[int, int], int] = {}

    def take(timeout: float) -> bool:
        try:
            worker, life, n = items.get(timeout=timeout)
        except queue.Empty:
            return False
        assert n == last.get((worker, life), 0) + 1, "once, and in order"
        last[worker, life] = n
        received[worker] += 1
        return True

    crew = [child(produce, worker, 0) for worker in range(3)]
    for life in range(1, 31):
        for _ in range(random.randrange(50)):
            assert take(10), "the queue is stuck"
        victim = random.randrange(3)
        kill(crew[victim])
        crew[victim] = child(produce, victim, life)
    stop.set()
    while take(0.5) or any(process.is_alive() for process in crew):
        pass
    for worker in range(3):
        assert done[worker].value <= received[worker] <= done[worker].value + 31
