"""What stands for ssh between the hosts of a test: a program that writes down what to run where, and who runs it.

A process of one host can't enter another, as it can't by ssh without a key. It leaves the command in a folder that all
hosts see; a thread of the test finds it there and starts it on the host that it is for.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from hosts import Hosts

PROGRAM = """#!/bin/sh
# remote_shell [-options] HOST COMMAND...
while case "$1" in -*) true ;; *) false ;; esac; do shift; done
host=$1
shift
printf '%s\\n' "$*" > "{spool}/.$host.$$"
mv "{spool}/.$host.$$" "{spool}/$host.$(hostname).$$.command"
"""


class RemoteShell:
    """`path` is the program. Within the block what it is asked for is run."""

    def __init__(self, hosts: Hosts, env: dict[str, str]) -> None:
        self.hosts, self.env = hosts, env
        self.folder = Path(tempfile.mkdtemp(prefix="onecopy-shell-"))
        self.path = self.folder / "remote_shell"
        self.path.write_text(PROGRAM.format(spool=self.folder))
        self.path.chmod(0o755)
        self.started: list[subprocess.Popen[Any]] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        addresses = {host.address: host for host in self.hosts}
        while not self.ended.wait(0.1):
            for file in sorted(self.folder.glob("*.command")):
                address = file.name.rsplit(".", 3)[0]
                command = file.read_text()
                file.unlink()
                with (self.folder / "log").open("a") as log:
                    self.started.append(
                        addresses[address].start(["sh", "-c", command], env=self.env, stdin=subprocess.DEVNULL,
                                                 stdout=log, stderr=log)
                    )  # fmt: skip

    def log(self) -> str:
        file = self.folder / "log"
        return file.read_text() if file.exists() else ""

    def __enter__(self) -> RemoteShell:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        for process in self.started:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
