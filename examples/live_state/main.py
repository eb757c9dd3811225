"""Starts the workers, kills them at random, and judges what is left. Usage: main.py CPP_WORKER [KILLS]"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import onecopy

HERE = Path(__file__).parent
LANGUAGES = ("python", "r", "c++")


@onecopy.record
class Foo:
    bar: onecopy.int32 = 0
    baz: onecopy.int32 = 0


class Worker:
    """A process that changes the state, and what it said so far."""

    def __init__(self, language: str, cpp: str, file: Path, totals: Counter[str]) -> None:
        command = {
            "python": [sys.executable, str(HERE / "worker.py")],
            "r": ["Rscript", "--vanilla", str(HERE / "worker.R")],
            "c++": [cpp],
        }[language]
        self.language = language
        self.steps = 0
        self.done = False
        self.totals = totals
        self.process = subprocess.Popen(
            [*command, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.reader = threading.Thread(target=self.listen)
        self.reader.start()

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, *rest = line.split()
            if word == "repaired":
                self.totals["repaired"] += 1
            else:
                self.steps = int(rest[0])
                self.done = word == "done"

    def stop(self, kill: bool) -> None:
        assert self.process.stdin is not None
        if kill:
            self.process.kill()
        else:
            self.process.stdin.write("stop\n")
            self.process.stdin.flush()
        self.process.wait(timeout=90)
        self.reader.join()
        self.process.stdin.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.totals["steps"] += self.steps


def wait_until(what: str, holds: object, patience: float = 120) -> None:
    end = time.monotonic() + patience
    while not holds():  # type: ignore[operator]
        if time.monotonic() > end:
            raise SystemExit(f"FAILED: {what} took more than {patience} seconds")
        time.sleep(0.01)


def whole(state: Foo) -> None:
    """Sees the state between two changes; after a kill it may be half done until somebody repairs it."""
    seen = state.snapshot(timeout=60)
    if seen.bar + seen.baz not in (0, 1):
        raise SystemExit(f"FAILED: a snapshot shows {seen}")


def kill_some(workers: list[Worker], start: object, kills: int, state: Foo) -> None:
    for _ in range(kills):
        at = random.randrange(len(workers))
        wait_until("a worker's first steps", lambda worker=workers[at]: worker.steps > 0)
        time.sleep(random.uniform(0, 0.02))
        workers[at].stop(kill=True)
        workers[at] = start(workers[at].language)  # type: ignore[operator]
        whole(state)


def main() -> None:
    cpp = sys.argv[1]
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    totals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.foo"
        state = Foo.open(file, create=True)

        def start(language: str) -> Worker:
            return Worker(language, cpp, file, totals)

        workers = [start(language) for language in LANGUAGES * 2]
        kill_some(workers, start, kills, state)
        # Killed until somebody was in the middle of a change, as one in five is.
        for _ in range(20 * kills):
            if totals["repaired"] > 0:
                break
            kill_some(workers, start, 1, state)

        for worker in workers:
            worker.stop(kill=True)
        del state  # nobody has the file open now
        state = Foo.open(file)
        print("after all were killed:", state)
        workers = [start(language) for language in LANGUAGES]
        for worker in workers:
            wait_until(f"steps in {worker.language}", lambda worker=worker: worker.steps >= 50)
        for worker in workers:
            worker.stop(kill=False)

        failures = [f"the {w.language} worker did not end in peace" for w in workers if not w.done]
        if state.bar + state.baz != 0:
            failures.append(f"the state is {state}")
        if state.bar < totals["steps"]:
            failures.append(f"{totals['steps']} steps were reported, {state.bar} are in the file")
        if totals["repaired"] == 0:
            failures.append("no worker was killed in the middle of a change")
        print(f"{state}: at least {totals['steps']} steps, {totals['repaired']} repairs after a kill")
        if failures:
            raise SystemExit("FAILED: " + "; ".join(failures))


main()
