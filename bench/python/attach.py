"""Attaching to objects that another process holds, and what pickling them sends."""
import gc
import os
import pathlib
import pickle
import sys
import tempfile

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


def each_us(seconds, count):
    return seconds * 1e6 / count


def attach_all(items, attach):
    """Microseconds for each: attach and read one element. All are let go of before the clock starts again."""
    def sample():
        kept = []

        def work():
            for item in items:
                x = attach(item)
                x[0]
                kept.append(x)

        seconds = bench.time_of(work)
        kept.clear()
        gc.collect()
        return each_us(seconds, len(items))
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


def measure(worker, id, elements, count):
    what = f"{bench.size(elements * 8)} of doubles"
    handles, pickles = worker(hold, count, elements)
    with bench.Worker() as other:
        names = other(hold_plain, count, elements)
        shm = attach_all(names, attach_shared_memory)
        goal = bench.at_most(15)
        bench.row(id, f"attach {what}: attach(handle), read one element", "us", "multiprocessing.shared_memory",
                  bench.interleaved(15, attach_all(handles, onecopy.attach), shm), goal)
        bench.row(f"{id}-unpickle", f"attach {what}: unpickle, read one element", "us", "multiprocessing.shared_memory",
                  bench.interleaved(15, attach_all(pickles, pickle.loads), shm), goal)
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
    ours = attach_all(handles, onecopy.attach)
    try:
        import pyarrow as pa

        path = os.path.join(folder, "table.arrow")
        table = pa.table({"x": data})
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

        def mapped(_):
            return pa.ipc.open_file(pa.memory_map(path)).read_all().column("x").chunk(0).to_numpy()

        bench.row("attach-arrow", what, "us", "pyarrow: IPC file over memory_map",
                  bench.interleaved(30, ours, attach_all([path], mapped)), bench.at_most(15))
    except ImportError:
        bench.not_run("attach-arrow", what + " beside pyarrow", "pyarrow is not installed")
    try:
        import joblib

        path = os.path.join(folder, "array.joblib")
        joblib.dump(data, path)
        bench.row("attach-joblib", what, "us", "joblib.load(mmap_mode='r')",
                  bench.interleaved(30, ours, attach_all([path], lambda p: joblib.load(p, mmap_mode="r"))),
                  bench.at_most(15))
    except ImportError:
        bench.not_run("attach-joblib", what + " beside joblib", "joblib is not installed")
    worker(drop)


def onecopy_directory():
    return os.environ["ONECOPY_DIR"]


if __name__ == "__main__":
    with bench.Worker() as worker:
        measure(worker, "attach-small", 100, bench.sized(500, 5))
        measure(worker, "attach-large", bench.sized(1_000_000, 10_000), bench.sized(20, 3))
        beside_files(worker)
    pickled()
