"""share, attach, handle and the rest of the face on plain values and arrays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import onecopy


@pytest.mark.parametrize(
    "value",
    [
        "text", "", "naïve ☃", "lone \udc80 surrogate", b"bytes\0\0", b"", 5, -(2**63), 2**70, 1.5, float("inf"), 2j,
        [1, 2, 3], [1.5, 2.5], [True, False], ["a", None, "b\0"], [], (), {}, set(), frozenset({1}), {1, "a"},
        (1, "a", None, 2.5, [b"x"]), {"a": 1, "b": [1, "x"]}, {1: "a", (2, 3): "b"}, {"": {"nested": {"deep": [None]}}},
        [None], [None, "a"], [2**70, 1], [[1, 2], [3]], {"k\udc80": 1},
    ],
    ids=ascii,
)  # fmt: skip
def test_builtin_values_come_back_equal_and_of_their_type(value):
    shared = onecopy.share(value)
    again = onecopy.attach(onecopy.handle(shared))
    for one in (shared, again, pickle.loads(pickle.dumps(shared))):
        assert one == value
        assert isinstance(one, type(value))
    own = onecopy.unshare(again)
    assert own == value and type(own) is type(value)


@pytest.mark.parametrize("value", [None, True, False])
def test_values_that_cannot_carry_a_note_come_back_as_they_are(value):
    assert onecopy.share(value) is value


@pytest.mark.parametrize(
    "dtype",
    ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "S5", "U3",
     "M8[ns]", "M8[D]", "M8[us]", "m8[s]", ">i4"],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 4), (2, 0, 3), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_every_type_and_shape(dtype, shape, order):
    count = int(np.prod(shape))
    array = np.arange(count).astype(dtype).reshape(shape, order=order)
    shared = onecopy.share(array)
    for one in (shared, onecopy.attach(onecopy.handle(shared)), pickle.loads(pickle.dumps(shared))):
        np.testing.assert_array_equal(one, array)
        assert one.shape == array.shape
        assert one.dtype == array.dtype.newbyteorder("=")
        assert type(one) is onecopy.SharedArray
        if count > 1:
            assert one.flags.c_contiguous == array.flags.c_contiguous


def test_array_is_in_place_and_read_only_and_stays_when_the_name_goes():
    shared = onecopy.share(np.arange(1000.0))
    again = onecopy.attach(onecopy.handle(shared))
    assert np.shares_memory(shared, again)
    assert not again.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        again[0] = 1
    view = again[10:20]
    del shared, again
    assert view.sum() == sum(range(10, 20))


def test_results_are_ordinary_arrays():
    shared = onecopy.share(np.arange(12.0).reshape(3, 4))
    for result in (shared + 1, shared * shared, np.sin(shared), shared.sum(axis=0), shared.copy(), shared.astype("i4"),
                   np.sort(shared), np.concatenate([shared, shared]), shared.mean(axis=1), shared > 5,
                   shared @ shared.T, np.where(shared > 1, shared, 0), shared.flatten(), np.cumsum(shared),
                   -shared):  # fmt: skip
        assert type(result) is np.ndarray
        assert not onecopy.is_shared(result)
    assert type(shared.sum()) is np.float64
    assert type(shared[1, 2]) is np.float64
    assert type(shared.T) is onecopy.SharedArray


@pytest.mark.parametrize(
    "cut", [np.s_[3:9], np.s_[::-1], np.s_[::3], np.s_[5], np.s_[8:2:-2], np.s_[0:0], np.s_[:, 3], np.s_[..., ::-2]],
    ids=str,
)  # fmt: skip
def test_slices_pickle_as_handle_and_place(cut):
    shared = onecopy.share(np.arange(100.0).reshape(10, 10))
    part = shared[cut]
    data = pickle.dumps(part)
    assert len(data) <= 230
    again = pickle.loads(data)
    np.testing.assert_array_equal(again, part)
    assert again.strides == part.strides or part.size == 0
    if part.size:
        assert np.shares_memory(again, shared)


def test_a_plain_array_pickles_in_200_bytes():
    shared = onecopy.share(np.zeros((1000, 1000)))
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert len(pickle.dumps(shared, protocol=protocol)) <= 200


def test_names():
    first = onecopy.share(np.arange(3), name="prices")
    np.testing.assert_array_equal(onecopy.attach(name="prices"), [0, 1, 2])
    assert onecopy.exists(name="prices")
    with pytest.raises(onecopy.Exists):
        onecopy.share(np.arange(4), name="prices")
    second = onecopy.share(np.arange(4), name="prices", replace=True)
    assert len(onecopy.attach(name="prices")) == 4
    del first, second
    with pytest.raises(onecopy.NotFound):
        onecopy.attach(name="prices")
    assert not onecopy.exists(name="prices")


def test_kept_objects_stay_until_freed():
    onecopy.share("remember", name="kept", keep=True)
    assert onecopy.attach(name="kept") == "remember"
    onecopy.free("kept")
    with pytest.raises(onecopy.NotFound):
        onecopy.attach(name="kept")


def test_free_and_gone():
    shared = onecopy.share(np.arange(3))
    handle = onecopy.handle(shared)
    assert onecopy.exists(handle)
    onecopy.free(handle)
    assert shared[2] == 2
    assert not onecopy.exists(handle)
    del shared
    with pytest.raises(KeyError):
        onecopy.attach(handle)
    with pytest.raises(onecopy.NotFound):
        onecopy.free(handle)
    onecopy.free(handle, missing_ok=True)
    with pytest.raises(TypeError):
        onecopy.free(np.arange(3))


@pytest.mark.parametrize("text", ["", "garbage", "onecopy:1:", "onecopy:1:zz:zz:zz", "onecopy:9:" + "0" * 66])
def test_what_is_no_handle_is_an_error(text):
    with pytest.raises(onecopy.Error):
        onecopy.attach(text)


def test_wrong_arguments():
    with pytest.raises(TypeError):
        onecopy.attach(5)
    with pytest.raises(ValueError):
        onecopy.attach()
    shared = onecopy.share(np.arange(3))
    handle = onecopy.handle(shared)
    with pytest.raises(ValueError):
        onecopy.attach(handle, name="both")
    with pytest.raises(ValueError, match="private"):
        onecopy.attach(handle, writable="yes")
    with pytest.raises(ValueError):
        onecopy.empty(-1)
    with pytest.raises(ValueError):
        onecopy.empty(3, "O")


def test_handle_of_another_machine():
    text = onecopy.handle(onecopy.share(np.arange(3))).split(":")
    text[2], text[4] = "0123456789abcdef", "0" * 32
    with pytest.raises(onecopy.WrongHost):
        onecopy.attach(":".join(text))


def test_handles_of_parts_and_of_what_is_not_shared():
    shared = onecopy.share({"a": np.arange(5), "b": 1})
    np.testing.assert_array_equal(onecopy.attach(onecopy.handle(shared["a"])), np.arange(5))
    with pytest.raises(TypeError, match="part of a shared object"):
        onecopy.handle(shared["a"][1:])
    with pytest.raises(TypeError, match="not shared"):
        onecopy.handle(np.arange(5))


def test_sharing_again_is_free():
    shared = onecopy.share(np.arange(5))
    assert onecopy.share(shared) is shared
    named = onecopy.share(shared, name="again")
    assert named is not shared


def test_private_pages():
    array = np.arange(100_000.0)
    shared = onecopy.share(array)
    mine = onecopy.attach(onecopy.handle(shared), writable="private")
    assert len(pickle.dumps(mine)) <= 200  # unchanged: still the shared bytes
    mine[7] = -1
    mine += 0
    assert mine[7] == -1
    np.testing.assert_array_equal(shared, array)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(mine)), mine)
    matrix = onecopy.share(np.asfortranarray(np.arange(6).reshape(2, 3)))
    own = onecopy.attach(onecopy.handle(matrix), writable="private")
    own[1, 2] = 50
    assert own.tolist() == [[0, 1, 2], [3, 4, 50]] and matrix[1, 2] == 5


def test_mutable_arrays_are_written_by_all(python):
    shared = onecopy.empty((4, 3), "i8")
    python("import onecopy, sys; onecopy.attach(sys.argv[1])[2] = 7", onecopy.handle(shared))
    assert shared[2].tolist() == [7, 7, 7]
    shared += 1
    again = pickle.loads(pickle.dumps(shared))
    again[0] = 5
    assert shared[0, 0] == 5
    counts = onecopy.share(np.arange(3), mutable=True)
    counts[0] = 9
    assert onecopy.attach(onecopy.handle(counts))[0] == 9


def test_changed_containers_pickle_what_they_hold_now():
    shared = onecopy.share({"big": np.arange(10_000), "list": [1, "a"]})
    assert len(pickle.dumps(shared)) <= 200
    shared["list"].append(2)
    again = pickle.loads(pickle.dumps(shared))
    assert again["list"] == [1, "a", 2]
    assert np.shares_memory(again["big"], shared["big"])  # its parts still go as handles
    with pytest.raises(TypeError, match="changed"):
        onecopy.handle(shared)


def test_gone_objects_do_not_break_the_channel():
    shared = onecopy.share(np.arange(10.0))
    message = pickle.dumps(["before", shared, {"after": 1}])
    onecopy.free(shared)
    del shared
    before, gone, after = pickle.loads(message)
    assert (before, after) == ("before", {"after": 1})
    assert onecopy.is_missing(gone)
    assert gone.shape == (10,) and len(gone) == 10 and gone.dtype == "f8"
    assert isinstance(gone, np.ndarray)
    for use in (lambda: gone + 1, lambda: gone[0], lambda: gone.sum(), lambda: np.asarray(gone), lambda: np.sum(gone),
                lambda: list(gone), lambda: 1 - gone, lambda: gone.mean, lambda: float(gone)):  # fmt: skip
        with pytest.raises(onecopy.NotFound, match="gone"):
            use()
    assert "gone" in repr(gone)
    assert onecopy.is_missing(pickle.loads(pickle.dumps(gone)))
    assert not onecopy.is_missing(before)


def test_containers_inside_themselves_are_pickled_whole():
    ring: list = [1]
    ring.append(ring)
    shared = onecopy.share(ring)
    assert shared[0] == 1 and shared[1][1][0] == 1


def test_what_can_not_be_shared_is_an_error_that_leaves_nothing():
    before = len(onecopy.ls())
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        onecopy.share([1, (i for i in range(3))])
    assert len(onecopy.ls()) == before


def test_save_and_open(tmp_path):
    path = tmp_path / "x.onecopy"
    onecopy.save({"a": np.arange(5), "s": "text"}, path)
    opened = onecopy.open(path)
    assert opened["s"] == "text"
    np.testing.assert_array_equal(opened["a"], np.arange(5))
    onecopy.save(np.zeros(3), path)  # replaced while open
    assert opened["a"][4] == 4
    assert len(onecopy.open(path)) == 3
    with pytest.raises(onecopy.NotFound):
        onecopy.open(tmp_path / "none")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(onecopy.Corrupt):
        onecopy.open(path)
    with pytest.raises(onecopy.Error):
        onecopy.save(1, tmp_path / "no" / "such" / "folder")


def test_files_run_no_code_unless_allowed(tmp_path):
    path = tmp_path / "x.onecopy"
    onecopy.save([slice(1, 2)], path)
    with pytest.raises(PermissionError, match="allow_pickle"):
        onecopy.open(path)
    assert onecopy.open(path, allow_pickle=True) == [slice(1, 2)]


def test_by_value():
    shared = onecopy.share(np.arange(10.0))
    with onecopy.by_value():
        data = pickle.dumps([shared, onecopy.share({"k": np.arange(3)})])
    onecopy.free(shared)
    array, mapping = pickle.loads(data)
    assert array.sum() == 45 and type(array) is np.ndarray
    assert mapping["k"].tolist() == [0, 1, 2]


def test_unshare():
    shared = onecopy.share({"a": np.arange(5), "t": (1, "x")})
    own = onecopy.unshare(shared)
    assert type(own) is dict and not onecopy.is_shared(own)
    own["a"][0] = 7
    assert shared["a"][0] == 0


def test_ls_usage_and_gc():
    shared = onecopy.share(np.zeros(100_000), name="a name")
    entry = next(e for e in onecopy.ls() if e.name == "a name")
    assert entry.size >= 800_000 and entry.holders == 1 and not entry.mutable
    assert onecopy.usage().size >= 800_000
    del shared
    onecopy.gc()
    assert not [e for e in onecopy.ls() if e.name == "a name"]


def test_errors_say_what_to_do():
    error = onecopy.NotFound("open it", "it is gone", "Share it again", 2)
    assert str(error) == "can't open it: it is gone. Share it again."
    from onecopy import _core

    caught = {"not_found": KeyError, "exists": FileExistsError, "corrupt": ValueError, "no_space": OSError,
              "no_memory": MemoryError, "permission": PermissionError, "wrong_host": LookupError,
              "wrong_type": TypeError, "timeout": TimeoutError, "unsupported": NotImplementedError,
              "invalid_argument": ValueError, "busy": BlockingIOError, "owner_died": RuntimeError,
              "peer_closed": ConnectionError, "interrupted": InterruptedError, "system": OSError}  # fmt: skip
    for kind, usual in caught.items():
        with pytest.raises(usual) as info:
            _core.raise_error(kind, "try", "happen", "remedy", 28)
        assert isinstance(info.value, onecopy.Error)
        assert (info.value.tried, info.value.remedy, info.value.os_error) == ("try", "remedy", 28)
        again = pickle.loads(pickle.dumps(info.value))
        assert type(again) is type(info.value) and again.happened == "happen"


def test_a_tampered_pickle_reaches_nothing_outside() -> None:
    from onecopy._pickle import array_at

    x = onecopy.share(np.arange(10.0))
    for offset, shape, strides in [(-8, (1,), None), (0, (10**6,), None), (0, (100,), (10**6,))]:
        assert onecopy.is_missing(array_at(onecopy.handle(x), offset, shape, "f8", strides))
