"""Ray: an array in its own store, beside ours, and tasks that get either as they are."""
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
import numpy as np  # noqa: E402
import onecopy  # noqa: E402


def first(x):
    return float(x[0])


def compare(ray):
    elements = bench.sized(10_000_000, 10_000)
    what = f"{bench.size(elements * 8)} of doubles"
    plain = np.random.default_rng(1).random(elements)
    shared = onecopy.share(plain)
    task = ray.remote(first)
    bench.row("ray-put", f"put {what} into shared memory", "s", "ray.put",
              bench.interleaved(7, lambda: bench.time_of(lambda: onecopy.share(plain)),
                                lambda: bench.time_of(lambda: ray.put(plain))))
    reference = ray.put(plain)
    with bench.Worker() as holder:
        handle = holder(hold, elements)
        times = 100
        bench.row("ray-get", f"get {what} from shared memory, read one element, let go", "us", "ray.get",
                  bench.interleaved(
                      15, lambda: bench.time_of(lambda: [first(onecopy.attach(handle)) for _ in range(times)]) * 1e6 / times,
                      lambda: bench.time_of(lambda: [first(ray.get(reference)) for _ in range(times)]) * 1e6 / times))
    bench.row("ray-task", f"a Ray task with {what} as its argument: until answered", "s", "the plain array",
              bench.interleaved(15, lambda: bench.time_of(lambda: ray.get(task.remote(shared))),
                                lambda: bench.time_of(lambda: ray.get(task.remote(plain)))))
    size = {name: ray.experimental.get_object_locations([ref])[ref]["object_size"]
            for name, ref in (("ours", ray.put(shared)), ("plain", reference))}
    bench.row("ray-size", f"ray.put of {what}: bytes in Ray's store", "bytes", "the plain array",
              bench.once(size["ours"], size["plain"]), bench.at_most(200))


def hold(elements):
    global held
    held = onecopy.share(np.ones(elements))
    return onecopy.handle(held)


if __name__ == "__main__":
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    try:
        import ray
    except ImportError:
        bench.not_run("ray", "Ray's object store", "ray is not installed")
        sys.exit(0)
    folder = tempfile.mkdtemp(prefix="onecopy-ray-")
    ray.init(num_cpus=2, object_store_memory=1_500_000_000 if not bench.TINY else 80_000_000, include_dashboard=False,
             logging_level="ERROR", _temp_dir=folder)
    try:
        compare(ray)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
