"""An array from one Python process to another, and an empty answer: our Channel beside connections of multiprocessing,
and beside iceoryx2."""
import ctypes
import multiprocessing
import os
import pathlib
import sys
import tempfile
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
import numpy as np  # noqa: E402
import onecopy  # noqa: E402

context = multiprocessing.get_context("spawn")
TRIPS = bench.sized(300, 5)


def answer(receive, send, ended):
    try:
        while True:
            got = receive()
            if len(got):
                got[-1]
            send(b"")
    except ended:
        pass


def answer_ours():
    with onecopy.Channel.inherited() as parent:
        answer(parent.receive, parent.send, onecopy.PeerClosed)


def answer_pipe(pipe):
    answer(pipe.recv, pipe.send, EOFError)


def microseconds(trip, trips=None):
    trips = trips or TRIPS

    def all_of_them():
        for _ in range(trips):
            trip()

    return bench.time_of(all_of_them) * 1e6 / trips


def beside_pipes(channel):
    ours, theirs = context.Pipe()
    child = context.Process(target=answer_pipe, args=(theirs,), daemon=True)
    child.start()
    theirs.close()

    def trip_ours(obj):
        channel.send(obj)
        channel.receive()

    def trip_pipe(obj):
        ours.send(obj)
        ours.recv()

    bench.row("python-empty", "an empty message there and back, Python", "us", "multiprocessing.Pipe",
              bench.interleaved(9, lambda: microseconds(lambda: trip_ours(b"")),
                                lambda: microseconds(lambda: trip_pipe(b""))), part="transport")
    for count in (bench.sized(1_000_000, 10_000), bench.big(25_000_000, 20_000)):
        plain = np.random.default_rng(1).random(count)
        shared = onecopy.share(plain)
        few = max(1, min(TRIPS, 20_000_000 // count))
        what = f"{bench.size(count * 8)} of doubles to another process, an empty answer, Python"
        bench.row(f"python-array-{count * 8}", what, "us", "multiprocessing.Pipe",
                  bench.interleaved(5, lambda: microseconds(lambda: trip_ours(shared)),
                                    lambda: microseconds(lambda: trip_pipe(plain), few)), part="transport")
        bench.row(f"python-handle-{count * 8}", what, "us", "multiprocessing.Pipe that carries our handle",
                  bench.interleaved(5, lambda: microseconds(lambda: trip_ours(shared)),
                                    lambda: microseconds(lambda: trip_pipe(shared))), part="transport")
    ours.close()
    child.join()


class Iceoryx:
    """One end of a publish-subscribe service for bytes, with events to wait for instead of polling. What it leaves in
    the file system lies in `folder`, or begins with `prefix`: bench/run removes that."""

    def __init__(self, name, first, size, prefix, folder):
        import iceoryx2 as iox

        iox.set_log_level(iox.LogLevel.Fatal)
        config = iox.config.default()
        config.global_cfg.prefix, config.global_cfg.root_path = iox.FileName.new(prefix), iox.Path.new(folder)
        self.node = iox.NodeBuilder.new().config(config).create(iox.ServiceType.Ipc)
        service = self.node.service_builder(iox.ServiceName.new(name)).publish_subscribe(iox.Slice[ctypes.c_uint8])
        self.service = service.open_or_create()
        events = [self.node.service_builder(iox.ServiceName.new(f"{name}/{way}")).event().open_or_create()
                  for way in ("there", "back")]
        self.events = events if first else events[::-1]
        self.notifier = self.events[0].notifier_builder().create()
        self.listener = self.events[1].listener_builder().create()
        if first:
            self.publisher = self.service.publisher_builder().initial_max_slice_len(size).create()
        else:
            self.subscriber = self.service.subscriber_builder().create()
        self.size = size

    def wait(self):
        self.listener.blocking_wait()

    def trip(self):
        self.publisher.loan_slice_uninit(self.size).assume_init().send()
        self.notifier.notify()
        self.wait()

    def answer(self):
        self.wait()
        sample = self.subscriber.receive()
        if sample is None:
            return False
        payload = sample.payload()
        ctypes.cast(sample.payload_ptr, ctypes.POINTER(ctypes.c_uint8))[payload.len() - 1]
        sample.delete()
        self.notifier.notify()
        return True


def answer_iceoryx(name, size, prefix, folder):
    end = Iceoryx(name, False, size, prefix, folder)
    end.notifier.notify()  # ready
    while end.answer():
        pass


def beside_iceoryx2(channel, folder):
    prefix = f"onecopy-bench-{os.getpid()}-"
    try:
        import iceoryx2  # noqa: F401
    except ImportError:
        bench.not_run("python-iceoryx2", "our Channel beside iceoryx2", "iceoryx2 is not installed", part="transport")
        return
    for size in (bench.sized(1_000_000, 10_000), bench.sized(100_000_000, 100_000)):
        name = f"onecopy-bench-{uuid.uuid4().hex}"
        end = Iceoryx(name, True, size, prefix, folder)
        child = context.Process(target=answer_iceoryx, args=(name, size, prefix, folder), daemon=True)
        child.start()
        end.wait()
        shared = onecopy.share(np.ones(size, "u1"))

        def trip_ours():
            channel.send(shared)  # noqa: B023
            channel.receive()

        what = f"{bench.size(size)} to another process that waits, an empty answer, Python"
        bench.row(f"python-iceoryx2-{size}", what, "us", "iceoryx2: a loan in which nothing is written, with events",
                  bench.interleaved(7, lambda: microseconds(trip_ours), lambda: microseconds(end.trip)),  # noqa: B023
                  part="transport")
        end.notifier.notify()  # with no sample: the end
        child.join()


if __name__ == "__main__":
    if sys.argv[1:] == ["answer"]:
        answer_ours()
        sys.exit(0)
    channel, child = onecopy.Channel.spawn([sys.executable, os.path.abspath(__file__), "answer"])
    with channel:
        beside_pipes(channel)
        with tempfile.TemporaryDirectory() as folder:
            beside_iceoryx2(channel, folder)
    child.wait()
