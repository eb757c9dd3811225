"""pandas groupby in 4 processes on one large frame with strings: memory, time to start, and what is pickled.

  bench/python/frame.py [GB]      the size of the frame; 2 GB unless said otherwise
"""
import pathlib
import pickle
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
import numpy as np  # noqa: E402
import onecopy  # noqa: E402

WORKERS = 4
ROWS_OF_A_GIGABYTE = 11_700_000


def make(rows):
    import pandas as pd

    random = np.random.default_rng(1)
    carriers = np.array([f"carrier number {i}" for i in range(200)], dtype=object)
    return pd.DataFrame({
        "carrier": pd.array(carriers[random.integers(0, 200, rows)], dtype="str"),
        "flight": pd.array([f"flight {i % 100_003}" for i in range(rows)], dtype="str"),
        "delay": random.random(rows), "distance": random.random(rows), "air_time": random.integers(0, 600, rows),
        "hour": random.integers(0, 24, rows),
        "time": pd.Timestamp("2013-01-01") + pd.to_timedelta(random.integers(0, 31_536_000, rows), unit="s"),
    })


def grouped(frame):
    return frame.groupby("carrier", observed=True)["delay"].mean().sort_index()


def keep(frame):
    """In the worker: works on the frame, keeps it, and says what the process pays for."""
    global kept
    kept = frame
    first, last = grouped(frame).iloc[[0, -1]]
    return float(first), float(last), bench.private_memory()


def prepare(frame):
    for _ in range(3):
        grouped(frame)
    return bench.private_memory()


def touch(frame):
    return float(frame["delay"].iloc[0]), str(frame["carrier"].iloc[-1])


def total_growth(frame, small):
    growth, answers = 0, set()
    workers = [bench.Worker() for _ in range(WORKERS)]
    for worker in workers:  # one after the other, so that workspaces don't add up; all keep the frame to the end
        before = worker(prepare, small)
        *answer, after = worker(keep, frame)
        growth += max(0, after - before)
        answers.add(tuple(answer))
    assert len(answers) == 1
    for worker in workers:
        worker.stop()
    return growth


if __name__ == "__main__":
    try:
        import pandas  # noqa: F401
    except ImportError:
        bench.not_run("frame", "pandas groupby in 4 processes", "pandas is not installed")
        sys.exit(0)
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    frame = make(bench.big(int(gigabytes * ROWS_OF_A_GIGABYTE), 2000))
    bytes_of_frame = int(frame.memory_usage(deep=True).sum())
    size = bench.size(bytes_of_frame)
    shared = onecopy.share(frame)
    assert grouped(shared.head(1000)).equals(grouped(frame.head(1000)))
    bench.row("frame-pickle", f"pickle of a DataFrame of {size} with strings", "bytes", "pickle of the data",
              bench.once(len(pickle.dumps(shared)), bytes_of_frame), bench.at_most(4096))
    small = make(1000)
    ours = total_growth(shared, small)
    theirs = total_growth(frame, small)
    bench.row("frame-memory", f"memory of 4 workers and the frame of {size} after groupby in each", "bytes",
              "the frame pickled", bench.once(ours + bytes_of_frame, theirs + bytes_of_frame),
              bench.ratio_at_most((bytes_of_frame + WORKERS * 32e6) / (bytes_of_frame * (WORKERS + 1))),
              f"the workers' own growth: {bench.size(ours)}, pickled {bench.size(theirs)}; 32 MB a worker for pandas")
    with bench.Worker() as worker:
        worker(prepare, small)
        bench.row("frame-start", f"a DataFrame of {size}: until a worker has touched it", "s", "the frame pickled",
                  bench.interleaved(2, lambda: bench.time_of(lambda: worker(touch, shared)),
                                    lambda: bench.time_of(lambda: worker(touch, frame))), bench.ratio_at_most(0.01))
    n = bench.sized(1_000_000, 1000)
    plain = make(n)
    bench.row("frame-share", f"share a DataFrame of {bench.size(int(plain.memory_usage(deep=True).sum()))}", "s",
              "pickle.dumps", bench.interleaved(5, lambda: bench.time_of(lambda: onecopy.share(plain)),
                                                lambda: bench.time_of(lambda: pickle.dumps(plain))))
    kept_shared = onecopy.share(plain)
    bench.row("frame-groupby", f"groupby on {n:,} rows", "s", "a plain DataFrame",
              bench.interleaved(9, lambda: bench.time_of(lambda: grouped(kept_shared)),
                                lambda: bench.time_of(lambda: grouped(plain))), bench.ratio_at_most(1.2))
