"""Text lines and compressed binary files, as populate functions."""

from __future__ import annotations

import bz2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Corrupt, Unsupported
from .columns import Column, Identity, Progress, recent, shown

LINES = 8192  # lines between two places that are kept


class LinesFill:
    def __init__(self, file: Identity, encoding: str, column: Column, offsets: NDArray[Any]):
        self.file, self.encoding, self.column, self.offsets = file, encoding, column, offsets

    def _piece(self, at: int) -> Any:
        import pyarrow as pa

        with open(self.file.path, "rb") as file:
            file.seek(int(self.offsets[at]))
            text = file.read(int(self.offsets[at + 1] - self.offsets[at])).decode(self.encoding)
        return pa.array(_lines(text), pa.large_string())

    def __call__(self, start: int, end: int, out: NDArray[Any]) -> None:
        self.file.check()
        done = start
        while done < end:
            at = done // LINES
            key = (self.file.path, self.file.state, self.encoding, at)
            piece = recent.get(key, lambda at=at: self._piece(at), lambda made: made.nbytes)  # type: ignore[misc]
            part = piece.slice(done - at * LINES, end - done)
            if len(part) == 0:
                raise Corrupt("read " + self.file.path, "it has fewer lines than when it was scanned")
            self.column.put(part, out[done - start : done - start + len(part)])
            done += len(part)


def _lines(text: str) -> list[str]:
    """Without their ends; splitlines() would also split at form feeds and the like."""
    parts = text.split("\n")
    if parts and parts[-1] == "":
        parts.pop()
    return [line.removesuffix("\r") for line in parts]


def scan_lines(path: str, encoding: str, progress: Progress | bool | None) -> tuple[Column, int, LinesFill]:
    file = Identity(path)
    tell = shown(progress, file.size, "scan")
    offsets, count, width, at = [0], 0, 0, 0
    with open(file.path, "rb") as opened:
        for line in opened:
            count += 1
            at += len(line)
            if len(line) > width:
                width = len(line)
            if count % LINES == 0:
                offsets.append(at)
                tell(at)
    if offsets[-1] != at:
        offsets.append(at)
    tell(file.size)
    # Other encodings may need more bytes in UTF-8: at most three for one.
    column = Column("line", "string", False, width if encoding == "utf-8" else 3 * width)
    return column, count, LinesFill(file, encoding, column, np.array(offsets))


# ------------------------------------------------------------------------------------------------ compressed


def unpacker(kind: str) -> Any:
    """A fresh decompressor of one frame: decompress(), eof, unused_data."""
    if kind == "bz2":
        return bz2.BZ2Decompressor()
    try:
        import zstandard
    except ImportError:
        raise Unsupported("read zstd", "the package zstandard is not installed", "pip install zstandard") from None
    return zstandard.ZstdDecompressor().decompressobj()


class Stream:
    """Unpacked bytes from a frame on."""

    def __init__(self, path: str, kind: str, place: int) -> None:
        self.file = open(path, "rb")  # noqa: SIM115
        self.file.seek(place)
        self.kind, self.place, self.path = kind, place, path
        self.one: Any = None
        self.packed = b""

    def close(self) -> None:
        self.file.close()

    def frame_begins(self) -> bool:
        return self.one is None

    def next(self) -> bytes | None:
        """Some more bytes, of one frame only; None at the end."""
        while True:
            if not self.packed:
                self.packed = self.file.read(1 << 16)
                if not self.packed:
                    if self.one is not None:
                        raise Corrupt("read " + self.path, "it ends in the middle", "It was cut short")
                    return None
            if self.one is None:
                self.one = unpacker(self.kind)
            try:
                out = self.one.decompress(self.packed)
            except Exception as reason:
                raise Corrupt("read " + self.path, f"it is damaged, or no {self.kind}: {reason}") from None
            self.place += len(self.packed)
            self.packed = b""
            if self.one.eof:
                self.packed = self.one.unused_data
                self.place -= len(self.packed)
                self.one = None
            if out or self.one is None:
                return bytes(out)


def scan_compressed(path: str, kind: str, progress: Progress | bool | None) -> tuple[Identity, NDArray[Any], int]:
    """(unpacked, packed) places where frames begin, and the unpacked size."""
    file = Identity(path)
    tell = shown(progress, file.size, "scan")
    stream, frames, total = Stream(file.path, kind, 0), [(0, 0)], 0
    try:
        while (piece := stream.next()) is not None:
            total += len(piece)
            if stream.frame_begins():
                frames.append((total, stream.place))
            tell(stream.place)
    finally:
        stream.close()
    return file, np.array(frames), total


# The stream that this process read last, and how far: going on is quicker than beginning again.
_last: dict[Any, tuple[Stream, int, bytes]] = {}


class CompressedFill:
    def __init__(self, file: Identity, kind: str, frames: NDArray[Any], offset: int):
        self.file, self.kind, self.frames, self.offset = file, kind, frames, offset

    def __call__(self, start: int, end: int, out: NDArray[Any]) -> None:
        self.file.check()
        target: Any = memoryview(out.view("u1"))  # type: ignore[arg-type]
        begin = self.offset + start * out.itemsize
        key = (self.file.path, self.file.state)
        frame = int(np.searchsorted(self.frames[:, 0], begin, "right")) - 1
        stream, place, rest = _last.pop(key, (None, 0, b""))
        if stream is None or place > begin or self.frames[frame, 0] > place + len(rest):
            if stream is not None:
                stream.close()
            place, rest = int(self.frames[frame, 0]), b""
            stream = Stream(self.file.path, self.kind, int(self.frames[frame, 1]))
        done = 0
        while done < len(target):
            if not rest:
                piece = stream.next()
                if piece is None:
                    raise Corrupt("read " + self.file.path, "it has fewer bytes than when it was scanned")
                rest = piece
            skip = min(len(rest), max(0, begin + done - place))
            place, rest = place + skip, rest[skip:]
            if place == begin + done and rest:
                part = rest[: len(target) - done]
                target[done : done + len(part)] = part
                done, place, rest = done + len(part), place + len(part), rest[len(part) :]
        for old, _, _ in _last.values():
            old.close()
        _last.clear()
        _last[key] = stream, place, rest
