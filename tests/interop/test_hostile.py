"""A process that lies to R and to Python: each attack is an error on its own channel, and no process ends of it.
tests/unit/transport/hostile_peer_test.cpp has the same for C++, and more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks import FIRST, Liar, attacks, item, packet

HERE = Path(__file__).parent
COMMANDS = {
    "python": [sys.executable, str(HERE / "victim.py")],
    "r": ["Rscript", "--vanilla", str(HERE / "victim.R")],
}


class Victim:
    def __init__(self, command: list[str]) -> None:
        self.liar = Liar()
        number = self.liar.theirs.fileno()
        self.process = subprocess.Popen(command, env={**os.environ, "ONECOPY_CHANNEL": str(number)}, pass_fds=[number],
                                        stdout=subprocess.PIPE, text=True)  # fmt: skip
        self.liar.theirs.close()

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> str:
        self.liar.socket.close()
        last = self.says()
        assert self.process.wait(60) == 0
        return last


@pytest.fixture(params=["python", "r"])
def victim(request: pytest.FixtureRequest) -> Iterator[Victim]:
    made = Victim(COMMANDS[request.param])
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.wait()
    assert made.process.stdout is not None
    made.process.stdout.close()


def test_each_attack_is_an_error_and_the_channel_stays_usable(victim: Victim, tmp_path: Path) -> None:
    wrong = []
    for attack in attacks(tmp_path):
        attack.send(victim.liar)
        if (said := victim.says()) not in attack.expected:
            wrong.append(f"{attack.name}: {said!r}, not {attack.expected}")
    assert not wrong, "\n".join(wrong)
    assert victim.end() == "lives"


def test_noise_closes_the_channel_and_nothing_else(victim: Victim) -> None:
    victim.liar.put(b"GET / HTTP/1.1\r\n\r\n")
    assert victim.says() == "corrupt"
    assert victim.says() == "lives"  # what comes after it is the end of the channel
    assert victim.process.wait(60) == 0


def test_half_a_message_and_then_nobody(victim: Victim) -> None:
    victim.liar.put(packet([item(77)] * 10, FIRST, 5))
    assert victim.end() == "lives"


def test_a_flood_of_what_never_becomes_a_message(victim: Victim) -> None:
    for number in range(20_000):
        victim.liar.put(packet([], FIRST, number))
    victim.liar.put(packet([], data=b"at last"))
    assert victim.says() == "ok"
    assert victim.end() == "lives"
