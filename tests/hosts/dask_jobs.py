"""What clients of the clusters under test do, one function for each; run inside a host by dask_cluster.Cluster.job."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from typing import Any

import numpy as np


def client_of(address: str) -> Any:
    import distributed

    security = None
    if "ONECOPY_TEST_CERTIFICATE" in os.environ:
        certificate, key = os.environ["ONECOPY_TEST_CERTIFICATE"], os.environ["ONECOPY_TEST_KEY"]
        security = distributed.Security(
            tls_ca_file=certificate, tls_client_cert=certificate, tls_client_key=key, require_encryption=True
        )
    return distributed.Client(address, security=security, timeout=60)


def numbers(megabytes: float, seed: int = 1) -> Any:
    return np.random.default_rng(seed).random(int(megabytes * 125_000))


def look_at(x: Any) -> tuple[str, bool, float]:
    import onecopy

    return os.environ["ONECOPY_HOST"], onecopy.is_shared(x), float(np.asarray(x).sum())


# ------------------------------------------------------------------------------------------------ jobs


def wait_for_workers(client: Any, count: int) -> int:
    client.wait_for_workers(count, timeout=150)
    return count


def broadcast(client: Any, megabytes: float, shared: bool = True, direct: bool = False) -> Any:
    """Scatters to every worker; each looks at it."""
    import onecopy

    data = numbers(megabytes)
    total, size = float(data.sum()), data.nbytes
    began = time.monotonic()
    x = onecopy.share(data) if shared else data
    del data
    future = client.scatter(x, broadcast=True, direct=direct)
    scattered = time.monotonic() - began
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    seen = client.gather([client.submit(look_at, future, workers=[w], pure=False) for w in workers])
    used = time.monotonic() - began
    return {
        "right": all(abs(s - total) < 1e-6 for _, _, s in seen),
        "shared": all(is_shared for _, is_shared, _ in seen),
        "looked": len(seen), "seconds": used, "scatter": scattered, "bytes": size,
        "sizes": sorted({n for info in client.run(sizes).values() for n in info}),
    }  # fmt: skip


def sizes(dask_worker: Any) -> list[int]:
    from dask.sizeof import sizeof

    return [sizeof(value) for value in dask_worker.data.values()]


@dataclasses.dataclass
class Config:
    rate: float
    table: Any


def everything(client: Any) -> Any:
    """Arguments, closures and nested objects, on workers of every host."""
    import pandas as pd
    import pyarrow as pa

    import onecopy

    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    array = onecopy.share(numbers(4, 2))
    frame = onecopy.share(pd.DataFrame({"n": np.arange(200_000.0), "s": ["x", "y"] * 100_000}))
    tree = onecopy.share({"a": numbers(1, 3), "b": ["text", 1, None]})
    table = onecopy.share(pa.table({"k": np.arange(100_000), "t": ["p", "q"] * 50_000}))
    config = Config(2.0, frame)
    piece, column, changed = array[::2], frame[["n"]], frame.assign(own=1.0)

    def task(given: Any, closed_over: bool) -> Any:
        local = array if closed_over else given["list"][0]
        return [
            float(local.sum()),
            float(given["piece"].sum()),
            given["config"].table.groupby("s").n.mean().to_dict(),
            float(given["column"].n.sum()),
            float(given["changed"].own.sum() + given["changed"].n.sum()),
            float(given["tree"]["a"].sum()), given["tree"]["b"],
            given["table"].column("k").to_numpy().sum().item(), given["table"].slice(10, 4).column("t").to_pylist(),
            onecopy.is_shared(local),
        ]  # fmt: skip

    given = {"list": [array], "piece": piece, "config": config, "column": column, "changed": changed, "tree": tree,
             "table": table}  # fmt: skip
    expected = task(given, False)
    wrong = []
    for closed_over in (False, True):
        futures = {w: client.submit(task, given, closed_over, workers=[w], pure=False) for w in workers}
        for worker, future in futures.items():
            got = future.result(timeout=100)
            if json.loads(json.dumps(got)) != json.loads(json.dumps(expected)):
                wrong.append([worker, got])
    return {"wrong": wrong, "workers": len(workers), "shared": expected[-1]}


def results(client: Any) -> Any:
    """Workers share; others use it; the client gathers it both ways."""
    import onecopy

    by_host: dict[str, str] = {}
    for worker, info in client.scheduler_info(n_workers=-1)["workers"].items():
        by_host.setdefault(info["name"].split("-")[0], worker)
    hosts = sorted(by_host)

    def make(seed: int) -> Any:
        import onecopy

        return onecopy.share(numbers(2, seed))

    made = [client.submit(make, i, workers=[by_host[h]], pure=False) for i, h in enumerate(hosts)]
    crossed = [
        client.submit(look_at, made[i], workers=[by_host[hosts[(i + 1) % len(hosts)]]], pure=False)
        for i in range(len(hosts))
    ]
    sums = [float(numbers(2, i).sum()) for i in range(len(hosts))]
    seen = client.gather(crossed)
    through, direct = client.gather(made, direct=False), client.gather(made, direct=True)
    return {
        "crossed": all(ok and abs(s - t) < 1e-6 for (_, ok, s), t in zip(seen, sums, strict=True)),
        "gathered": all(abs(float(x.sum()) - t) < 1e-6 for x, t in zip(through + direct, sums + sums, strict=True)),
        "shared": all(onecopy.is_shared(x) for x in through + direct),
    }


def workers_of(client: Any, hosts: list[str]) -> list[str]:
    known = client.scheduler_info(n_workers=-1)["workers"]
    return [worker for worker, info in known.items() if info["name"].split("-")[0] in hosts]


def use(client: Any, megabytes: float, hosts: list[str], tasks: int = 6, made_on: str = "") -> Any:
    """Tasks on these hosts use an object of this process, or of a worker elsewhere, through a closure."""
    import onecopy

    if made_on:
        there = workers_of(client, [made_on])
        made = client.submit(lambda: onecopy.share(numbers(megabytes)), workers=there, pure=False)
        # What the workers get is the handle, and not Dask's own key.
        handle = client.submit(onecopy.handle, made, workers=there, pure=False).result(timeout=60)

        def task(i: int) -> Any:
            return look_at(onecopy.attach(handle))
    else:
        x = onecopy.share(numbers(megabytes))

        def task(i: int) -> Any:
            return look_at(x)

    print("begun", file=sys.stderr, flush=True)
    total = float(numbers(megabytes).sum())
    seen = []
    for host in hosts:
        here = workers_of(client, [host])
        futures = [client.submit(task, i, workers=here, pure=False) for i in range(tasks)]
        seen.append((host, futures))
    wrong = []
    for host, futures in seen:
        for future in futures:
            try:
                where, is_shared, value = future.result(timeout=90)
                if (where, is_shared) != (host, True) or abs(value - total) > 1e-6:
                    wrong.append([host, where, is_shared, value])
            except Exception as reason:
                wrong.append([host, type(reason).__name__, str(reason)])
    return {"wrong": wrong, "bytes": int(megabytes * 1e6)}


def chain(client: Any, megabytes: float, first: str, then: str, made_on: str) -> Any:
    """One host makes an object, the next uses it, and then a third one does."""
    import onecopy

    made = client.submit(lambda: onecopy.share(numbers(megabytes)), workers=workers_of(client, [made_on]), pure=False)
    handle = client.submit(onecopy.handle, made, workers=workers_of(client, [made_on]), pure=False).result(timeout=60)

    def task(i: int) -> Any:
        return look_at(onecopy.attach(handle))

    total = float(numbers(megabytes).sum())
    wrong = []
    for host in (first, then):
        looked = client.submit(task, 0, workers=workers_of(client, [host]), pure=False)
        where, is_shared, value = looked.result(timeout=90)
        if (where, is_shared) != (host, True) or abs(value - total) > 1e-6:
            wrong.append([host, where, is_shared, value])
    return {"wrong": wrong}


def damaged(client: Any, made_on: str, used_on: str) -> Any:
    """What a task says that uses an object whose bytes change on their way; and the same once they don't."""
    import onecopy

    there, here = workers_of(client, [made_on]), workers_of(client, [used_on])
    made = client.submit(lambda: onecopy.share(numbers(20)), workers=there, pure=False)
    handle = client.submit(onecopy.handle, made, workers=there, pure=False).result(timeout=60)

    def damage(on: bool) -> None:
        from distributed.protocol.serialize import to_serialize

        from onecopy._hosts.depot import Depot

        real = getattr(Depot._read, "real", Depot._read)

        def changed(*about: Any) -> Any:
            answer = real(*about)
            data = bytearray(answer["data"].data)
            data[len(data) // 2] ^= 1
            return {**answer, "data": to_serialize(bytes(data))}

        changed.real = real  # type: ignore[attr-defined]
        Depot._read = changed if on else real  # type: ignore[method-assign]

    def task() -> Any:
        return look_at(onecopy.attach(handle))

    client.run(damage, True, workers=there)
    try:
        client.submit(task, workers=here, pure=False).result(timeout=90)
        said = ["no error", ""]
    except onecopy.Error as reason:
        said = [type(reason).__name__, str(reason)]
    client.run(damage, False, workers=there)
    where, is_shared, value = client.submit(task, workers=here, pure=False).result(timeout=90)
    return [*said, (where, is_shared) == (used_on, True) and abs(value - float(numbers(20).sum())) < 1e-6]


def lazy_file(client: Any, path: str) -> Any:
    """A lazy array over a file that all hosts have: each worker's handle, and what it sums to."""
    import onecopy

    x = onecopy.lazy_binary(path, "f8")

    def task() -> Any:
        return os.environ["ONECOPY_HOST"], onecopy.handle(x), float(x.sum()), x

    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    futures = [client.submit(task, workers=[w], pure=False) for w in workers]
    used = [
        client.submit(lambda got: got[:3], f, workers=[w], pure=False) for f, w in zip(futures, workers, strict=True)
    ]
    return client.gather(used)


def plugin(client: Any) -> Any:
    """How many depots there are once the plugin is registered, and then without it."""
    import onecopy.dask

    client.register_plugin(onecopy.dask.WorkerPlugin())
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            count = sum(map(len, client.run_on_scheduler(known).values()))
        except KeyError:
            count = 0
        if count >= len(client.scheduler_info(n_workers=-1)["workers"]):
            break
        time.sleep(0.1)
    client.unregister_worker_plugin("onecopy")
    end = time.monotonic() + 30
    while (left := sum(map(len, client.run_on_scheduler(known).values()))) and time.monotonic() < end:
        time.sleep(0.1)
    return [count, left]


def known(dask_scheduler: Any) -> dict[str, list[str]]:
    return dict(dask_scheduler.plugins["onecopy-directory"].directory.depots_of)


def mutable(client: Any, host: str) -> str:
    import onecopy

    x = onecopy.share(numbers(0.1), mutable=True)
    try:
        client.submit(lambda: float(x.sum()), workers=workers_of(client, [host]), pure=False).result(timeout=90)
    except onecopy.WrongHost as reason:
        return str(reason)
    return "no error"


def directory(client: Any) -> Any:
    return client.sync(client.scheduler.onecopy_state)


def collect_garbage(client: Any) -> None:
    """Cycles that Dask's processes hold until Python next looks for them."""
    import gc

    client.run(gc.collect)
    client.run_on_scheduler(gc.collect)


def main() -> None:
    name, address, arguments = sys.argv[1:]
    with client_of(address) as client:
        answer = globals()[name](client, **json.loads(arguments))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
