"""Small messages between two processes: how many a second, and how long one takes there and back."""
import ctypes
import multiprocessing
import os
import pathlib
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import bench  # noqa: E402
import onecopy  # noqa: E402

context = multiprocessing.get_context("spawn")
MESSAGE = b"x" * 64


def ours(single):
    return [onecopy.Queue(maxsize=256, message_bytes=100, single=single) for _ in range(2)]


class PosixQueue:
    """posix_ipc's message queue, opened by its name where it arrives."""

    def __init__(self, name, **first):
        import posix_ipc

        self.name = name
        self.queue = posix_ipc.MessageQueue(name, posix_ipc.O_CREX if first else 0, **first)
        self.put = self.queue.send

    def get(self):
        return self.queue.receive()[0]

    def remove(self):
        self.queue.unlink()

    def __reduce__(self):
        return PosixQueue, (self.name,)


def posix():
    # Ten messages are what Linux allows every user (fs.mqueue.msg_max).
    return [PosixQueue(f"/onecopy-bench-{uuid.uuid4().hex[:8]}", max_messages=10, max_message_size=100)
            for _ in range(2)]


class Payload(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_uint8 * len(MESSAGE)),)


class IceoryxEnd:
    """iceoryx2: a service for the bytes, and with ``wakes`` one for waking who waits for them. A full buffer makes
    the sender wait, as in the other queues. What it leaves in the file system begins with ``prefix``: bench/run
    removes that."""

    def __init__(self, name, wakes, prefix, folder):
        self.arguments = name, wakes, prefix, folder
        self.sender = self.receiver = None

    def __reduce__(self):
        return IceoryxEnd, self.arguments

    def services(self):
        import iceoryx2 as iox

        iox.set_log_level(iox.LogLevel.Error)
        name, self.wakes, prefix, folder = self.arguments
        config = iox.config.default()
        config.global_cfg.prefix, config.global_cfg.root_path = iox.FileName.new(prefix), iox.Path.new(folder)
        self.node = iox.NodeBuilder.new().config(config).create(iox.ServiceType.Ipc)
        name = iox.ServiceName.new(name)
        data = (self.node.service_builder(name).publish_subscribe(Payload)
                .subscriber_max_buffer_size(256).enable_safe_overflow(False).open_or_create())
        return iox, data, self.node.service_builder(name).event().open_or_create()

    def ready(self):
        """The receiver must be there before anything is sent."""
        iox, data, events = self.services()
        self.patience = iox.Duration.from_secs(1)
        self.receiver, self.listener = data.subscriber_builder().create(), events.listener_builder().create()

    def put(self, message):
        if self.sender is None:
            iox, data, events = self.services()
            self.sender = (data.publisher_builder()
                           .backpressure_strategy(iox.BackpressureStrategy.RetryUntilDelivered).create())
            self.notifier = events.notifier_builder().create()
        self.sender.send_copy(Payload.from_buffer_copy(message))
        if self.wakes:
            self.notifier.notify()

    def get(self):
        end = time.monotonic() + 20
        while (sample := self.receiver.receive()) is None:
            if self.wakes:
                self.listener.timed_wait(self.patience)
            if time.monotonic() > end:
                raise RuntimeError("a message never came")  # seen on a busy machine
        return bytes(sample.payload().contents)


def iceoryx(wakes):
    name = f"onecopy bench {uuid.uuid4().hex[:8]}"
    place = f"onecopy-bench-{os.getpid()}-", os.path.dirname(os.environ["ONECOPY_DIR"])
    return [IceoryxEnd(f"{name} {way}", wakes, *place) for way in ("there", "back")]


def serve(pipe, there, back):
    """The other process: sends back what it gets, or takes it and says how long that took."""
    if hasattr(there, "ready"):
        there.ready()
    pipe.send(None)
    for echo, count in iter(pipe.recv, None):
        first = there.get()  # the clock starts with the first
        assert first == MESSAGE
        if echo:
            back.put(first)
        began = time.perf_counter()
        for _ in range(count - 1):
            message = there.get()
            if echo:
                back.put(message)
        pipe.send(time.perf_counter() - began)
    pipe.send(None)


class Link:
    """Two queues and a process at the other end of them."""

    def __init__(self, queues):
        self.there, self.back = self.queues = queues
        self.pipe, theirs = context.Pipe()
        if hasattr(self.back, "ready"):
            self.back.ready()
        self.process = context.Process(target=serve, args=(theirs, *queues), daemon=True)
        self.process.start()
        self.pipe.recv()

    def rate(self):
        """Messages a second, one way, as many as fit under way."""
        count = bench.sized(50_000, 100)
        self.pipe.send((False, count))
        for _ in range(count):
            self.there.put(MESSAGE)
        return (count - 1) / self.pipe.recv()

    def round_trip(self):
        """Microseconds of one message there and back: the median."""
        count = bench.sized(3000, 20)
        self.pipe.send((True, count))
        taken = []
        for _ in range(count):
            began = time.perf_counter()
            self.there.put(MESSAGE)
            assert self.back.get() == MESSAGE
            taken.append(time.perf_counter() - began)
        self.pipe.recv()
        return sorted(taken)[count // 2] * 1e6

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pipe.send(None)
        self.pipe.recv()
        self.process.join()
        for queue in self.queues:
            getattr(queue, "remove", lambda: None)()


def compare(id, mine, theirs, against):
    """``mine`` and ``theirs`` make the queues for waiting and for rates; a peer that is not installed is said so."""
    what = f"messages of {len(MESSAGE)} bytes"
    try:
        theirs_that_wait, theirs_that_hurry = theirs()
    except ImportError as why:
        bench.not_run(f"messages-{id}", f"{what} beside {against}", f"{why.name} is not installed")
        return
    with Link(mine()) as a, Link(theirs_that_hurry) as b:
        bench.row(f"messages-{id}", f"{what}, one way", "1/s", against, bench.interleaved(7, a.rate, b.rate))
    with Link(mine()) as a, Link(theirs_that_wait) as b:
        bench.row(f"round-trip-{id}", f"{what}, there and back", "us", against,
                  bench.interleaved(7, a.round_trip, b.round_trip))


def iceoryx_of_both_kinds():
    import iceoryx2  # noqa: F401

    return iceoryx(True), iceoryx(False)


if __name__ == "__main__":
    def plain():
        return ours(False)

    compare("mp", plain, lambda: [[context.Queue(256), context.Queue(256)] for _ in range(2)], "multiprocessing.Queue")
    compare("posix", plain, lambda: (posix(), posix()), "posix_ipc.MessageQueue")
    compare("single", lambda: ours(True), lambda: [ours(False), ours(False)], "ours for many producers")
    compare("iceoryx2", lambda: ours(True), iceoryx_of_both_kinds,
            "iceoryx2: one way polled without rest, there and back with its events")
