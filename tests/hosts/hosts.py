"""Several hosts on one machine: each has a network, a /dev/shm, a process table and a name of its own.

    with Hosts(4) as hosts:
        hosts[0].run(["python3", "-c", "..."])      # waits
        worker = hosts[1].start([...])               # does not
        hosts[1].received()                          # bytes that came over its link
        hosts[1].cut(); hosts[1].mend(); hosts[1].kill()

Hosts are namespaces of the kernel, joined by veth pairs to a bridge in a namespace of its own. They have no names in
the file system: when the processes that hold them end, all of it is gone, also if the test is killed. All hosts share
the files, and the machine's boot id: only their stores tell them apart. Needs root; `reason_not` says what is missing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_SWITCH = "switch"


def reason_not() -> str:
    """Why there can be no hosts here; "" if there can."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    for tool in ("ip", "unshare", "nsenter", "mount"):
        if shutil.which(tool) is None:
            return f"the tool {tool} is not installed"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--uts", "sh", "-c",
         "mount -t tmpfs none /dev/shm && ip link add v0 type veth peer name v1 && ip link add b0 type bridge"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return "" if tried.returncode == 0 else "this machine allows no namespaces: " + tried.stderr.strip()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def inner(process: subprocess.Popen[Any]) -> int:
    """The process on the host that one of `Host.start` stands for, by its number out here; 0: it has ended."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except OSError:
        return 0
    return int(children[0]) if children else 0


def power_off(process: subprocess.Popen[Any]) -> None:
    """SIGKILL for a process of a host. It does not get to know."""
    with contextlib.suppress(ProcessLookupError):
        if inner(process):
            os.kill(inner(process), signal.SIGKILL)
    process.kill()
    process.wait()


class _Space:
    """Namespaces, held open by a process that sleeps. It is the first of its process table: all others end with it."""

    def __init__(self, name: str, setup: str, private: Sequence[str] = ("--net", "--mount", "--pid", "--uts")) -> None:
        self.name = name
        self.started: list[subprocess.Popen[Any]] = []
        self.holder = subprocess.Popen(
            ["unshare", *private, "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-c",
             f"set -e; hostname {name}; ip link set lo up; {setup}; echo ready; exec sleep infinity"],
            stdout=subprocess.PIPE, text=True, preexec_fn=_die_with_parent,
        )  # fmt: skip
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"the namespaces of {name} could not be made")
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
        self.first = int(children[0])

    def inside(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", "--target", str(self.first), "--net", "--mount", "--pid", "--uts", "--", *command]

    def network(self, what: str, tool: str = "ip") -> None:
        # In its network alone: `ip` must know our processes by the numbers that we know them by.
        command = ["nsenter", "--target", str(self.first), "--net", "--", tool, *what.split()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {tool} {what}: {done.stderr}")

    def kill(self) -> None:
        """Power off: every process of it is gone at once."""
        self.holder.kill()
        self.holder.wait()
        for process in self.started:
            process.wait(timeout=60)


class Host(_Space):
    def __init__(self, number: int, switch: _Space, shm: str) -> None:
        super().__init__(f"host{number}", f"mount -t tmpfs -o size={shm},mode=1777 tmpfs /dev/shm")
        self.number = number
        self.address = f"10.77.0.{number + 1}"
        self.switch = switch
        self.port = f"port{number}"
        switch.network(f"link add {self.port} type veth peer name eth0 netns {self.first}")
        switch.network(f"link set {self.port} master {_SWITCH} up")
        self.network(f"address add {self.address}/24 dev eth0")
        self.network("link set eth0 up")

    def environment(self, more: dict[str, str] | None = None) -> dict[str, str]:
        store = "/dev/shm/onecopy"
        return {**os.environ, "ONECOPY_DIR": store, "ONECOPY_HOST": self.name, **(more or {})}

    def start(
        self, command: Sequence[str], *, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[Any]:
        process = subprocess.Popen(
            self.inside(command), env=self.environment(env), preexec_fn=_die_with_parent, **options
        )
        self.started.append(process)
        return process

    def run(self, command: Sequence[str], *, timeout: float = 120, env: dict[str, str] | None = None) -> str:
        """What the command printed; fails if it fails."""
        process = self.start(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            power_off(process)  # not only nsenter, or the pipes would stay open
            out, err = process.communicate()
            raise AssertionError(f"on {self.name}: not done after {timeout:.0f} s: {command}\n{out}\n{err}") from None
        if process.returncode != 0:
            raise AssertionError(f"on {self.name}: {command}\n{out}\n{err}")
        return str(out)

    # ------------------------------------------------------------------------------------------ what it costs

    def _counter(self, column: int) -> int:
        for line in Path(f"/proc/{self.first}/net/dev").read_text().splitlines():
            name, _, numbers = line.partition(":")
            if name.strip() == "eth0":
                return int(numbers.split()[column])
        raise RuntimeError(f"{self.name} has no eth0")

    def received(self) -> int:
        return self._counter(0)

    def sent(self) -> int:
        return self._counter(8)

    def inside_of(self, path: str) -> Path:
        """A path of the host's, as seen from out here."""
        return Path("/proc", str(self.first), "root") / path

    def shared_memory(self) -> int:
        """Bytes in use in its /dev/shm."""
        about = os.statvfs(self.inside_of("dev/shm"))
        return (about.f_blocks - about.f_bfree) * about.f_frsize

    def store(self) -> list[str]:
        """Files of its store."""
        folder = self.inside_of("dev/shm/onecopy")
        return sorted(os.listdir(folder)) if folder.is_dir() else []

    def receiver(self) -> int:
        """The process that is writing an object into its store: its number out here; 0: none."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process.joinpath("ns/mnt").readlink() != Path(f"/proc/{self.first}/ns/mnt").readlink():
                    continue
                for descriptor in process.joinpath("fd").iterdir():
                    target = str(descriptor.readlink())
                    if target.startswith("/dev/shm/onecopy/#"):  # it has no name before it is complete
                        return int(process.name)
            except OSError:
                continue
        return 0

    def processes(self, word: str) -> int:
        """How many processes of it have this word in their command line."""
        count = 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                same = process.joinpath("ns/mnt").readlink() == Path(f"/proc/{self.first}/ns/mnt").readlink()
                count += same and word in process.joinpath("cmdline").read_text()
            except OSError:
                continue
        return count

    def collect(self) -> None:
        """What the next process that starts does, as if all leases had run out."""
        folder = self.inside_of("dev/shm/onecopy")
        for file in folder.iterdir():
            if len(file.name) == 32 and file.is_file():
                os.utime(file, (0, 0))
        self.run([sys.executable, "-c", "import onecopy; onecopy.gc()"])

    # ------------------------------------------------------------------------------------------ what goes wrong

    def cut(self) -> None:
        self.switch.network(f"link set {self.port} down")

    def mend(self) -> None:
        self.switch.network(f"link set {self.port} up")

    def slow(self, rate: str) -> None:
        """Limits what it may send, as in "200mbit"."""
        self.network(f"qdisc replace dev eth0 root tbf rate {rate} burst 256kb latency 200ms", tool="tc")


class Hosts(list[Host]):
    """`count` hosts that reach each other as 10.77.0.1, 10.77.0.2, ..."""

    def __init__(self, count: int = 4, shm: str = "1g") -> None:
        super().__init__()
        self.switch = _Space(_SWITCH, f"ip link add {_SWITCH} type bridge && ip link set {_SWITCH} up")
        try:
            for number in range(count):
                self.append(Host(number, self.switch, shm))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for space in (*self, self.switch):
            with contextlib.suppress(Exception):
                space.kill()

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def traffic(hosts: Sequence[Host]) -> Iterator[dict[str, int]]:
    """How many bytes each host received within the block."""
    before = {host.name: host.received() for host in hosts}
    seen: dict[str, int] = {}
    yield seen
    for host in hosts:
        seen[host.name] = host.received() - before[host.name]


def wait_until(true: Any, seconds: float = 60.0, what: str = "it") -> Any:
    """The first answer of `true` that is true. To ask again may be too late on a busy machine."""
    end = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < end, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.05)
    return answer
