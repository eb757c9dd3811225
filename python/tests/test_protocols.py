"""What other libraries ask of an array or table, and what `share` accepts from them."""

from __future__ import annotations

import array
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import onecopy

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


@pytest.mark.parametrize("array", [BIG, BIG.astype("i2"), BIG.astype("M8[us]"), BIG[:0]], ids=lambda x: str(x.dtype))
def test_arrow_reads_shared_arrays_in_place(array):
    shared = onecopy.share(array)
    taken = pa.array(shared)
    assert taken.equals(pa.array(array)) and taken.null_count == 0
    if len(array):
        assert taken.buffers()[1].address == shared.ctypes.data
    capsule = taken.__arrow_c_array__()
    del shared, taken
    assert pa.Array._import_from_c_capsule(*capsule).equals(pa.array(array)), "it keeps the region"


def test_what_is_missing_by_a_mask_is_missing_in_arrow():
    """pyarrow drops the mask of what offers __arrow_c_array__ (of an ndarray it honours it), so that a shared array
    must not offer it: pandas' take() of a categorical goes this way."""
    shared = onecopy.share(np.array([1.0, np.nan, 3.0]))
    assert pa.array(shared, mask=np.array([True, False, False])).null_count == 1
    assert pa.array(shared, from_pandas=True).to_pylist() == [1.0, None, 3.0]
    assert pa.array(shared[:2], pa.float32(), from_pandas=True).equals(pa.array([1.0, None], pa.float32()))
    codes = onecopy.share(np.array([1, -1, 0], "i1"))
    kinds = pd.Categorical.from_codes(codes, pd.Index(pd.array(["v", "u"], dtype="string[pyarrow]")))
    assert [None if pd.isna(kind) else kind for kind in kinds] == ["u", None, "v"]


def test_duckdb_queries_a_shared_frame():
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    frame = onecopy.share(pd.DataFrame({"n": BIG, "s": ["x", "y"] * 25_000}))  # noqa: F841  found by its name
    found = duckdb.sql("select s, sum(n) as total from frame group by s order by s").fetchall()
    assert found == [("x", BIG[::2].sum()), ("y", BIG[1::2].sum())]


def test_nanoarrow_reads_a_shared_array():
    nanoarrow = pytest.importorskip("nanoarrow", reason="nanoarrow is not installed")
    shared = onecopy.share(pa.array([1.5, None, 3.0] * 1000))
    assert nanoarrow.Array(shared).to_pylist()[:3] == [1.5, None, 3.0]
    assert nanoarrow.Array(onecopy.share(BIG)).to_pylist()[:2] == [0.0, 1.0]


def test_polars_reads_a_shared_arrow_table():
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.from_arrow(onecopy.share(TABLE))
    assert frame["n"].sum() == BIG.sum() and frame["s"].null_count() == 25_000


def test_torch_shares_memory_with_a_shared_array():
    """https://github.com/pytorch/pytorch/issues/5442: torch has no read-only tensors, and ignores the flag that says
    so. What all see is refused or private, never written to behind everybody's back."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    written = onecopy.share(BIG, mutable=True)
    for tensor in (torch.from_numpy(written), torch.from_dlpack(written)):
        tensor[0] += 1.0
    assert written[0] == 2.0, "mutable objects are written by everyone"

    shared = onecopy.share(BIG)
    try:
        taken = torch.from_dlpack(shared)  # may refuse, or copy
    except (BufferError, RuntimeError):
        pass
    else:
        taken[0] = -1.0
    assert shared[0] == 0.0 and onecopy.attach(onecopy.handle(shared))[0] == 0.0

    tensor = onecopy.share(torch.arange(10_000, dtype=torch.float64))
    assert isinstance(tensor, torch.Tensor) and onecopy.is_shared(tensor)
    again = onecopy.attach(onecopy.handle(tensor))
    tensor[0] = -1.0
    assert again[0] == 0.0, "a write copies the page, for the writer alone"
    grad = torch.ones(3, requires_grad=True)
    assert torch.equal(onecopy.unshare(onecopy.share({"w": grad}))["w"], grad)


class Capsule:
    """What another library took, for NumPy to look into."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def test_a_library_that_ignores_the_flag_writes_to_pages_of_its_own():
    """torch cannot be installed everywhere: this is how its `from_dlpack` asks."""
    asks = eval("lambda x: x.__dlpack__(max_version=(1, 0))", {"__name__": "torch.utils.dlpack"})
    shared = onecopy.share(BIG)
    for view in (shared, shared[1000:], shared[::2], shared.reshape(100, -1).T):
        taken = np.from_dlpack(Capsule(asks(view)))
        assert taken.flags.writeable and np.array_equal(taken, view)
        taken.ravel()[:1] = taken[(0,) * taken.ndim] = -1.0
    assert np.array_equal(shared, BIG) and np.array_equal(onecopy.attach(onecopy.handle(shared)), BIG)
    backwards = np.from_dlpack(Capsule(asks(shared[::-1])))
    assert not backwards.flags.writeable
    written = onecopy.share(BIG, mutable=True)
    np.from_dlpack(Capsule(asks(written)))[0] = -1.0
    assert written[0] == -1.0


def test_a_consumer_that_writes_gets_a_copy_when_it_asks_for_one():
    shared = onecopy.share(BIG)
    copied = np.from_dlpack(shared, copy=True)
    assert not np.shares_memory(copied, shared)
    copied[0] = -1.0
    assert shared[0] == 0.0
    private = onecopy.attach(onecopy.handle(shared), writable="private")
    taken = np.from_dlpack(private)
    taken[0] = -1.0  # a page of its own
    assert private[0] == -1.0 and shared[0] == 0.0
    for bad in ({"max_version": (1, 0), "dl_device": (2, 0)}, {"max_version": (1, 0), "stream": 1}):
        with pytest.raises((BufferError, ValueError, RuntimeError, TypeError)):
            shared.__dlpack__(**bad)
    with pytest.raises((BufferError, TypeError)):
        onecopy.share(np.array(["a", "b"] * 500)).__dlpack__(max_version=(1, 0))
