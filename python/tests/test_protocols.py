"""What other libraries ask of an array or table, and what `share` accepts from them."""

from __future__ import annotations

import array
import pickle
from typing import Any

import numpy as np
import onecopy
import pandas as pd
import pyarrow as pa
import pytest

BIG = np.arange(50_000.0)
TABLE = pa.table({"n": BIG, "s": pa.array(["x", None] * 25_000)})


class Offers:
    """An object that knows one protocol and nothing else."""

    def __init__(self, of: Any, *names: str) -> None:
        for name in names:
            setattr(self, name, getattr(of, name))


class Stream:
    def __init__(self, of: pa.Table) -> None:
        self.of = of

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.of.__arrow_c_stream__(requested_schema)


class Column:
    def __init__(self, of: pa.Array) -> None:
        self.of = of

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self.of.__arrow_c_array__(requested_schema)


class Tensor:
    def __init__(self, of: np.ndarray) -> None:
        self.of = of

    def __dlpack__(self, **asked: Any) -> Any:
        return self.of.__dlpack__(**asked)

    def __dlpack_device__(self) -> Any:
        return self.of.__dlpack_device__()


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(lambda: memoryview(BIG), id="buffer"),
        pytest.param(lambda: array.array("d", BIG), id="array.array"),
        pytest.param(lambda: Offers(BIG, "__array_interface__"), id="array_interface"),
        pytest.param(lambda: Tensor(BIG), id="dlpack"),
    ],
)
def test_share_accepts_arrays_of_others(source):
    shared = onecopy.share(source())
    assert onecopy.is_shared(shared)
    assert np.array_equal(np.asarray(onecopy.attach(onecopy.handle(shared))), BIG)


def test_share_accepts_arrow_streams_and_columns():
    table = onecopy.share(Stream(TABLE))
    assert pa.table(table).equals(TABLE)
    column = onecopy.share(Column(TABLE["s"].combine_chunks()))
    assert column.to_pylist()[:4] == ["x", None, "x", None]


def test_the_buffer_protocol_is_read_only():
    view = memoryview(onecopy.share(BIG))
    assert view.readonly and view.format == "d" and view.nbytes == BIG.nbytes
    with pytest.raises(TypeError):
        view[0] = 1.0


def test_array_interface_points_into_the_region():
    shared = onecopy.share(BIG)
    address, read_only = shared.__array_interface__["data"]
    assert read_only and address == shared.ctypes.data


def test_dlpack_says_read_only_or_refuses():
    """A consumer of the old protocol, which can't say so, must not get a writable view of what all see."""
    shared = onecopy.share(BIG)
    assert "versioned" in repr(shared.__dlpack__(max_version=(1, 0)))
    with pytest.raises(BufferError):
        shared.__dlpack__()
    taken = np.from_dlpack(shared)
    assert not taken.flags.writeable and np.shares_memory(taken, shared)


def test_frames_are_read_by_arrow_in_place():
    frame = onecopy.share(pd.DataFrame({"n": BIG, "s": ["x", "y"] * 25_000}))
    read = pa.table(frame)
    assert read.num_rows == len(BIG) and read["s"].to_pylist()[:2] == ["x", "y"]
    assert read["n"].chunk(0).buffers()[1].address == frame["n"].to_numpy().ctypes.data


def test_arrow_tables_are_streams():
    shared = onecopy.share(TABLE)
    assert pa.RecordBatchReader.from_stream(shared).read_all().equals(TABLE)
    assert len(pickle.dumps(shared)) < 1000 and pickle.loads(pickle.dumps(shared)).equals(TABLE)


def test_duckdb_queries_a_shared_frame():
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    frame = onecopy.share(pd.DataFrame({"n": BIG, "s": ["x", "y"] * 25_000}))  # noqa: F841  found by its name
    found = duckdb.sql("select s, sum(n) as total from frame group by s order by s").fetchall()
    assert found == [("x", BIG[::2].sum()), ("y", BIG[1::2].sum())]


def test_nanoarrow_reads_a_shared_array():
    nanoarrow = pytest.importorskip("nanoarrow", reason="nanoarrow is not installed")
    shared = onecopy.share(pa.array([1.5, None, 3.0] * 1000))
    assert nanoarrow.Array(shared).to_pylist()[:3] == [1.5, None, 3.0]


def test_polars_reads_a_shared_arrow_table():
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.from_arrow(onecopy.share(TABLE))
    assert frame["n"].sum() == BIG.sum() and frame["s"].null_count() == 25_000


def test_torch_shares_memory_with_a_shared_array():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    shared = onecopy.share(BIG, mutable=True)
    assert torch.from_numpy(shared).sum().item() == BIG.sum()
