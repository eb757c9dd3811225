"""The real tool, run on objects that a C++ program shares (fixture.cpp)."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ONECOPY_BUILD", ROOT / "build/release"))
TOOL = os.environ.get("ONECOPY_CLI", str(BUILD / "cli/onecopy"))


class Tool:
    """Calls the tool with a store of its own."""

    def __init__(self, store: str):
        self.store = store
        self.environment = dict(os.environ, ONECOPY_DIR=store)

    def __call__(self, *arguments, check=0, stdin=subprocess.DEVNULL, **more):
        done = subprocess.run(
            [TOOL, *map(str, arguments)], env=self.environment, stdin=stdin, capture_output=True, timeout=60, **more
        )
        assert done.returncode == check, (
            f"onecopy {' '.join(map(str, arguments))} ended with {done.returncode}, not {check}\n"
            f"stdout: {done.stdout[:2000]!r}\nstderr: {done.stderr[:2000]!r}"
        )
        return done

    def out(self, *arguments):
        done = self(*arguments)
        assert done.stderr == b""
        return done.stdout.decode()

    def json(self, *arguments):
        return json.loads(self.out(*arguments, "--json"))

    def error(self, *arguments, check=1):
        """What the tool says on standard error when it must fail; it must say nothing on standard output."""
        done = self(*arguments, check=check)
        assert done.stdout == b"" and done.stderr
        return done.stderr.decode(errors="replace")

    def share(self, *arguments):
        """Starts the program that shares the objects; it holds them until end() is called or its stdin closes."""
        program = subprocess.Popen(
            [BUILD / "tests/cli_fixture", *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert program.stdout.readline().startswith(b"shared")
        return program


def end(program):
    program.stdin.close()
    assert program.wait(timeout=60) == 0
    program.stdout.close()


@pytest.fixture
def empty():
    store = tempfile.mkdtemp(prefix="onecopy-cli-", dir="/dev/shm")
    yield Tool(store)
    shutil.rmtree(store)


@pytest.fixture(scope="module")
def tool():
    """A store with everything of fixture.cpp in it. Tests that change the store take `empty` and share themselves."""
    store = tempfile.mkdtemp(prefix="onecopy-cli-", dir="/dev/shm")
    tool = Tool(store)
    tool.file = Path(store + ".onecopy")
    program = tool.share(tool.file)
    yield tool
    end(program)
    shutil.rmtree(store)
    tool.file.unlink()
