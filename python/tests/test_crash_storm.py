"""Processes are killed at random, holding and waiting: the others go on, and what they protect stays whole.

https://github.com/boostorg/interprocess/issues/65, https://github.com/boostorg/interprocess/issues/56: a lock held by a
dead process blocks everybody. Each storm has three processes of which one at a time is killed (SIGKILL) at a random
moment and started again. After each death another one must make progress.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import onecopy
from processes import kill

CREW = 3
DEADLINE = 30  # seconds; a machine may be busy


@onecopy.record
class Pair:
    a: int = 0
    b: int = 0


class Scene:
    """What the processes of a storm share: they count their progress, and every time that something was not whole."""

    def __init__(self) -> None:
        self.wrong = onecopy.Counter()
        self.progress = [onecopy.Counter() for _ in range(CREW)]

    def work(self, worker: int) -> None:
        """Once; never waits for long."""
        raise NotImplementedError

    def for_ever(self, worker: int) -> None:
        while True:
            self.work(worker)
            self.progress[worker].add()

    def settle(self) -> None:
        """When all were killed: what must be as in the beginning."""


class OfLock(Scene):
    def __init__(self) -> None:
        super().__init__()
        self.lock, self.a, self.b = onecopy.Lock(), onecopy.Counter(), onecopy.Counter()

    def work(self, worker: int) -> None:
        if not self.lock.acquire(timeout=DEADLINE):
            self.wrong.add(1000)
            return
        self.change(self.lock)
        self.lock.release()

    def change(self, lock: Any) -> None:
        if lock.owner_died:
            self.b.value = self.a.value
            lock.repaired()
        if self.a.value != self.b.value:
            self.wrong.add()
        self.a.add()
        self.b.add()

    def settle(self) -> None:
        assert self.lock.acquire(timeout=DEADLINE)
        self.lock.release()


class OfRWLock(OfLock):
    def __init__(self) -> None:
        super().__init__()
        self.lock: Any = onecopy.RWLock()

    def work(self, worker: int) -> None:
        if random.random() < 0.5:
            with self.lock.write(DEADLINE):
                self.change(self.lock)
        else:
            with self.lock.read(DEADLINE):
                if not self.lock.owner_died and self.a.value != self.b.value:
                    self.wrong.add()

    def settle(self) -> None:
        with self.lock.write(DEADLINE):
            pass


class OfRecord(Scene):
    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair.shared()

    def work(self, worker: int) -> None:
        if worker == 0:  # one only reads
            seen = self.pair.snapshot(DEADLINE)
            with self.pair.locked(DEADLINE) as held:
                if not held.owner_died and self.pair.a != self.pair.b:
                    self.wrong.add()
            assert seen.b <= seen.a
            return
        with self.pair.locked(DEADLINE) as held:
            if held.owner_died:
                self.pair.b = self.pair.a
                held.repaired()
            if self.pair.a != self.pair.b:
                self.wrong.add()
            self.pair.a += 1
            self.pair.b += 1


class OfSemaphore(Scene):
    def __init__(self) -> None:
        super().__init__()
        self.permits, self.inside = onecopy.Semaphore(2), onecopy.Counter()

    def work(self, worker: int) -> None:
        if not self.permits.acquire(timeout=DEADLINE):
            self.wrong.add(1000)
            return
        if self.permits.available() > 1:
            self.wrong.add()
        self.permits.release()

    def settle(self) -> None:
        end = time.monotonic() + DEADLINE
        while self.permits.available() != 2:
            assert time.monotonic() < end, "units of the dead are lost"
            self.permits.acquire(timeout=0.1) and self.permits.release()


class OfEvent(Scene):
    def __init__(self) -> None:
        super().__init__()
        self.bell = onecopy.Event()

    def work(self, worker: int) -> None:
        if worker == 0:
            self.bell.set()
            self.bell.clear()
        else:
            self.bell.wait(0.01)

    def settle(self) -> None:
        self.bell.set()
        assert self.bell.wait(DEADLINE)


class OfCondition(OfLock):
    def __init__(self) -> None:
        super().__init__()
        self.changed = onecopy.Condition(self.lock)

    def work(self, worker: int) -> None:
        if not self.lock.acquire(timeout=DEADLINE):
            self.wrong.add(1000)
            return
        self.change(self.lock)
        self.changed.notify()
        self.changed.wait(0.01)
        self.lock.release()


class OfBarrier(Scene):
    def __init__(self) -> None:
        super().__init__()
        self.line = onecopy.Barrier(CREW)

    def work(self, worker: int) -> None:
        try:
            self.line.wait(DEADLINE)
        except threading.BrokenBarrierError:
            self.line.reset()


class OfQueue(Scene):
    """Whoever is killed: what one takes is what another has put, whole and once."""

    single = False

    def __init__(self) -> None:
        super().__init__()
        self.items = onecopy.Queue(maxsize=16, message_bytes=600)
        self.taken = onecopy.empty(1_000_000, "u1")
        self.next = onecopy.Counter()

    def work(self, worker: int) -> None:
        if worker == 0:
            number = self.next.add()
            self.items.put(number.to_bytes(4) + bytes([number % 251]) * 500, timeout=DEADLINE)
            return
        try:
            message = self.items.get(timeout=0.2)
        except queue.Empty:
            return
        number = int.from_bytes(message[:4])
        if message[4:] != bytes([number % 251]) * 500 or self.taken[number]:
            self.wrong.add()
        self.taken[number] = 1

    def settle(self) -> None:
        while True:
            try:
                self.items.get(timeout=0.2)
            except queue.Empty:
                return


class OfSingleQueue(Scene):
    """One producer, one consumer, and whoever takes the place of a dead one."""

    def __init__(self) -> None:
        super().__init__()
        self.items = onecopy.Queue(maxsize=16, single=True)

    def work(self, worker: int) -> None:
        try:
            if worker == 0:
                self.items.put(b"x" * 100, timeout=0.2)
            elif worker == 1:
                if self.items.get(timeout=0.2) != b"x" * 100:
                    self.wrong.add()
            else:
                time.sleep(0.001)
        except (queue.Full, queue.Empty, onecopy.Busy):
            pass


class OfArray(Scene):
    """No lock: processes that hold an object, and make and drop others, are killed."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = onecopy.share(np.arange(5000.0))

    def work(self, worker: int) -> None:
        again = onecopy.attach(onecopy.handle(self.shared))
        mine = onecopy.attach(onecopy.handle(self.shared), writable="private")
        mine[:] = -1
        made = onecopy.share(again[::2] + worker)
        if again[4999] != 4999 or made[1] != 2 + worker:
            self.wrong.add()

    def settle(self) -> None:
        assert (self.shared == np.arange(5000.0)).all()


SCENES: list[Callable[[], Scene]] = [
    OfLock, OfRWLock, OfRecord, OfSemaphore, OfEvent, OfCondition, OfBarrier, OfQueue, OfSingleQueue, OfArray
]  # fmt: skip


@pytest.mark.parametrize("scene_of", SCENES)
def test_the_others_go_on(scene_of: Callable[[], Scene], child: Any) -> None:
    scene = scene_of()
    crew = [child(scene.for_ever, worker) for worker in range(CREW)]
    for _ in range(25):
        time.sleep(random.random() * 0.02)
        victim = random.randrange(CREW)
        kill(crew[victim])
        if scene_of is not OfBarrier:  # which needs all of them
            advances(scene.progress[(victim + 1) % CREW])
        crew[victim] = child(scene.for_ever, victim)
    for counter in scene.progress:
        advances(counter)
    for process in crew:
        kill(process)
    assert scene.wrong.value == 0
    scene.settle()


def advances(progress: Any) -> None:
    before, end = progress.value, time.monotonic() + DEADLINE
    while progress.value < before + 2:
        assert time.monotonic() < end, "the survivors hang"
        time.sleep(0.001)
