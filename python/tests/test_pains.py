"""What hurts users of other libraries, and must not hurt ours. Each test names the thread where somebody was hurt.

Locks of dead processes (https://github.com/boostorg/interprocess/issues/65) are in test_sync.py.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import onecopy

BIG = np.arange(50_000.0)


def test_a_child_that_ends_destroys_nothing(python):
    """https://github.com/python/cpython/issues/82300, https://github.com/python/cpython/issues/129999"""
    shared = onecopy.share(BIG)
    for _ in range(3):
        python("import onecopy, sys; print(onecopy.attach(sys.argv[1]).sum())", onecopy.handle(shared))
    code = "import onecopy, os, sys; x = onecopy.attach(sys.argv[1]); os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code, onecopy.handle(shared)])
    assert killed.returncode == -signal.SIGKILL
    assert (onecopy.attach(onecopy.handle(shared)) == BIG).all()


def test_the_resource_tracker_never_hears_of_us():
    """https://github.com/python/cpython/issues/82300: it would unlink what others use, or warn of leaks."""
    code = """
        import multiprocessing.resource_tracker as tracker
        heard = []
        tracker.register = tracker.ensure_running = lambda *what: heard.append(what)
        import numpy, onecopy, pickle
        x = onecopy.share(numpy.arange(10000.0))
        y = pickle.loads(pickle.dumps(x))
        del x, y
        print(heard)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("[]", "", 0)


def test_a_full_store_is_no_bus_error(python):
    """https://github.com/python/cpython/issues/114390, https://github.com/pytorch/pytorch/issues/5040"""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    code = """
        import ctypes, os, sys, tempfile, numpy, onecopy
        folder = tempfile.mkdtemp()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x20000) or libc.mount(None, b"/", None, 0x44000, None):
            print("skip"); sys.exit()
        if libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, b"size=1m"):
            print("skip"); sys.exit()
        os.environ["ONECOPY_DIR"] = folder + "/store"
        held = [onecopy.share(numpy.full(100_000, float(i))) for i in range(5)]   # 4 MB in 1 MB
        attached = [onecopy.attach(onecopy.handle(x)) for x in held]
        print(all((x == i).all() for i, x in enumerate(attached)))
    """
    said = python(textwrap.dedent(code)).strip()
    if said == "skip":
        pytest.skip("no mount namespace can be made here")
    assert said == "True"


def test_nothing_is_left_after_everybody_was_killed(store: Path):
    """https://github.com/joblib/joblib/issues/198, https://github.com/eclipse-iceoryx/iceoryx2/issues/1584"""
    onecopy.gc()
    before = {path.name for path in store.iterdir()}
    code = "import numpy, onecopy, os; x = onecopy.share(numpy.ones(50000), name='doomed'); os.kill(os.getpid(), 9)"
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    onecopy.gc()
    assert {path.name for path in store.iterdir()} == before


def test_thousands_of_objects_need_no_descriptors():
    """https://github.com/pytorch/pytorch/issues/973, https://github.com/pytorch/pytorch/issues/11201"""
    used = len(os.listdir("/proc/self/fd"))
    held = [onecopy.share(np.full(3000, float(i))) for i in range(1500)]
    again = [pickle.loads(pickle.dumps(x)) for x in held]
    assert len(os.listdir("/proc/self/fd")) <= used + 5
    assert len(again) == 1500
    assert all(x[0] == i for i, x in enumerate(again))


@pytest.mark.parametrize("view", [lambda x: x[10:], lambda x: x.reshape(100, -1).T, memoryview, lambda x: x.ravel()])
def test_a_view_keeps_the_memory_whatever_goes_first(view):
    """https://github.com/numpy/numpy/issues/23305: the view outlived the segment, and the process died."""
    shared = onecopy.share(BIG)
    part = view(shared)
    expected = np.asarray(view(BIG))
    del shared
    gc.collect()
    assert np.array_equal(np.asarray(part), expected)


def test_views_at_the_interpreters_exit_are_harmless():
    """https://github.com/python/cpython/issues/102349, https://github.com/python/cpython/issues/155003"""
    code = """
        import sys, numpy, onecopy
        x = onecopy.share(numpy.arange(50000.0))
        sys.kept = [x, x[5:], memoryview(x), x.T, iter(x)]
        class Last:
            def __del__(self): assert sys.kept[1][0] == 5
        sys.last = Last()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_half_made_object_is_never_seen():
    """https://github.com/boostorg/interprocess/issues/128, https://github.com/v6d-io/v6d/issues/2072"""
    code = """
        import numpy, onecopy, os, sys, threading, time
        def die(): time.sleep(float(sys.argv[1])); os.kill(os.getpid(), 9)
        kept = onecopy.share(numpy.ones(300_000), name="half", replace=True)
        threading.Thread(target=die, daemon=True).start()
        while True: kept = onecopy.share(numpy.ones(300_000), name="half", replace=True)
    """
    seen = 0
    for i in range(5):
        writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(0.02 + i * 0.0013)])
        while writer.poll() is None:
            try:
                whole = onecopy.attach(name="half")
            except onecopy.NotFound:
                continue
            assert (whole == 1).all()
            seen += 1
            del whole
        assert writer.returncode == -signal.SIGKILL
    assert seen > 0
    onecopy.gc()


def test_read_only_is_an_error_where_it_is_written_and_a_copy_where_it_is_asked_for():
    """https://github.com/joblib/joblib/issues/1627, https://github.com/pytorch/pytorch/issues/5442"""
    shared = onecopy.share(BIG)
    with pytest.raises(ValueError, match="read-only"):
        shared[0] = 1
    mine = onecopy.attach(onecopy.handle(shared), writable="private")
    mine[0] = -1
    assert shared[0] == 0 and mine[0] == -1 and mine[1] == 1


def _sum(x: np.ndarray) -> float:
    return float(x.sum())


def processes_in(store: Path) -> set[int]:
    """Who has a file of the store open or mapped."""

    def touched_by(process: Path) -> str:
        text = ""
        with contextlib.suppress(OSError):
            text += (process / "maps").read_text()
            for link in list((process / "fd").iterdir()):
                with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                    text += os.readlink(link)
        return text

    return {int(p.name) for p in Path("/proc").glob("[0-9]*") if str(store) in touched_by(p)}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_no_daemon_is_started(method, store: Path):
    """https://github.com/apache/arrow/issues/33243: the store had gone away."""
    before = processes_in(store)
    shared = onecopy.share(BIG)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(_sum, [shared] * 4) == [BIG.sum()] * 4
        pool.close()
        pool.join()
    found = processes_in(store)
    del shared
    # The server that forkserver keeps has attached nothing.
    assert found - before <= {os.getpid()} <= found
