"""onecopy.mpi.scatter_table: each rank its rows, each host one object, no row where it is not used."""

from __future__ import annotations

import pytest
from conftest import counting_possible

KINDS = {
    "pandas": ("import pandas as pd", "pd.DataFrame({'n': np.arange(N), 't': [f's{i}' for i in range(N)]})",
               "mine.n.tolist(), mine.t.tolist()"),
    "series": ("import pandas as pd", "pd.Series(np.arange(N) * 2, name='x')", "mine.tolist(), [mine.name]"),
    "polars": ("import polars as pl", "pl.DataFrame({'n': np.arange(N), 't': [f's{i}' for i in range(N)]})",
               "mine['n'].to_list(), mine['t'].to_list()"),
    "pyarrow": ("import pyarrow as pa", "pa.table({'n': np.arange(N), 't': [f's{i}' for i in range(N)]})",
                "mine['n'].to_pylist(), mine['t'].to_pylist()"),
    "array": ("", "np.arange(N * 3).reshape(N, 3)", "mine.tolist(), [str(mine.dtype)]"),
    "dict": ("", "{'a': np.arange(N), 'b': np.arange(N) / 2}", "mine['a'].tolist(), mine['b'].tolist()"),
}  # fmt: skip
ROWS = 103


def whole(kind: str) -> list[list[object]]:
    n = list(range(ROWS))
    text = [f"s{i}" for i in n]
    return {
        "pandas": [n, text], "polars": [n, text], "pyarrow": [n, text], "series": [[2 * i for i in n], ["x"]],
        "array": [[[3 * i, 3 * i + 1, 3 * i + 2] for i in n], ["int64"]], "dict": [n, [i / 2 for i in n]],
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_make_the_whole_whatever_the_library(ranks, kind):
    load, make, read = KINDS[kind]
    # Ranks of one host are not neighbours here: the rows of host 0 are the first, the third and the last part.
    found = ranks(
        f"""
{load}
N = {ROWS}
answers = {{}}
for shared in (0, 1):
    table = {make} if rank == 1 else None
    if shared and rank == 1:
        table = onecopy.share(table)
    mine = onecopy.mpi.scatter_table(table, root=1)
    del table
    comm.Barrier()
    answers[shared] = {{"parts": [list(p) for p in ({read})], "objects": len(onecopy.ls())}}
    comm.Barrier()
    del mine
    comm.Barrier()
report(**{{str(k): v for k, v in answers.items()}})
""",
        [0, 1, 0, 1, 0],
    )
    first, second = whole(kind)
    for shared in ("0", "1"):
        answers = [r[shared] for r in found]
        assert sum((a["parts"][0] for a in answers), []) == first
        if len(second) == ROWS:
            assert sum((a["parts"][1] for a in answers), []) == second
        else:
            assert all(a["parts"][1] == second for a in answers)
        assert [len(a["parts"][0]) for a in answers] == [21, 21, 21, 20, 20]
        assert [a["objects"] for a in answers] == [1] * 5
    assert ranks.left() == []


@pytest.mark.skipif(not counting_possible(), reason="no network namespaces: the bytes can't be counted")
def test_no_row_goes_where_it_is_not_used(ranks):
    found = ranks(
        """
rows = 6_000_000
table = {"x": np.random.default_rng(1).random(rows)} if rank == 0 else None
before = bytes_so_far()
mine = onecopy.mpi.scatter_table(table)
moved = bytes_so_far() - before
report(moved=moved, size=rows * 8, mine=mine["x"].nbytes, shared=onecopy.is_shared(mine["x"]))
""",
        [0, 0, 1, 1, 2, 2],
        counted=True,
    )
    abroad = found[0]["size"] * 2 // 3
    assert abroad <= found[0]["moved"] <= 1.1 * abroad
    assert all(r["mine"] == 8_000_000 and r["shared"] for r in found)


def test_counts_of_rows_may_be_given(ranks):
    found = ranks(
        """
table = np.arange(50) if rank == 0 else None
mine = onecopy.mpi.scatter_table(table, counts=[0, 30, 0, 20] if rank == 0 else None)
few = onecopy.mpi.scatter_table(np.arange(2) if rank == 0 else None)
none = onecopy.mpi.scatter_table(np.zeros((0, 4), "f4") if rank == 0 else None)
report(mine=mine.tolist(), few=few.tolist(), none=[list(none.shape), str(none.dtype)])
""",
        [0, 1, 1, 2],
    )
    assert [r["mine"] for r in found] == [[], list(range(30)), [], list(range(30, 50))]
    assert [r["few"] for r in found] == [[0], [1], [], []]
    assert all(r["none"] == [[0, 4], "float32"] for r in found)


def test_what_has_no_rows_and_counts_that_do_not_fit_are_errors_everywhere(ranks):
    found = ranks(
        """
scatter = onecopy.mpi.scatter_table
at_root = rank == 0
report(
    number=failure(scatter, 5 if at_root else None), nothing=failure(scatter), scalar=failure(scatter, np.array(3)),
    text=failure(scatter, "text"), ragged=failure(scatter, {"a": np.arange(2), "b": np.arange(3)}),
    few=failure(scatter, np.arange(9), counts=[9]), many=failure(scatter, np.arange(9), counts=[4, 4, 4]),
    negative=failure(scatter, np.arange(9), counts=[-1, 5, 5]), empty=failure(scatter, {}),
    after=scatter(np.arange(9) if at_root else None).tolist(),
)
""",
        [0, 1, 1],
    )
    kinds = dict.fromkeys(["number", "nothing", "scalar", "text", "empty"], "WrongType")
    kinds |= dict.fromkeys(["ragged", "few", "many", "negative"], "InvalidArgument")
    for rank, answer in enumerate(found):
        for name, kind in kinds.items():
            assert answer[name] is not None and answer[name][0] == kind, (rank, name, answer[name])
    assert [r["after"] for r in found] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert ranks.left() == []


def test_a_host_without_room_fails_all_and_leaves_nothing(ranks):
    found = ranks(
        """
import resource
table = np.arange(1_000_000.) if rank == 0 else None
if rank == 1:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
failed = failure(onecopy.mpi.scatter_table, table)
if rank == 1:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
report(failed=failed, sum=float(onecopy.mpi.scatter_table(table).sum()))
""",
        [0, 1, 2],
    )
    assert all(r["failed"] is not None for r in found)
    assert "rank 1" in found[2]["failed"][1]
    assert sum(r["sum"] for r in found) == 499999500000.0
    assert ranks.left() == []
