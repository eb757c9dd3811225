"""multiprocessing.Pool and joblib over one large array with 4 workers: time until all have it, and memory of all."""
import functools
import multiprocessing
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
import numpy as np  # noqa: E402
import onecopy  # noqa: E402

WORKERS = 4


def first(x, _):
    return float(x[0]), os.getpid()


def whole(x, _):
    """Reads all of it and says what this process pays for it, x included."""
    total = float(x.sum())
    return total, os.getpid(), bench.private_memory()


def memory(_):
    return os.getpid(), bench.private_memory()


def attached_first(name, size, _):
    from multiprocessing import shared_memory

    block = shared_memory.SharedMemory(name=name)
    x = np.ndarray(size, "f8", block.buf)
    answer = float(x[0]), os.getpid()
    del x
    block.close()
    return answer


def tasks(work):
    return [work] * WORKERS


def call(work):
    return work(None)


def start_time(pool, work):
    """Seconds until each of 4 tasks that carry the array has been answered."""
    return bench.time_of(lambda: pool.map(call, tasks(work), chunksize=1))


def total_growth(pool, x):
    """Private memory of all workers that had a task, beyond what they had before."""
    before = dict(pool.map(memory, range(WORKERS * 8), chunksize=1))
    after = {}
    for _, pid, used in pool.map(call, tasks(functools.partial(whole, x)), chunksize=1):
        after[pid] = max(used, after.get(pid, 0))
    # A worker that had no task before has no figure; it counts as having had the least.
    floor = min(before.values())
    return sum(max(0, used - before.get(pid, floor)) for pid, used in after.items())


if __name__ == "__main__":
    n = bench.big(125_000_000, 10_000)
    size = bench.size(n * 8)
    plain = np.random.default_rng(1).random(n)
    shared = onecopy.share(plain)
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.map(memory, range(WORKERS * 8), chunksize=1)  # all have started and imported
        taken = bench.interleaved(2, lambda: start_time(pool, functools.partial(first, shared)),
                                  lambda: start_time(pool, functools.partial(first, plain)))
        bench.row("pool-start", f"Pool.map of 4 tasks over an array of {size}: until all are answered", "s",
                  "the array pickled", taken, bench.ratio_at_most(0.01))
        from multiprocessing import shared_memory

        block = shared_memory.SharedMemory(create=True, size=n * 8)
        np.ndarray(n, "f8", block.buf)[:1000] = 1
        taken = bench.interleaved(9, lambda: start_time(pool, functools.partial(first, shared)),
                                  lambda: start_time(pool, functools.partial(attached_first, block.name, n)))
        block.close()
        block.unlink()
        bench.row("pool-shared-memory", f"the same, {size} in shared memory", "s", "multiprocessing.shared_memory by name",
                  taken)
        ours = total_growth(pool, shared)
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.map(memory, range(WORKERS * 8), chunksize=1)
        theirs = total_growth(pool, plain)
    # Both with the original: the one copy, or the sender's.
    bench.row("pool-memory", f"memory of 4 workers and the array of {size} after x.sum() in each", "bytes",
              "the array pickled", bench.once(ours + n * 8, theirs + n * 8), bench.at_most(n * 8 + WORKERS * 2e6))
    try:
        import joblib
    except ImportError:
        bench.not_run("joblib-start", "joblib over an array", "joblib is not installed")
        sys.exit(0)
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix=f"onecopy-bench-{os.getpid()}-") as folder:
        with joblib.Parallel(n_jobs=WORKERS, max_nbytes="1M", temp_folder=folder, batch_size=1) as parallel:
            def run(x):
                return bench.time_of(lambda: parallel(joblib.delayed(first)(x, i) for i in range(WORKERS)))

            run(plain[:100])

            def fresh():
                # joblib writes an array to its folder once; another object of the same bytes is written again.
                return run(plain.copy())

            taken = bench.interleaved(3, lambda: run(shared), fresh)
            bench.row("joblib-start", f"joblib.Parallel, 4 tasks over an array of {size}", "s",
                      "joblib's memory mapping (max_nbytes)", taken)
