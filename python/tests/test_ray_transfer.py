"""Bringing an object from another node of a Ray cluster, with nodes that fail in ways that a real one seldom does."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import onecopy
from onecopy import _core
from onecopy._hosts import ray_depot

A, B, C, D, E = (letter * 56 for letter in "abcde")  # ids of nodes
ray_exceptions = pytest.importorskip("ray.exceptions", reason="ray is not installed")


class Far:
    """A cluster whose nodes have one object, which is gone from here. Each serves it in a way of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = np.random.default_rng(1).random(2_500_000)  # 20 MB: three pieces
        shared = onecopy.share(self.data)
        self.handle = onecopy.handle(shared)
        self.bytes = bytes(memoryview(_core.attach(self.handle).region))
        onecopy.free(self.handle)
        del shared
        self.nodes: dict[str, Callable[[int, int], Any]] = {}
        self.asked: list[str] = []
        self.look = ("", len(self.bytes))
        notes = {"copy": list, "store": lambda: list(self.nodes)}
        monkeypatch.setattr(ray_depot, "noted_under", lambda prefix: notes[prefix.partition("/")[0]]())
        for name in ("put_note", "drop_note", "tell_where"):
            monkeypatch.setattr(ray_depot, name, lambda *_: None)
        monkeypatch.setattr(ray_depot.random, "shuffle", lambda items: None)


class FakeRay:
    exceptions = ray_exceptions

    def __init__(self, far: Far) -> None:
        self.far = far

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": node, "Alive": True} for node in self.far.nodes]

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "here", get_job_id=lambda: str(id(self)))

    def remote(self, kind: type) -> Any:
        def make(**options: Any) -> Any:
            node = options["scheduling_strategy"].node_id
            read = self.far.nodes[node]

            def ask(_: str, offset: int, size: int) -> Any:
                self.far.asked.append(node)
                return lambda: read(offset, size)

            depot = SimpleNamespace(look=SimpleNamespace(remote=lambda _: lambda: self.far.look),
                                    read=SimpleNamespace(remote=ask), close=SimpleNamespace(remote=lambda _: None))
            return SimpleNamespace(remote=lambda: depot)

        return SimpleNamespace(options=make)

    def get(self, reference: Any, timeout: float) -> Any:
        return reference()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Far:
    made = Far(monkeypatch)
    fake = FakeRay(made)
    monkeypatch.setattr(ray_depot, "running", lambda: fake)
    return made


def sends(far: Far, change: int | None = None) -> Callable[[int, int], Any]:
    def read(offset: int, size: int) -> Any:
        piece = np.frombuffer(far.bytes, np.uint8, size, offset).copy()
        checksum = _core.checksum(piece)
        if change is not None and offset <= change < offset + size:
            piece[change - offset] ^= 1
        return piece, checksum

    return read


def fails(reason: Callable[[], Exception]) -> Callable[[int, int], Any]:
    def read(offset: int, size: int) -> Any:
        raise reason()  # a new one: an exception keeps what its frames held

    return read


def here() -> list[str]:
    return [entry.id for entry in onecopy.ls() if not entry.mutable]


def test_pieces_make_the_whole(far: Far) -> None:
    far.nodes = {A: sends(far)}
    ray_depot.bring(far.handle)
    got = onecopy.attach(far.handle)
    assert (got == far.data).all() and far.asked == [A] * 3
    ray_depot.bring(far.handle)
    assert len(far.asked) == 3, "it is here"


@pytest.mark.parametrize("byte", [10, 300, 12_000_000, -1])
def test_damaged_bytes_are_never_used(far: Far, byte: int) -> None:
    byte %= len(far.bytes)
    far.nodes = {A: sends(far, byte)}
    before = here()
    with pytest.raises(onecopy.WrongHost, match="what came is damaged"):
        ray_depot.bring(far.handle)
    assert here() == before
    far.nodes = {A: sends(far, byte), B: sends(far)}
    ray_depot.bring(far.handle)
    assert (onecopy.attach(far.handle) == far.data).all()


def test_a_node_that_fails_is_replaced_by_another(far: Far) -> None:
    far.nodes = {
        A: fails(ray_exceptions.ActorDiedError), B: fails(ray_exceptions.GetTimeoutError),
        C: fails(lambda: ray_exceptions.ObjectLostError("0" * 56, None, "")), D: fails(lambda: OSError("broken")),
        E: sends(far),
    }  # fmt: skip
    ray_depot.bring(far.handle)
    assert (onecopy.attach(far.handle) == far.data).all()
    assert far.asked.count(A) > far.asked.count(B) > 0, "an actor that is gone is made once more"


def test_whoever_has_it_no_more_says_so(far: Far) -> None:
    far.nodes, far.look = {A: sends(far), B: sends(far)}, ("gone", 0)
    with pytest.raises(onecopy.NotFound, match="node aaaaaaaa: the object is gone; node bbbbbbbb"):
        ray_depot.bring(far.handle)
    far.look = ("writable", 4096)
    with pytest.raises(onecopy.WrongHost, match="can be written to"):
        ray_depot.bring(far.handle)
    far.nodes = {}
    with pytest.raises(onecopy.WrongHost, match="no node of the Ray cluster"):
        ray_depot.bring(far.handle)
    assert far.asked == []


def test_a_full_store_here_is_no_fault_of_the_nodes(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    far.nodes = {A: sends(far), B: sends(far)}
    bring_all = _core.import_region

    def full(identity: str, size: int, fill: Callable[[int, memoryview], None]) -> Any:
        def fill_half(offset: int, out: memoryview) -> None:
            fill(offset, out)
            if offset + len(out) > size // 2:
                raise onecopy.NoSpace("make a region", "the file system is full")

        return bring_all(identity, size, fill_half)

    monkeypatch.setattr(_core, "import_region", full)
    before = here()
    with pytest.raises(onecopy.NoSpace, match="the file system is full"):
        ray_depot.bring(far.handle)
    assert here() == before and set(far.asked) == {A}


@pytest.mark.parametrize("wrong", ["", "soon", "0", "-3", "inf", "nan"])
def test_a_patience_that_is_no_number_is_told(far: Far, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("ONECOPY_RAY_TIMEOUT", wrong)
    far.nodes = {A: sends(far)}
    with pytest.raises(onecopy.InvalidArgument, match="ONECOPY_RAY_TIMEOUT"):
        ray_depot.bring(far.handle)
