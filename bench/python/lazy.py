"""Lazy arrays: what a touch costs, reading in sequence, files, functions in Python, computing beyond the budget, and
reading while the pager is killed again and again."""
import multiprocessing
import os
import pathlib
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
import numpy as np  # noqa: E402
import onecopy  # noqa: E402

BUDGET = bench.sized(128 << 20, 16 << 20)


def touches(make, chunk, count):
    """Microseconds of a touch of a chunk that is not there; the median."""
    x = make()
    plain, step = x.view(np.ndarray).view("u1"), 2 * chunk  # every other one, from the end: no sequence is seen
    taken = []
    for i in range(count, 0, -1):
        began = time.perf_counter()
        plain[i * step]
        taken.append(time.perf_counter() - began)
    return float(np.median(taken)) * 1e6


def faults(folder):
    for chunk, goal in ((4096, 12), (65536, 40)):
        count = bench.sized(400, 30)
        size = (2 * count + 2) * chunk
        path = os.path.join(folder, "touched")
        with open(path, "wb") as file:
            file.truncate(size)
            file.write(os.urandom(min(size, 1 << 20)))

        def ours(chunk=chunk, count=count, size=size):
            return touches(lambda: onecopy.lazy_sequence(0, 1, size=size // 8, chunk=chunk), chunk, count)

        def mapped(chunk=chunk, count=count, path=path):
            return touches(lambda: np.memmap(path, "u1", "r"), chunk, count)

        bench.row(f"lazy-fault-{chunk // 1024}k", f"touch that fills {chunk // 1024} KB", "us",
                  "numpy.memmap: touch of a page in the cache", bench.interleaved(5, ours, mapped), bench.at_most(goal),
                  note="with two processors waking each other; cpp has it on one")
    os.unlink(path)


def read(x):
    return float(x.sum())


def four_readers():
    elements = 4 * BUDGET // 8
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(read, [onecopy.lazy_sequence(0, 1, size=100)] * 8)
        rates, fills = [], 0
        for _ in range(bench.sized(3, 1)):
            x = onecopy.lazy_sequence(0.0, 1.0, size=elements)
            parts = [x[i * elements // 4 : (i + 1) * elements // 4] for i in range(4)]
            began = time.perf_counter()
            pool.map(read, parts, chunksize=1)
            rates.append(x.nbytes / (time.perf_counter() - began) / 1e9)
            fills = x.counters.fills
    usage = onecopy.lazy_usage()
    assert usage.peak <= BUDGET
    bench.row("lazy-four-readers", f"4 processes read {bench.size(elements * 8)}, 4 budgets", "GB/s", "",
              {"ours": rates, "baseline": []}, bench.at_least(2),
              f"{fills} fills of {-(-elements * 8 // 65536)} chunks")


def files(folder):
    path, count = os.path.join(folder, "numbers"), bench.sized(BUDGET // 16, BUDGET // 32)
    np.random.default_rng(1).random(count).tofile(path)

    def rate(make):
        began = time.perf_counter()
        make().sum()
        return count * 8 / (time.perf_counter() - began) / 1e9

    what = f"sum of a file of {bench.size(count * 8)}, within the budget"
    bench.row("lazy-file", what, "GB/s", "numpy.memmap",
              bench.interleaved(7, lambda: rate(lambda: onecopy.lazy_binary(path, "f8")),
                                lambda: rate(lambda: np.memmap(path, "f8", "r"))), bench.ratio_at_least(0.8))
    bench.row("lazy-file-paged", what + ", in chunks (in_place=False)", "GB/s", "numpy.memmap",
              bench.interleaved(5, lambda: rate(lambda: onecopy.lazy_binary(path, "f8", in_place=False)),
                                lambda: rate(lambda: np.memmap(path, "f8", "r"))))


def count_up(start, end, out):
    out[:] = np.arange(start, end)


def functions():
    count = BUDGET // 16

    def ours():
        x = onecopy.lazy("f8", count, count_up)
        x[0]
        began = time.perf_counter()
        x.sum()
        return count * 8 / (time.perf_counter() - began) / 1e6

    def plain():
        began = time.perf_counter()
        out = np.empty(count)
        count_up(0, count, out)
        out.sum()
        return count * 8 / (time.perf_counter() - began) / 1e6

    bench.row("lazy-populate-python", "function in Python, filled and summed", "MB/s",
              "the function called once on an array of this process", bench.interleaved(5, ours, plain))


def at_random(folder):
    """Elements at random of a file of four budgets."""
    path, count = os.path.join(folder, "numbers"), 4 * BUDGET // 8
    with open(path, "wb") as file:
        for _ in range(16):
            np.random.default_rng(1).random(count // 16).tofile(file)
    places = np.random.default_rng(2).integers(0, count // 16 * 16, bench.sized(20_000, 500))

    def each(x):
        began = time.perf_counter()
        for i in places:
            x[i]
        return (time.perf_counter() - began) / len(places) * 1e6

    what = f"element at random of {bench.size(count * 8)}, 4 budgets"
    bench.row("lazy-random-memmap", what, "us", "numpy.memmap, the file in the page cache",
              bench.interleaved(3, lambda: each(onecopy.lazy_binary(path, "f8")),
                                lambda: each(np.memmap(path, "f8", "r"))))
    bench.row("lazy-random-paged", what + ", in chunks of 4 KB (in_place=False)", "us",
              "numpy.memmap, the file in the page cache",
              bench.interleaved(3, lambda: each(onecopy.lazy_binary(path, "f8", chunk=4096, in_place=False)),
                                lambda: each(np.memmap(path, "f8", "r"))))
    # A source that no mapping can replace: the other order of bytes.
    bench.row("lazy-random-swapped", what + ", bytes swapped, chunks of 4 KB", "us", "numpy.memmap of big-endian numbers",
              bench.interleaved(3, lambda: each(onecopy.lazy_binary(path, ">f8", chunk=4096)),
                                lambda: each(np.memmap(path, ">f8", "r"))))
    os.unlink(path)


def beyond_the_budget(folder):
    count, paths = 2 * BUDGET // 8, [os.path.join(folder, name) for name in "xy"]
    for i, path in enumerate(paths):
        (np.random.default_rng(i).random(count) - 0.5).tofile(path)
    step = 1 << 17

    def seconds(x, y):
        began = time.perf_counter()
        total = sum(int((x[i : i + step] + y[i : i + step] > 0).sum()) for i in range(0, count, step))
        assert 0 < total < count
        return time.perf_counter() - began

    def ours(in_place=True):
        return seconds(*(onecopy.lazy_binary(path, "f8", in_place=in_place) for path in paths))

    def put_off():
        x, y = (onecopy.lazily(onecopy.lazy_binary(path, "f8")) for path in paths)
        began = time.perf_counter()
        assert 0 < (x + y > 0).sum() < count
        return time.perf_counter() - began

    what = f"sum(x + y > 0), {bench.size(2 * count * 8)}, 4 budgets"
    bench.row("lazy-sum-memmap", what, "s", "numpy.memmap, the same pieces",
              bench.interleaved(3, ours, lambda: seconds(*(np.memmap(path, "f8", "r") for path in paths))))
    bench.row("lazy-sum-paged", what + ", in chunks (in_place=False)", "s", "numpy.memmap, the same pieces",
              bench.interleaved(3, lambda: ours(in_place=False),
                                lambda: seconds(*(np.memmap(path, "f8", "r") for path in paths))))
    bench.row("lazy-sum-lazily", what + " by lazily()", "s", "numpy.memmap, pieces by hand",
              bench.interleaved(3, put_off, lambda: seconds(*(np.memmap(path, "f8", "r") for path in paths))))
    try:
        import dask.array as da
    except ImportError:
        bench.not_run("lazy-sum-dask", what, "dask is not installed")
        return

    def dask():
        began = time.perf_counter()
        x, y = (da.from_array(np.memmap(path, "f8", "r"), chunks=step) for path in paths)
        ((x + y) > 0).sum().compute()
        return time.perf_counter() - began

    bench.row("lazy-sum-dask", what, "s", "Dask over numpy.memmap, all processors", bench.interleaved(3, ours, dask))


def is_right(part):
    """In a worker: do all of its elements have the value that they should?"""
    x, first = part
    step = 1 << 16
    return all(bool((x[i : i + step] == np.arange(first + i, first + min(i + step, len(x)))).all())
               for i in range(0, len(x), step))


def killed():
    """Four processes check each element of four budgets, again and again, while the pager is killed 100 times."""
    kills, elements = bench.sized(100, 3), 4 * BUDGET // 8
    taken = {"ours": [], "baseline": []}
    done = 0
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        x = onecopy.lazy_sequence(0.0, 1.0, size=elements)
        parts = [(x[i * elements // 4 : (i + 1) * elements // 4], i * elements // 4) for i in range(4)]
        assert all(pool.map(is_right, parts, chunksize=1))
        while done < kills or len(taken["baseline"]) < len(taken["ours"]):
            kill = len(taken["ours"]) <= len(taken["baseline"])
            began = time.perf_counter()
            run = pool.map_async(is_right, parts, chunksize=1)
            while not run.ready():
                if kill and done < kills:
                    os.kill(onecopy.lazy_usage().pager, signal.SIGKILL)
                    done += 1
                run.wait(0.1)
            assert all(run.get()), "a wrong value was read"
            taken["ours" if kill else "baseline"].append(time.perf_counter() - began)
    bench.row("lazy-killed", f"4 processes check {bench.size(elements * 8)}, 4 budgets, while the pager is killed", "s",
              "the same, nobody is killed", taken, bench.NO_GOAL,
              f"{done} kills in {len(taken['ours'])} runs, all of which ended; 0 wrong values of "
              f"{len(taken['ours']) * elements}")


if __name__ == "__main__":
    onecopy.lazy_budget(BUDGET)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        faults(folder)
        four_readers()
        files(folder)
        functions()
        at_random(folder)
        beyond_the_budget(folder)
        killed()
