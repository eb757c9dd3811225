"""Waits of asyncio: they let the loop run, end in time, and take nothing when they are cancelled."""

from __future__ import annotations

import asyncio
import queue
import time
from typing import Any

import pytest

import onecopy


@onecopy.record
class Pair:
    a: int = 0
    b: int = 0


def test_asyncio_waiters(child: Any) -> None:
    lock, bell, permits, items = onecopy.Lock(), onecopy.Event(), onecopy.Semaphore(1), onecopy.Queue()
    rw = onecopy.RWLock()
    line = onecopy.Barrier(3)

    async def main() -> None:
        async with lock:
            assert lock.locked()
            assert not await lock.acquire_async(timeout=0.05)
        async with permits:
            assert not await permits.acquire_async(timeout=0.02)
        async with rw.read_async():
            pass
        async with rw.write_async():
            assert rw.write_locked()
        waiter = asyncio.create_task(bell.wait_async(timeout=30))
        await asyncio.sleep(0.02)
        child(bell.set)
        assert await waiter
        getters = [asyncio.create_task(items.get_async()) for _ in range(40)]  # more than an executor has threads
        await asyncio.sleep(0.1)
        for n in range(40):
            await items.put_async(n)
        assert sorted(await asyncio.gather(*getters)) == list(range(40))
        with pytest.raises(queue.Empty):
            await items.get_async(timeout=0.02)
        await asyncio.gather(*(line.wait_async(30) for _ in range(3)))

    asyncio.run(main())


def test_a_cancelled_wait_takes_nothing() -> None:
    lock, items = onecopy.Lock(), onecopy.Queue()

    async def main() -> None:
        lock.acquire()
        waiter = asyncio.create_task(lock.acquire_async())
        await asyncio.sleep(0.05)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        lock.release()
        await asyncio.sleep(0.3)
        assert not lock.locked()
        getter = asyncio.create_task(items.get_async())
        await asyncio.sleep(0.05)
        getter.cancel()
        items.put("not lost")
        with pytest.raises(asyncio.CancelledError):
            await getter
        await asyncio.sleep(0.3)
        assert items.get(timeout=5) == "not lost"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(items.get_async(), 0.1)

    asyncio.run(main())


def test_a_condition_is_awaited(child: Any) -> None:
    lock, value = onecopy.Lock(), onecopy.Counter()
    changed = onecopy.Condition(lock)

    def change() -> None:
        with changed:
            value.value = 1
            changed.notify_all()

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        async with changed:
            assert lock.held()
            assert not await changed.wait_async(timeout=0.05)
            assert not await changed.wait_for_async(lambda: value.value, timeout=0.05)
            ticker = asyncio.create_task(tick())
            waiter = asyncio.create_task(changed.wait_for_async(lambda: value.value, timeout=30))
            await asyncio.sleep(0.1)
            child(change)
            assert await waiter == 1 and lock.held()
            assert ticks > 3, "the loop went on meanwhile"
            ticker.cancel()
        assert not lock.held()
        with pytest.raises(onecopy.InvalidArgument):
            await changed.wait_async(timeout=0.1)

    asyncio.run(main())


def test_a_cancelled_wait_for_a_condition_has_its_lock_again(child: Any) -> None:
    """Or the end of its `async with` would release a lock that somebody else holds."""
    lock, ready, go = onecopy.Lock(), onecopy.Event(), onecopy.Event()
    changed = onecopy.Condition(lock)

    def borrow() -> None:
        lock.acquire()
        ready.set()
        go.wait(30)
        time.sleep(0.2)
        lock.release()

    async def wait() -> None:
        async with changed:
            try:
                await changed.wait_async()
            finally:
                assert lock.held()

    async def main() -> None:
        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0.05)
        borrower = child(borrow)
        assert await ready.wait_async(30)
        waiter.cancel()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert not lock.held()
        borrower.join(30)

    asyncio.run(main())
    assert lock.acquire(timeout=5)
    lock.release()


def test_a_record_is_locked_without_stopping_the_loop(child: Any) -> None:
    pair, ready = Pair.shared(), onecopy.Event()

    def hold() -> None:
        with pair.locked():
            pair.a = 5
            ready.set()
            time.sleep(0.3)
            pair.b = 5

    async def main() -> None:
        child(hold)
        assert await ready.wait_async(30)
        with pytest.raises(onecopy.Timeout):
            async with pair.locked(timeout=0.01):
                pass
        waiter = asyncio.create_task(enter())
        await asyncio.sleep(0.02)
        assert not waiter.done()
        assert await waiter == (5, 5)
        cancelled = asyncio.create_task(enter(for_good=True))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        with pair.locked(timeout=5) as held:
            assert not held.owner_died

    async def enter(for_good: bool = False) -> tuple[int, int]:
        async with pair.locked(timeout=30):
            if for_good:
                await asyncio.sleep(100)
            return pair.a, pair.b

    asyncio.run(main())


def test_what_is_awaited_refuses_what_makes_no_sense() -> None:
    async def main() -> None:
        with pytest.raises(ValueError):
            await onecopy.Lock().acquire_async("soon")  # type: ignore[arg-type]
        with pytest.raises(onecopy.WrongType):
            async with Pair().locked():
                pass
        closed = onecopy.Queue()
        closed.close()
        with pytest.raises(onecopy.PeerClosed):
            await closed.get_async()
        with pytest.raises(onecopy.PeerClosed):
            await closed.put_async(1)

    asyncio.run(main())
