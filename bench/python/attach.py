"""Attaching to objects that another process holds, and what pickling them sends."""
import gc
import os
import pathlib
import pickle
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
import numpy as np  # noqa: E402
import onecopy  # noqa: E402

held = []


def hold(count, elements):
    held[:] = [onecopy.share(np.random.default_rng(i).random(elements)) for i in range(count)]
    return [onecopy.handle(x) for x in held], [pickle.dumps(x) for x in held]


def hold_plain(count, elements):
    """The same with multiprocessing.shared_memory: names to attach by."""
    from multiprocessing import shared_memory

    held[:] = []
    for i in range(count):
        memory = shared_memory.SharedMemory(create=True, size=elements * 8)
        np.ndarray(elements, "f8", memory.buf)[:] = i
        held.append(memory)
    return [memory.name for memory in held]


def drop_plain():
    for memory in held:
        memory.close()
        memory.unlink()
    held.clear()


def drop():
    held.clear()
    gc.collect()


def attach_all(items, attach, times=1):
    """Microseconds, the median: attach and read one element. Letting go, for else the next would find it attached, is
    not counted; nor is the first of a sample, which fetches the code itself from memory (see attach-first)."""
    def sample():
        let_go_of(attach, items[0])
        taken = []
        for _ in range(times):
            for item in items:
                began = time.perf_counter()
                x = attach(item)
                x[0]
                taken.append(time.perf_counter() - began)
                del x
        return float(np.median(taken)) * 1e6
    return sample


def let_go_of(attach, item):
    attach(item)[0]


def attach_first(item, attach):
    """Microseconds of one attach after the processor's caches were used for something else."""
    def sample():
        other.sum()
        began = time.perf_counter()
        x = attach(item)
        x[0]
        return (time.perf_counter() - began) * 1e6
    other = np.ones(bench.sized(8_000_000, 1000))
    return sample


def attach_shared_memory(name):
    from multiprocessing import shared_memory

    memory = shared_memory.SharedMemory(name=name)
    array = np.ndarray(memory.size // 8, "f8", memory.buf)
    array[0]
    return Kept(memory, array)


class Kept:
    """An array over a SharedMemory, which must be closed before it is let go of, or it complains."""

    def __init__(self, memory, array):
        self.memory, self.array = memory, array

    def __getitem__(self, i):
        return self.array[i]

    def __del__(self):
        del self.array
        self.memory.close()


def measure(worker, id, elements, count, times):
    what = f"{bench.size(elements * 8)} of doubles"
    handles, pickles = worker(hold, count, elements)
    with bench.Worker() as other:
        names = other(hold_plain, count, elements)
        shm = attach_all(names, attach_shared_memory, times)
        goal = bench.at_most(15)
        bench.row(id, f"attach {what}: attach(handle), read one element", "us", "multiprocessing.shared_memory",
                  bench.interleaved(15, attach_all(handles, onecopy.attach, times), shm), goal)
        bench.row(f"{id}-unpickle", f"attach {what}: unpickle, read one element", "us", "multiprocessing.shared_memory",
                  bench.interleaved(15, attach_all(pickles, pickle.loads, times), shm), goal)
        if count == 1:
            bench.row(f"{id}-first", f"attach {what}, the caches full of other things: attach(handle), read one element",
                      "us", "multiprocessing.shared_memory",
                      bench.interleaved(30, attach_first(handles[0], onecopy.attach),
                                        attach_first(names[0], attach_shared_memory)))
        other(drop_plain)
    assert type(pickle.loads(pickles[0])[0]) is np.float64
    worker(drop)


def pickled():
    n = bench.sized(10_000_000, 10_000)
    plain = np.random.default_rng(1).random(n)
    shared = onecopy.share(plain)
    bench.row("pickle-size", f"pickle of an array of {bench.size(n * 8)}", "bytes", "pickle of the data",
              bench.once(len(pickle.dumps(shared)), len(pickle.dumps(plain))), bench.at_most(200))
    times = bench.sized(1000, 10)
    bench.row("pickle-time", f"pickle.dumps of an array of {bench.size(n * 8)}", "us", "pickle of the data",
              bench.interleaved(7, lambda: bench.time_of(lambda: [pickle.dumps(shared) for _ in range(times)]) / times * 1e6,
                                lambda: bench.time_of(lambda: pickle.dumps(plain)) * 1e6))


def beside_files(worker):
    """Arrow's IPC file, mapped; and joblib's memory mapping of a dump: both in the same file system as the store."""
    elements = bench.sized(10_000_000, 10_000)
    handles, _ = worker(hold, 1, elements)
    what = f"attach {bench.size(elements * 8)} of doubles: attach(handle), read one element"
    folder = tempfile.mkdtemp(dir=os.path.dirname(onecopy_directory()))
    data = np.random.default_rng(2).random(elements)
    times = bench.sized(100, 2)
    ours = attach_all(handles, onecopy.attach, times)
    try:
        import pyarrow as pa

        path = os.path.join(folder, "table.arrow")
        table = pa.table({"x": data})
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

        def mapped(_):
            return pa.ipc.open_file(pa.memory_map(path)).read_all().column("x").chunk(0).to_numpy()

        bench.row("attach-arrow", what, "us", "pyarrow: IPC file over memory_map",
                  bench.interleaved(15, ours, attach_all([path], mapped, times)), bench.at_most(15))
    except ImportError:
        bench.not_run("attach-arrow", what + " beside pyarrow", "pyarrow is not installed")
    try:
        import joblib

        path = os.path.join(folder, "array.joblib")
        joblib.dump(data, path)
        bench.row("attach-joblib", what, "us", "joblib.load(mmap_mode='r')",
                  bench.interleaved(15, ours, attach_all([path], lambda p: joblib.load(p, mmap_mode="r"), times)),
                  bench.at_most(15))
    except ImportError:
        bench.not_run("attach-joblib", what + " beside joblib", "joblib is not installed")
    worker(drop)


def beside_posix_ipc(worker):
    elements = bench.sized(10_000_000, 10_000)
    what = f"attach {bench.size(elements * 8)} of doubles: attach(handle), read one element"
    try:
        import mmap

        import posix_ipc
    except ImportError:
        bench.not_run("attach-posix", what + " beside posix_ipc", "posix_ipc is not installed")
        return
    handles, _ = worker(hold, 1, elements)
    times = bench.sized(200, 2)
    memory = posix_ipc.SharedMemory(None, posix_ipc.O_CREX, size=elements * 8)
    try:
        os.pwrite(memory.fd, np.ones(elements), 0)

        def mapped(name):
            opened = posix_ipc.SharedMemory(name)
            try:
                return np.frombuffer(mmap.mmap(opened.fd, opened.size), "f8")
            finally:
                opened.close_fd()

        bench.row("attach-posix", what, "us", "posix_ipc.SharedMemory, mmap and numpy.frombuffer",
                  bench.interleaved(15, attach_all(handles, onecopy.attach, times),
                                    attach_all([memory.name], mapped, times)), bench.at_most(15))
    finally:
        memory.close_fd()
        memory.unlink()
        worker(drop)


def onecopy_directory():
    return os.environ["ONECOPY_DIR"]


if __name__ == "__main__":
    with bench.Worker() as worker:
        measure(worker, "attach-small", 100, bench.sized(500, 5), 1)
        measure(worker, "attach-large", bench.sized(1_000_000, 10_000), bench.sized(20, 3), bench.sized(10, 1))
        measure(worker, "attach-huge", bench.sized(100_000_000, 20_000), 1, bench.sized(200, 2))
        beside_files(worker)
        beside_posix_ipc(worker)
    pickled()
