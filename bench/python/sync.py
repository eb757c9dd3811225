"""Locks and counters between processes, beside multiprocessing's and posix_ipc's."""
import multiprocessing
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
import onecopy  # noqa: E402
from record import ns_of  # noqa: E402

context = multiprocessing.get_context("spawn")


def posix_semaphore():
    """One of posix_ipc's semaphores as a lock, or None and why not."""
    try:
        import posix_ipc
    except ImportError:
        return None
    made = posix_ipc.Semaphore(None, posix_ipc.O_CREX, initial_value=1)
    made.unlink()
    return made


def locks():
    what = "with lock, nobody else wants it"
    goal = bench.at_most(300)
    ours = onecopy.Lock()
    bench.row("lock-mp", what, "ns", "multiprocessing.Lock",
              bench.interleaved(15, ns_of("with x: pass", x=ours), ns_of("with x: pass", x=context.Lock())), goal)
    theirs = posix_semaphore()
    if theirs is None:
        bench.not_run("lock-posix", what + " beside posix_ipc", "posix_ipc is not installed")
    else:
        bench.row("lock-posix", what, "ns", "posix_ipc.Semaphore",
                  bench.interleaved(15, ns_of("with x: pass", x=ours), ns_of("with x: pass", x=theirs)), goal)
    bench.row("lock-calls", "lock.acquire(); lock.release()", "ns", "multiprocessing.Lock",
              bench.interleaved(15, ns_of("x.acquire(); x.release()", x=ours),
                                ns_of("x.acquire(); x.release()", x=context.Lock())), goal)
    rw = onecopy.RWLock()
    bench.row("rwlock", "RWLock: acquire_read, release_read", "ns", "multiprocessing.Lock",
              bench.interleaved(15, ns_of("x.acquire_read(); x.release_read()", x=rw),
                                ns_of("x.acquire(); x.release()", x=context.Lock())))
    bench.row("event-check", "event.is_set()", "ns", "multiprocessing.Event",
              bench.interleaved(15, ns_of("x.is_set()", x=onecopy.Event()), ns_of("x.is_set()", x=context.Event())))
    bench.row("semaphore", "with semaphore, nobody else wants it", "ns", "multiprocessing.Semaphore",
              bench.interleaved(15, ns_of("with x: pass", x=onecopy.Semaphore(4)),
                                ns_of("with x: pass", x=context.Semaphore(4))))


def add(counter, times, begin, parties):
    """Adds when all have come; answers with the seconds."""
    begin.add()
    while begin.value < parties:
        time.sleep(0)
    return bench.time_of(lambda: [counter.add() for _ in range(times)])


def add_to_value(value, times, begin, parties):
    begin.add()
    while begin.value < parties:
        time.sleep(0)

    def work():
        for _ in range(times):
            with value:
                value.value += 1
    return bench.time_of(work)


def serve_value(pipe, value):
    """multiprocessing.Value can only be inherited: its process gets it at the start."""
    for arguments in iter(pipe.recv, None):
        pipe.send(add_to_value(value, *arguments))


def counters():
    times = bench.sized(200_000, 200)
    value = context.Value("q", 0)
    pipe, theirs = context.Pipe()
    process = context.Process(target=serve_value, args=(theirs, value), daemon=True)
    process.start()
    counter = onecopy.Counter()
    with bench.Worker() as worker:
        def ours():
            begin = onecopy.Counter()
            worker._pipe.send((add, (counter, times, begin, 2)))
            mine = add(counter, times, begin, 2)
            return 2 * times / max(mine, worker._pipe.recv()[1])

        def others():
            begin = onecopy.Counter()
            pipe.send((times, begin, 2))
            mine = add_to_value(value, times, begin, 2)
            return 2 * times / max(mine, pipe.recv())

        before = counter.value
        taken = bench.interleaved(7, ours, others)
        rounds = len(taken["ours"]) + 1
        assert counter.value - before == 2 * times * rounds, "increments were lost"
        assert value.value == 2 * times * rounds
        bench.row("counter", "Counter: increments by 2 processes at once", "1/s", "multiprocessing.Value with its lock",
                  taken)
    pipe.send(None)
    process.join()
    bench.row("counter-add", "counter.add()", "ns", "multiprocessing.Value with its lock",
              bench.interleaved(15, ns_of("x.add()", x=counter), ns_of("with x: x.value += 1", x=value)))


if __name__ == "__main__":
    locks()
    counters()
