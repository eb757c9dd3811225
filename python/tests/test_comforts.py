"""What makes it pleasant: representations, progress, reports of copies, checks, and interpreters of other kinds."""

from __future__ import annotations

import gc
import inspect
import io
import pickle
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import onecopy

BIG = np.arange(200_000.0)  # 1.6 MB


# ------------------------------------------------------------ repr


def test_repr_says_shared_size_and_holders(python: Any) -> None:
    shared = onecopy.share(BIG)
    assert repr(shared).startswith("SharedArray([") and repr(shared).endswith("1.6 MB shared, 1 holder)")
    assert repr(shared[:1000]).endswith("8.0 kB shared, 1 holder)")
    code = """
import onecopy, sys
x = onecopy.attach(sys.argv[1])
print(repr(x)[-30:])
"""
    assert "1.6 MB shared, 2 holders)" in python(code, onecopy.handle(shared))
    assert repr(shared).endswith("1.6 MB shared, 1 holder)"), "the other one has ended"
    written = onecopy.empty(5, "i4")
    assert repr(written) == "SharedArray([0, 0, 0, 0, 0], dtype=int32, 20 B mutable, 1 holder)"
    private = onecopy.attach(onecopy.handle(shared), writable="private")
    assert repr(private).endswith("1.6 MB shared, writes private)")
    assert repr(shared * 2).startswith("array(") and str(shared[:3]) == "[0. 1. 2.]"
    assert repr(onecopy.share(BIG[:0])).startswith("SharedArray([]")


def test_usage_counts_what_copies_would_take() -> None:
    before = onecopy.usage()
    shared = onecopy.share(BIG, name="used")
    now = onecopy.usage()
    assert now.objects == before.objects + 1
    assert BIG.nbytes <= now.size - before.size < BIG.nbytes + 10_000
    assert now.available > 0 and Path(now.directory).is_dir()
    [entry] = [entry for entry in onecopy.ls() if entry.name == "used"]
    assert entry.holders == 1 and entry.id in onecopy.handle(shared)


# ------------------------------------------------------------ progress


def test_progress_counts_up_to_all_of_it() -> None:
    seen: list[tuple[int, int]] = []
    onecopy.share(BIG, progress=lambda done, total: seen.append((done, total)))
    total = seen[-1][1]
    assert total >= BIG.nbytes and seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {all_of_it for _, all_of_it in seen} == {total}


def test_a_bar_for_big_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    shared = onecopy.share(BIG, progress=True)
    assert "share" in shown.getvalue() and "100%" in shown.getvalue()
    assert (shared == BIG).all()


def test_progress_that_fails_stops_the_sharing_and_leaves_nothing(tmp_path: Path) -> None:
    before = len(onecopy.ls())

    def stop(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        onecopy.share(BIG, progress=stop)
    onecopy.save(BIG, tmp_path / "kept")
    with pytest.raises(RuntimeError, match="enough"):
        onecopy.save(np.zeros(300_000), tmp_path / "kept", progress=stop)
    gc.collect()
    assert len(onecopy.ls()) == before
    assert (onecopy.open(tmp_path / "kept") == BIG).all(), "the old file is as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


# ------------------------------------------------------------ copies that could have been shared


@pytest.fixture
def reported() -> Any:
    seen: list[tuple[int, str, str]] = []
    onecopy.report_copies(1e6, lambda *what: seen.append(what))
    yield seen
    onecopy.report_copies(0)


def test_tables_that_nobody_shared_are_reported(reported: Any) -> None:
    frame = pd.DataFrame({"a": BIG, "s": "text"})
    pickle.dumps(frame)
    [(size, what, place)] = reported
    assert size >= BIG.nbytes and "not shared" in what and place.startswith("test_comforts.py:")
    reported.clear()
    shared = onecopy.share(frame)
    pickle.dumps(shared)
    pickle.dumps(frame.head(100))
    assert reported == []
    shared["a"] = BIG + 1
    pickle.dumps(shared)
    assert [size for size, _, _ in reported] == [BIG.nbytes]


def test_arrays_that_were_written_to_are_reported(reported: Any) -> None:
    shared = onecopy.share(BIG)
    pickle.dumps(shared)
    assert reported == []
    private = onecopy.attach(onecopy.handle(shared), writable="private")
    private[0] = 1
    pickle.dumps(private)
    pickle.dumps(private[:1000])
    assert [size for size, _, _ in reported] == [BIG.nbytes]
    reported.clear()
    with onecopy.by_value():  # asked for
        pickle.dumps(shared)
        pickle.dumps(onecopy.share(pd.DataFrame({"a": BIG})))
    assert reported == []


def test_reports_go_to_standard_error_and_can_be_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    onecopy.report_copies(1e6)
    try:
        pickle.dumps(pd.DataFrame({"a": BIG}))
        assert f"onecopy: {BIG.nbytes} bytes were copied" in capsys.readouterr().err

        def fail(*_: Any) -> None:
            raise RuntimeError("broken report")

        onecopy.report_copies(1e6, fail)
        assert pickle.loads(pickle.dumps(pd.DataFrame({"a": BIG}))).size == BIG.size
        assert "broken report" in capsys.readouterr().err
    finally:
        onecopy.report_copies(0)
    pickle.dumps(pd.DataFrame({"a": BIG}))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("bad", [-1, "much", None, float("nan"), float("inf")])
def test_a_threshold_is_a_number_of_bytes(bad: Any) -> None:
    with pytest.raises(onecopy.InvalidArgument):
        onecopy.report_copies(bad)


# ------------------------------------------------------------ verify


def test_verify_finds_a_changed_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.onecopy"
    onecopy.save({"a": BIG, "s": ["x", None] * 1000}, path)
    onecopy.verify(path)
    onecopy.verify(str(path))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    onecopy.open(path)  # opening reads no data
    with pytest.raises(onecopy.Corrupt):
        onecopy.verify(path)
    with pytest.raises(onecopy.NotFound):
        onecopy.verify(tmp_path / "none")
    onecopy.verify(onecopy.share(BIG))
    onecopy.verify(onecopy.share(["a", "list"] * 1000))
    with pytest.raises(onecopy.WrongType):
        onecopy.verify(BIG)


# ------------------------------------------------------------ the face of the package


def test_everything_public_is_documented() -> None:
    for name in onecopy.__all__:
        value = getattr(onecopy, name)
        if name.startswith("__") or not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        assert (inspect.getdoc(value) or "").strip(), f"onecopy.{name} has no docstring"
        assert not inspect.isclass(value) or value.__module__ != "onecopy._core", name


def test_all_is_what_there_is() -> None:
    assert sorted(onecopy.__all__) == sorted(set(onecopy.__all__))
    for name in onecopy.__all__:
        assert hasattr(onecopy, name)


# ------------------------------------------------------------ interpreters of other kinds


def test_subinterpreters_get_numpys_answer_and_nobody_dies() -> None:
    """NumPy can be loaded by one interpreter of a process: the first one works, another gets its ImportError."""
    pytest.importorskip("_xxsubinterpreters", reason="this Python has other ways to make subinterpreters")
    code = """
import warnings
import numpy as np, onecopy
import _xxsubinterpreters as sub
x = onecopy.share(np.arange(1000.0))
other = sub.create()
try:
    sub.run_string(other, "import onecopy; onecopy.share(b'x' * 10000)")
except sub.RunFailedError as reason:
    assert "ImportError" in str(reason), reason
sub.destroy(other)
assert x.sum() == 499500 and onecopy.attach(onecopy.handle(x))[999] == 999
print("fine")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-X", "faulthandler", "-c", code], capture_output=True,
                          text=True, timeout=120)  # fmt: skip
    assert (done.stdout, done.returncode) == ("fine\n", 0), done.stderr


def test_free_threaded_python_takes_its_lock_back() -> None:
    """The extension does not say that it needs no lock, so such an interpreter switches it on: slower, not wrong."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python is not a free-threaded one")
    assert sys._is_gil_enabled()
