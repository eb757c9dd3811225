"""onecopy.mpi.bcast: one copy on each host, whose bytes crossed once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import HEAD, counting_possible, wait_until

THREE_HOSTS = [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_every_rank_sees_the_value_and_each_host_has_one_copy(ranks):
    found = ranks(
        """
import pandas as pd
frame = pd.DataFrame({"n": np.arange(40_000), "text": [f"word {i}" for i in range(40_000)]})
thing = {"frame": frame, "list": [1, "two", None, (3.0, b"four")], "deep": {"array": np.arange(6).reshape(2, 3)}}
got = onecopy.mpi.bcast(thing if rank == 2 else None, root=2)
pd.testing.assert_frame_equal(pd.DataFrame(got["frame"]), frame)
assert got["list"] == thing["list"] and got["deep"]["array"].tolist() == [[0, 1, 2], [3, 4, 5]]
comm.Barrier()
entries = onecopy.ls()
comm.Barrier()
report(objects=len(entries), holders=entries[0].holders, shared=onecopy.is_shared(got["frame"]),
       handle=onecopy.handle(got, lease=0), hosts=onecopy.mpi.hosts())
""",
        [0, 0, 1, 1, 1],
    )
    assert [r["objects"] for r in found] == [1] * 5
    assert [r["holders"] for r in found] == [2, 2, 3, 3, 3]
    assert all(r["shared"] for r in found)
    assert len({r["handle"].split(":")[4] for r in found}) == 1, "it is the same object everywhere"
    assert found[0]["hosts"] == [[0, 1], [2, 3, 4]]
    assert ranks.left() == [], "no lease keeps what a broadcast made"


def test_sizes_at_the_edges(ranks):
    found = ranks(
        """
cases = [np.zeros(0), np.zeros((3, 0, 2), "f4"), 17, None, "a short text", np.arange(131_072.), np.arange(131_073.),
         np.arange(700_001, dtype="i4")]
wrong = []
for i, expected in enumerate(cases):
    got = onecopy.mpi.bcast(expected if rank == 0 else "not looked at")
    if type(expected) is np.ndarray and (got.shape != expected.shape or got.dtype != expected.dtype):
        wrong.append(i)
    if not np.array_equal(got, expected):
        wrong.append(i)
report(wrong=wrong)
""",
        [0, 1, 1],
    )
    assert [r["wrong"] for r in found] == [[], [], []]


@pytest.mark.skipif(not counting_possible(), reason="no network namespaces: the bytes can't be counted")
def test_the_bytes_cross_once_for_each_other_host(ranks):
    found = ranks(
        """
size = 24_000_000
data = onecopy.share(np.random.default_rng(1).integers(0, 255, size, dtype="u1")) if rank == 0 else None
before = bytes_so_far()
got = onecopy.mpi.bcast(data)
first = bytes_so_far() - before
again = onecopy.mpi.bcast(data)
second = bytes_so_far() - before - first
other = onecopy.mpi.bcast(got if rank == 7 else None, root=7)
third = bytes_so_far() - before - first - second
plain = comm.bcast(np.array(got) if rank == 0 else None)
naive = bytes_so_far() - before - first - second - third
report(first=first, second=second, third=third, naive=naive, size=size, sum=int(got.sum()))
""",
        THREE_HOSTS,
        counted=True,
    )
    size = found[0]["size"]
    assert len({r["sum"] for r in found}) == 1
    assert 2 * size <= found[0]["first"] <= 1.1 * 2 * size
    assert found[0]["second"] < 0.1 * size, "the hosts have it"
    assert found[0]["third"] < 0.1 * size, "whichever rank of whichever host sends it"
    assert found[0]["naive"] > 7 * size, "the count counts"


def test_hosts_may_be_mixed_and_only_part_of_the_job(ranks):
    found = ranks(
        """
some = comm.Split(0 if rank != 1 else MPI.UNDEFINED, -rank)
if rank != 1:
    got = onecopy.mpi.bcast(np.full(300_000, 7) if some.rank == 3 else None, some, 3)
    assert int(got.sum()) == 2_100_000
    some.Barrier()
    report(objects=len(onecopy.ls()), hosts=onecopy.mpi.hosts(some))
    some.Barrier()
else:
    report(objects=None)
""",
        [0, 1, 0, 1, 2],
    )
    assert [r["objects"] for r in found] == [1, None, 1, 1, 1]
    assert found[0]["hosts"] == [[0], [1], [2, 3]]


def test_what_the_root_cannot_share_is_an_error_everywhere_and_the_next_one_works(ranks):
    found = ranks(
        """
failed = failure(onecopy.mpi.bcast, (i for i in range(3)) if rank == 1 else None, root=1)
got = onecopy.mpi.bcast(np.arange(10) if rank == 0 else None)
report(failed=failed, sum=int(got.sum()))
""",
        [0, 1, 1],
    )
    assert found[1]["failed"][0] == "TypeError"
    for other in (0, 2):
        assert found[other]["failed"][0] == "Error" and "rank 1" in found[other]["failed"][1]
        assert "generator" in found[other]["failed"][1]
    assert [r["sum"] for r in found] == [45] * 3
    assert ranks.left() == []


def test_a_host_without_room_is_an_error_everywhere(ranks):
    found = ranks(
        """
import resource
if rank == 2:  # no file of this process may grow beyond that
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
data = np.arange(1_000_000.) if rank == 0 else None
failed = failure(onecopy.mpi.bcast, data)
if rank == 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
got = onecopy.mpi.bcast(data)
report(failed=failed, sum=float(got.sum()))
""",
        [0, 0, 1, 2],
    )
    for rank in range(4):
        assert found[rank]["failed"] is not None, rank
    for rank in (0, 1, 3):
        assert "rank 2" in found[rank]["failed"][1], found[rank]
    assert [r["sum"] for r in found] == [499999500000.0] * 4
    assert ranks.left() == []


def test_a_receiver_that_fails_midway_keeps_nobody_waiting(ranks):
    found = ranks(
        """
import onecopy._hosts.mpi_move as move
fill = move.Incoming.fill
def breaks(self, offset, out):
    if self.at >= 3 << 20:
        raise OSError("planted")
    fill(self, offset, out)
if rank == 1:
    move.Incoming.fill = breaks
data = np.arange(1_500_000.) if rank == 0 else None
failed = failure(onecopy.mpi.bcast, data)
move.Incoming.fill = fill
got = onecopy.mpi.bcast(data)
report(failed=failed, sum=float(got.sum()))
""",
        [0, 1, 2],
    )
    assert found[1]["failed"] == ["OSError", "planted"]
    for rank in (0, 2):
        assert "rank 1" in found[rank]["failed"][1] and "planted" in found[rank]["failed"][1]
    assert len({r["sum"] for r in found}) == 1
    assert ranks.left() == []


def test_what_is_damaged_on_the_way_is_an_error_everywhere(ranks):
    """Of both functions: one receives in a group, the other from the root."""
    found = ranks(
        """
import onecopy._hosts.mpi_move as move
following = move.Incoming._next
def damages(self, where):
    take = self.take
    def changed(buffer):
        take(buffer)
        np.frombuffer(buffer, "u1")[777] ^= 4
    damages.pieces += 1
    if damages.pieces == 2:
        self.take = changed
    following(self, where)
    self.take = take
data = np.arange(1_500_000.)
failed = []
for work in (onecopy.mpi.bcast, onecopy.mpi.scatter_table):
    damages.pieces = 0
    if rank == 1:
        move.Incoming._next = damages
    failed.append(failure(work, data if rank == 0 else None))
    move.Incoming._next = following
got, part = onecopy.mpi.bcast(data if rank == 0 else None), onecopy.mpi.scatter_table(data if rank == 0 else None)
report(failed=failed, right=bool((got == data).all()), rows=part.size)
""",
        [0, 1, 2],
    )
    for rank, answer in enumerate(found):
        for kind, text in answer["failed"]:
            assert kind == "Corrupt" and "checksum" in text and (rank == 1 or "rank 1" in text), answer
    assert all(answer["right"] and answer["rows"] == 500_000 for answer in found)
    assert ranks.left() == []


def test_mutable_objects_stay_on_one_host(ranks):
    code = """
data = onecopy.empty(1000, "f8", mutable=True) if rank == 0 else None
def work():
    got = onecopy.mpi.bcast(data)
    if rank == 1:
        got[:] = 3
    comm.Barrier()
    return float(got.sum())
failed = failure(work)
report(failed=failed, sum=work() if failed is None else None)
"""
    alone = ranks(code, [0, 0])
    assert [r["sum"] for r in alone] == [3000.0, 3000.0]
    apart = ranks(code, [0, 1])
    assert all(r["failed"][0] == "WrongType" and "mutable" in r["failed"][1] for r in apart)


def test_arguments_that_make_no_sense(ranks):
    found = ranks(
        """
report(root=failure(onecopy.mpi.bcast, 1, root=2), negative=failure(onecopy.mpi.bcast, 1, root=-1),
       text=failure(onecopy.mpi.bcast, 1, root="0"), comm=failure(onecopy.mpi.bcast, 1, "world"),
       null=failure(onecopy.mpi.bcast, 1, MPI.COMM_NULL))
""",
        [0, 0],
    )
    for rank in found:
        for name in ("root", "negative", "text", "comm", "null"):
            assert rank[name] is not None and rank[name][0] == "InvalidArgument", name


def test_a_store_that_cannot_be_used_is_an_error_everywhere(ranks):
    ranks.store(0).mkdir(mode=0o700)
    ranks.store(1).symlink_to(ranks.store(0))
    found = ranks("report(failed=failure(onecopy.mpi.bcast, 1))", [0, 1, 0])
    assert all(r["failed"] is not None and r["failed"][0] == "PermissionDenied" for r in found), found
    assert "rank 1" in found[0]["failed"][1]


def test_a_rank_that_is_killed_ends_the_job_and_leaves_nothing(ranks):
    script = ranks.base / "killed.py"
    script.write_text(
        HEAD
        + """
import onecopy._hosts.mpi_move as move
fill = move.Incoming.fill
def dies(self, offset, out):
    if rank == 2 and self.at >= 3 << 20:
        open(os.path.join(os.environ["RANKS_BASE"], "died"), "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    fill(self, offset, out)
move.Incoming.fill = dies
onecopy.mpi.bcast(np.arange(1_500_000.) if rank == 0 else None)
"""
    )
    with ranks.start([0, 0, 1, 1], [sys.executable, str(script)]) as job:
        output, _ = job.communicate(timeout=120)
    assert (ranks.base / "died").exists(), output
    assert job.returncode != 0
    assert ranks.left() == []


def test_without_mpi4py_the_error_says_what_to_install():
    code = """
import sys
sys.modules["mpi4py"] = None
import onecopy.mpi
for call in (onecopy.mpi.bcast, onecopy.mpi.scatter_table):
    try:
        call([1])
    except onecopy.Unsupported as error:
        assert "pip install mpi4py" in str(error), error
    else:
        raise SystemExit("no error")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_object_lives_until_the_last_rank_of_the_host_lets_go(ranks):
    script = ranks.base / "lives.py"
    script.write_text(
        HEAD
        + """
import time
got = onecopy.mpi.bcast(np.arange(200_000) if rank == 0 else None)
comm.Barrier()
if rank in (0, 1):
    del got          # rank 1 received it for its host
open(os.path.join(os.environ["RANKS_BASE"], f"ready{rank}"), "w").close()
while not os.path.exists(os.path.join(os.environ["RANKS_BASE"], "go")):
    time.sleep(0.05)
report(sum=int(got.sum()) if rank == 2 else None)
"""
    )
    with ranks.start([0, 1, 1], [sys.executable, str(script)]) as job:
        wait_until("all ranks are ready", lambda: job.poll() is not None or len(list(ranks.base.glob("ready*"))) == 3)
        held = ranks.left()
        (ranks.base / "go").touch()
        output, _ = job.communicate(timeout=60)
    assert job.returncode == 0, output
    assert len(held) == 1, "on the second host only, where a rank holds it still"
    assert ranks.left() == []
