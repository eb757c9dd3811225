"""Private memory that a worker grows by when NumPy reads a shared array, and whether it still pickles as a handle."""
import pathlib
import pickle
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
import numpy as np  # noqa: E402
import onecopy  # noqa: E402

COLUMNS = 100


def op_sum(x): return x.sum()
def op_slice(x): return x[:10].copy()
def op_compare(x): return x > 5
def op_range(x): return x.min(), x.max()
def op_var(x): return x.var()
def op_sort(x): return np.sort(x)
def op_argsort(x): return np.argsort(x)
def op_quantile(x): return np.quantile(x, [0.25, 0.5, 0.75])
def op_product(x): return x.reshape(-1, COLUMNS) @ np.ones(COLUMNS)
def op_crossprod(x): return x.reshape(-1, COLUMNS).T @ x.reshape(-1, COLUMNS)
def op_means(x): return x.reshape(-1, COLUMNS).mean(axis=0)
def op_lstsq(x): return np.linalg.lstsq(x.reshape(-1, COLUMNS)[:, 1:4], x.reshape(-1, COLUMNS)[:, 0], rcond=None)
def op_buffer(x): return sum(memoryview(x)[:1000])
def op_dot(x): return np.dot(x, x)


OPERATIONS = [
    ("sum", "x.sum()", op_sum), ("slice", "x[:10].copy()", op_slice), ("compare", "x > 5", op_compare),
    ("range", "x.min(), x.max()", op_range), ("var", "x.var()", op_var), ("sort", "np.sort(x)", op_sort),
    ("argsort", "np.argsort(x)", op_argsort), ("quantile", "np.quantile(x, ...)", op_quantile),
    ("product", "m @ v", op_product), ("crossprod", "m.T @ m", op_crossprod), ("means", "m.mean(axis=0)", op_means),
    ("lstsq", "np.linalg.lstsq", op_lstsq), ("dot", "np.dot(x, x)", op_dot),
    ("buffer", "memoryview(x)", op_buffer),
]


def inside(x, work):
    """In the worker: memory grown since before x came is for the caller to work out."""
    began = time.perf_counter()
    result = work(x)
    seconds = time.perf_counter() - began
    del result
    return bench.private_memory(), seconds, len(pickle.dumps(x))


def grown(worker, x, work, small):
    for _ in range(2):
        worker(inside, small, work)  # what NumPy loads and keeps on first use is no cost of sharing
    before = worker(bench.private_memory)
    after, seconds, size = worker(inside, x, work)
    return max(0, after - before), seconds, size


if __name__ == "__main__":
    n = bench.sized(25_000_000, 100_000)
    plain = np.random.default_rng(1).random(n)
    shared = onecopy.share(plain)
    small = np.random.default_rng(2).random(1000)
    lost = []
    with bench.Worker() as worker:
        for id, what, work in OPERATIONS:
            theirs, theirs_seconds, _ = grown(worker, plain, work, small)
            ours, seconds, size = grown(worker, shared, work, small)
            if size > 200:
                lost.append(what)
            bench.row(f"memory-{id}", f"worker's private memory grown by {what} on {bench.size(n * 8)}", "bytes",
                      "ndarray sent by pickle", bench.once(ours, theirs), bench.at_most(2e6),
                      f"the operation took {seconds:.2f} s, plain {theirs_seconds:.2f} s")
    bench.row("handle-after", "reading operations after which an array pickles as more than a handle", "", "operations",
              bench.once(len(lost), len(OPERATIONS)), bench.at_most(0), ", ".join(lost))
