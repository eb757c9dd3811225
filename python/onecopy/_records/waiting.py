"""How waits end, and waits of asyncio."""

from __future__ import annotations

import asyncio
import atexit
import threading
import weakref
from collections.abc import Callable
from typing import TypeVar

from .. import _core

DONE, OWNER_DIED, TIMED_OUT, INTERRUPTED, BROKEN, CLOSED = range(6)
T = TypeVar("T")


def seconds_of(timeout: float | None) -> float:
    return -1.0 if timeout is None else max(0.0, float(timeout))


def got(code: int) -> bool:
    return code in (DONE, OWNER_DIED)


_running: weakref.WeakSet[_core.Cancellation] = weakref.WeakSet()


@atexit.register
def _cancel_all() -> None:
    for cancellation in list(_running):
        cancellation.cancel()


async def in_thread(wait: Callable[[_core.Cancellation], T], undo: Callable[[T], None], *,
                    to_its_end: bool = False) -> T:  # fmt: skip
    """Awaits ``wait`` in a thread of its own: an executor's threads could all be waiting.

    A cancelled wait ends within 50 ms; what it got meanwhile is undone. With ``to_its_end`` the caller, too, only goes
    on when it has ended, and nothing is undone: for waits that must leave with what they came with.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    cancellation = _core.Cancellation()
    _running.add(cancellation)
    guard = threading.Lock()
    gave_up = False

    def deliver(result: T | None, problem: BaseException | None) -> None:
        nonlocal gave_up
        with guard:
            late = gave_up or future.done()
            if not late:
                if problem is not None:
                    future.set_exception(problem)
                else:
                    future.set_result(result)  # type: ignore[arg-type]
                return
        if problem is None:
            undo(result)  # type: ignore[arg-type]

    def run() -> None:
        result, problem = None, None
        try:
            result = wait(cancellation)
        except BaseException as caught:
            problem = caught
        try:
            loop.call_soon_threadsafe(deliver, result, problem)
        except RuntimeError:  # the loop is closed: nobody will ever know
            if problem is None:
                undo(result)  # type: ignore[arg-type]

    threading.Thread(target=run, name="onecopy wait", daemon=True).start()
    try:
        return await (asyncio.shield(future) if to_its_end else future)
    except asyncio.CancelledError:
        cancellation.cancel()
        if to_its_end:
            await _ended(future)
            raise
        with guard:
            gave_up = True
            # Delivered and cancelled in the same turn of the loop.
            had = future.result() if future.done() and not future.cancelled() and not future.exception() else None
            done = future.done() and not future.cancelled()
        if done and had is not None:
            undo(had)
        raise


async def _ended(future: asyncio.Future[T]) -> None:
    """Waits for the future, whoever is cancelled meanwhile."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    future.exception()  # seen, so that asyncio doesn't complain that nobody looked
