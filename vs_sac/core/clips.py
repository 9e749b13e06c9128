"""Small helpers for VapourSynth clips that several folders use."""

import contextlib
import ctypes
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

import vapoursynth as vs

from .arguments import check_clip
from .errors import SacFormatError, SacMissingError, SacProcessError, error_of_filter
from .watchdog import StallWatch, own_activity

#: Seconds between two checks while a frame is awaited.
_LOOK_SECONDS = 1.0

#: glibc's mallopt parameter (malloc.h).
_M_MMAP_THRESHOLD = -3

#: Number of frames after which the C library is told to return freed memory to the system. By itself it does not reuse
#: the gaps beside aligned frames, and memory grows without limit by 0.2 MiB per frame of 1280x720.
_TRIM_EVERY = 64

#: Number of frames requested at a time: enough to overlap the stages, few enough to stay in the caches.
AHEAD = 2

__all__ = ["AHEAD", "awaited", "check_constant_format", "check_mask", "check_same_shape", "delay", "frames",
           "limited_threads", "pin_cache", "plugin", "set_cache_limit"]  # fmt: skip

#: Plugin namespace → pip package that contains the plugin.
_PACKAGES = {
    "bs": "vapoursynth-bestsource",
    "ffms2": "vapoursynth-ffms2",
    "lsmas": "vapoursynth-lsmas",
    "mv": "vapoursynth-mvtools",
    "ort": "vapoursynth-mlrt-ort",
    "ov": "vapoursynth-mlrt-ov",
}


def plugin(namespace: str, func: str) -> Any:
    """Return the plugin loaded under a namespace.

    Raises:
        SacMissingError: The plugin is not loaded; the message names the pip package that contains it.
    """
    # VapourSynth does not raise if a plugin fails to load, so only its presence can be checked.
    if not hasattr(vs.core, namespace):
        package = _PACKAGES.get(namespace, namespace)
        raise SacMissingError(f"VapourSynth plugin {namespace!r} is missing: pip install {package}", func)
    return getattr(vs.core, namespace)


def check_constant_format(clip: vs.VideoNode, func: str, name: str = "clip") -> None:
    """Check that the format and the size of a clip are constant.

    Raises:
        SacFormatError: The format or the size varies.
        SacTypeError: `clip` is not a clip. The message names the argument.
    """
    check_clip(clip, name, func)
    # A clip of variable format has a truthy `format` with id 0.
    if clip.format.color_family == vs.UNDEFINED or 0 in (clip.width, clip.height):
        raise SacFormatError(f"the {name}'s format or size changes midway; only constant ones are accepted", func)


def check_mask(mask: vs.VideoNode, func: str, name: str = "mask") -> None:
    """Check that a mask is 8-bit grey (GRAY8).

    Raises:
        SacFormatError: The mask has another format.
        SacTypeError: `mask` is not a clip. The message names the argument.
    """
    check_constant_format(mask, func, name)
    if cast(int, mask.format.id) != vs.GRAY8:
        raise SacFormatError(f"the {name} is {mask.format.name}; accepted: GRAY8", func)


def check_same_shape(clip: vs.VideoNode, other: vs.VideoNode, what: str, func: str) -> None:
    """Check that two clips have the same width, height and length.

    Args:
        clip: First clip.
        other: Second clip.
        what: Name of the second clip, for the error message.
        func: Name of the calling function, for the error message.

    Raises:
        SacFormatError: Width, height or length differ.
    """
    for name in ("width", "height", "num_frames"):
        expected, got = getattr(clip, name), getattr(other, name)
        if expected != got:
            raise SacFormatError(f"the clip's {name} is {expected}, the {what}'s {got}; they must be equal", func)


def set_cache_limit(mebibytes: int = 64, *, give_back: bool = True) -> None:
    """Limit the memory that VapourSynth uses in this process.

    VapourSynth's own default for the frame caches is half of the machine's memory.

    Args:
        mebibytes: Limit of the frame caches, in MiB.
        give_back: Whether the C library returns the memory of a frame to the system as soon as the frame is freed. By
            default the C library keeps frames in an arena that only grows. Returned memory causes page faults when it
            is needed again; these take half of the processor time if a graph consists of large float frames only.
    """
    vs.core.max_cache_size = mebibytes
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20 if give_back else 1 << 25)


@contextlib.contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Set the number of VapourSynth threads within a ``with`` block; None leaves the number unchanged."""
    before = vs.core.num_threads
    vs.core.num_threads = threads or before
    try:
        yield
    finally:
        vs.core.num_threads = before


def delay(clip: vs.VideoNode, frames: int) -> vs.VideoNode:
    """Delay a clip by a number of frames; the length stays the same, and the first frame is repeated at the start."""
    frames = min(frames, clip.num_frames)
    head = clip[0] * frames
    return (head + clip[:-frames]) if clip.num_frames > frames else head


def pin_cache(clip: vs.VideoNode, frames: int) -> None:
    """Make a node keep its last `frames` frames, however much memory is in use.

    Streams that are pulled in lock-step share their upstream frames through caches. If VapourSynth emptied such a cache
    to make room for other nodes, its frames would be computed again.
    """
    clip.std.SetVideoCache(mode=1, fixedsize=1, maxsize=frames)


def awaited(future: Any, number: int, watch: StallWatch) -> Any:
    """Wait for a future that computes frame `number`, and return its result.

    Raises:
        SacError: A filter of this package fails.
        SacProcessError: The source or a filter hangs: the frame does not arrive within the limits of `core.watchdog`.
    """
    while True:
        try:
            result = future.result(_LOOK_SECONDS)
            break
        except vs.Error as error:
            raise error_of_filter(error) or error from None
        except TimeoutError:
            if why := watch.hangs():
                message = f"no frame {number} comes from the source or a filter, which {why}"
                raise SacProcessError(message, "frames") from None
    watch.restart()
    return result


def frames(clip: vs.VideoNode, ahead: int = AHEAD) -> Iterator[vs.VideoFrame]:
    """Iterate over the frames of a clip in order, like ``clip.frames()``, but raise an error if the graph hangs.

    Args:
        clip: The clip.
        ahead: Number of frames requested at a time.

    Yields:
        Frames. The caller must close them.

    Raises:
        SacError: A filter of this package fails.
        SacProcessError: The source or a filter hangs: a frame does not arrive within the limits of `core.watchdog`.
        vapoursynth.Error: Another filter fails.
    """
    asked: deque[Any] = deque(clip.get_frame_async(n) for n in range(min(ahead, clip.num_frames)))
    watch = StallWatch(own_activity())
    try:
        for number in range(clip.num_frames):
            frame = awaited(asked[0], number, watch)
            asked.popleft()
            if number + ahead < clip.num_frames:
                asked.append(clip.get_frame_async(number + ahead))
            if number % _TRIM_EVERY == _TRIM_EVERY - 1:
                with contextlib.suppress(AttributeError, OSError):
                    ctypes.CDLL(None).malloc_trim(0)
            yield frame
    finally:
        for late in asked:
            late.add_done_callback(lambda done: done.exception() or done.result().close())
