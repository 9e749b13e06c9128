"""Encoding of a long video in chunks that are kept until all are done, so that an interrupted encode can be resumed.

Every chunk is coded by encoders of its own, so it depends only on its frames and on the settings. The chunks, and
therefore the file, are the same whether or not the encode was interrupted. Chunks have two costs: the encoder's
lookahead ends at the end of the chunk, and every chunk begins with a keyframe. Encoders insert a keyframe every few
seconds anyway.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from shutil import copyfileobj, rmtree
from typing import Any

from ..core.errors import SacFileError, SacValueError
from ..core.processes import kill_all, run
from ..core.progress import Progress
from ..core.supervisor import make_folder, release_folder
from ..encoders.registry import find_ffmpeg
from ..source.images import image_files

__all__ = ["Chunk", "Coder", "code_chunks", "identity", "join", "open_store", "plan_digest"]

#: Bytes that a file's name can have on the usual file systems.
_LONGEST_NAME = 255

_KEY, _DONE = "plan.json", "done.json"

#: Encodes the frames from `start` up to, but not including, `stop` into a folder. Calls the callback after each frame
#: with the number of frames done; the callback raises to cancel. Returns the files by track and the mean ROI share.
Coder = Callable[[int, int, Path, Callable[[int], None]], tuple[list[Path], float]]


@dataclass(frozen=True)
class Chunk:
    """A finished chunk.

    Attributes:
        frames: Number of frames.
        paths: One file per track.
        share: Mean ROI share, in [0, 1].
    """

    frames: int
    paths: list[Path]
    share: float


def identity(path: Path) -> list[object]:
    """Names, sizes and modification times of a file, or of the files of a folder or pattern.

    The result shows whether the files have changed, without reading them.
    """
    files = sorted(path.iterdir()) if path.is_dir() else image_files(path) or [path]
    return [[str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.exists()]


def open_store(out: Path, key: Mapping[str, Any], *, resume: bool, force: bool) -> Path:
    """Open the folder beside an output that keeps the output's chunks, and create it if needed.

    Args:
        out: The output.
        key: Everything that decides the bytes of a chunk, as plain values; see `plan_report.resume_key`.
        resume: Reuse existing chunks, if there are any.
        force: Delete existing chunks.

    Raises:
        SacFileError: The existing chunks belong to an encode with other settings, there are chunks and neither `resume`
            nor `force` is set, or the folder cannot be created.
    """
    store = out.with_name(_store_name(out.name))
    wanted = {"digest": plan_digest(key), "key": dict(key)}
    try:
        if store.is_dir() and resume:
            found = json.loads((store / _KEY).read_text())
            if found["digest"] != wanted["digest"]:
                raise SacFileError(_difference(store, found["key"], key), "encode")
            return store
        if store.is_dir():
            if not force:
                raise SacFileError(f"{store} is there from an encode that was stopped: --resume or --force", "encode")
            rmtree(store)
        store.mkdir()
        (store / _KEY).write_text(json.dumps(wanted, indent=1))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SacFileError(f"{store / _KEY} cannot be read; use --force to start again", "encode") from error
    except OSError as error:
        if isinstance(error, SacFileError):
            raise
        raise SacFileError(f"cannot keep chunks in {store}: {error.strerror}", "encode") from error
    return store


def _store_name(name: str) -> str:
    """The name of an output's folder of chunks; of names that leave no room for the ending, the beginning."""
    if len(os.fsencode(plain := f"{name}.chunks")) <= _LONGEST_NAME:
        return plain
    # 40 characters take up to 160 bytes.
    return f"{name[:40]}.{plan_digest({'output': name})[:16]}.chunks"


def _difference(store: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    changed = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    return f"the chunks in {store} were made with another {', '.join(changed)}; use --force to start again"


def plan_digest(key: Mapping[str, Any]) -> str:
    """SHA-256 digest of a resume key. Chunks are reused only if the digest is the same."""
    # Loads OpenSSL, which encodes without chunks do not need.
    import hashlib

    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


class _HaltedError(Exception):
    """Raised to cancel a chunk after another chunk has failed."""


def code_chunks(
    store: Path,
    frames: int,
    length: int,
    code: Coder,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Chunk]:
    """Code the chunks that are not done yet.

    Args:
        store: Folder from `open_store`.
        frames: Length of the video in frames.
        length: Length of a chunk in frames. A remainder of less than half a chunk is added to the last chunk.
        code: Codes one chunk.
        jobs: Number of chunks coded at the same time, each in its own thread. If one fails, the others are cancelled.
        progress: Called with the frames done in all chunks together, and the frames in all.

    Returns:
        All chunks in order.

    Raises:
        SacValueError: `length` is not positive.
        SacError: Whatever `code` raises. Chunks that are already done are kept.
    """
    if length < 1:
        raise SacValueError(f"chunks of {length} frames; accepted: from 1", "encode")
    count = max(1, round(frames / length))
    bounds = [*range(0, count * length, length), frames]
    folders = [store / f"{number:06d}" for number in range(count)]
    counts = [
        stop - start if folder.is_dir() else 0 for folder, (start, stop) in zip(folders, pairwise(bounds), strict=True)
    ]
    lock, halted = threading.Lock(), threading.Event()

    def make(number: int) -> Chunk:
        def step(done: int) -> None:
            if halted.is_set():
                raise _HaltedError
            with lock:
                counts[number] = done
                if progress:
                    progress(sum(counts), frames)

        return _chunk(folders[number], bounds[number], bounds[number + 1], code, step)

    if jobs == 1:
        return [make(number) for number in range(count)]
    with ThreadPoolExecutor(jobs, "chunk") as pool:
        making = [pool.submit(make, number) for number in range(count)]
        try:
            wait(making, return_when=FIRST_EXCEPTION)
        except BaseException:
            # The main thread was interrupted while the other threads wait for programs.
            kill_all()
            raise
        finally:
            halted.set()
            for chunk in making:
                chunk.cancel()
    # The errors of cancelled chunks only follow from the first error.
    for chunk in making:
        if not chunk.cancelled() and (error := chunk.exception()) and not isinstance(error, _HaltedError):
            raise error
    return [chunk.result() for chunk in making]


def _chunk(folder: Path, start: int, stop: int, code: Coder, step: Callable[[int], None]) -> Chunk:
    if not folder.is_dir():
        # The folder gets its final name when the chunk is complete.
        work = make_folder(folder.parent, f"{folder.name}.", ".part")
        try:
            paths, share = code(start, stop, work, step)
            done = {"paths": [path.name for path in paths], "share": share}
            (work / _DONE).write_text(json.dumps(done))
            work.rename(folder)
        finally:
            rmtree(work, ignore_errors=True)
            release_folder(work)
    try:
        done = json.loads((folder / _DONE).read_text())
        return Chunk(stop - start, [folder / name for name in done["paths"]], float(done["share"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SacFileError(f"the chunk {folder} cannot be read; remove it to have it made again", "encode") from error


def join(store: Path, chunks: Sequence[Chunk], track: int, fps: Fraction, folder: Path) -> Path:
    """Concatenate the files of one track without re-encoding.

    Args:
        store: Folder of the chunks.
        chunks: The chunks, in order.
        track: Index of the track's file in each chunk.
        fps: Frame rate.
        folder: Folder for the result.

    Raises:
        SacProcessError: ffmpeg failed.
    """
    parts = [chunk.paths[track] for chunk in chunks]
    out = folder / parts[0].name
    if out.suffix == ".hevc":
        # Raw streams can be concatenated byte by byte, because each begins with its own headers.
        with out.open("wb") as whole:
            for part in parts:
                with part.open("rb") as file:
                    copyfileobj(file, whole)
        return out
    # Relative names need no quoting, whatever the folder is called. Durations are computed from the frame count,
    # because the times in the files are rounded.
    lines = ["ffconcat version 1.0"]
    for chunk, part in zip(chunks, parts, strict=True):
        lines += [f"file {part.relative_to(store)}", f"duration {float(chunk.frames / fps):.9f}"]
    listed = f"{out.stem}.ffconcat"
    (store / listed).write_text("\n".join(lines) + "\n")
    run("mux", [find_ffmpeg(), "-hide_banner", "-v", "error", "-nostdin", "-y", "-f", "concat", "-i", listed,
                "-map", "0:v:0", "-c", "copy", "-fflags", "+bitexact", "-f", "matroska", f"file:{out.absolute()}"],
        folder=store)  # fmt: skip
    return out
