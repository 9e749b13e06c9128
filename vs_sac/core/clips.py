"""Small helpers on VapourSynth clips that several modules need."""

import contextlib
import ctypes
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

import vapoursynth as vs

from .arguments import check_clip
from .errors import SacFormatError, SacMissingError, SacProcessError, error_of_filter
from .watchdog import StallWatch, own_activity

#: Seconds between looks at a frame that does not come.
_LOOK_SECONDS = 1.0

#: glibc's mallopt parameter (malloc.h).
_M_MMAP_THRESHOLD = -3

#: Frames after which the C library is made to give freed memory back to the system. It does not reuse what aligned
#: frames leave by itself: 0.2 MiB a frame of 1280x720, without end.
_TRIM_EVERY = 64

#: Frames asked for at a time: enough to overlap the stages, few enough to stay in caches.
AHEAD = 2

__all__ = ["AHEAD", "awaited", "check_constant_format", "check_mask", "check_same_shape", "delay", "frames",
           "limited_threads", "pin_cache", "plugin", "set_cache_limit"]  # fmt: skip

#: Plugin namespace → the pip package that brings it.
_PACKAGES = {
    "bs": "vapoursynth-bestsource",
    "ffms2": "vapoursynth-ffms2",
    "lsmas": "vapoursynth-lsmas",
    "mv": "vapoursynth-mvtools",
    "ort": "vapoursynth-mlrt-ort",
    "ov": "vapoursynth-mlrt-ov",
}


def plugin(namespace: str, func: str) -> Any:
    """The plugin loaded under a namespace.

    Raises:
        SacMissingError: It is not loaded; the message names the package that brings it.
    """
    # Plugins that fail to load never raise, so presence is all there is to ask for.
    if not hasattr(vs.core, namespace):
        package = _PACKAGES.get(namespace, namespace)
        raise SacMissingError(f"VapourSynth plugin {namespace!r} is missing: pip install {package}", func)
    return getattr(vs.core, namespace)


def check_constant_format(clip: vs.VideoNode, func: str, name: str = "clip") -> None:
    """Refuse clips whose format or size varies, and what is no clip.

    Raises:
        SacFormatError: It varies.
        SacTypeError: It is no clip; the message names the argument.
    """
    check_clip(clip, name, func)
    # Such a clip has a truthy format with id 0.
    if clip.format.color_family == vs.UNDEFINED or 0 in (clip.width, clip.height):
        raise SacFormatError(f"the {name}'s format or size changes midway; only constant ones are accepted", func)


def check_mask(mask: vs.VideoNode, func: str, name: str = "mask") -> None:
    """Refuse masks that are not 8-bit grey, and what is no clip.

    Raises:
        SacFormatError: It is something else.
        SacTypeError: It is no clip; the message names the argument.
    """
    check_constant_format(mask, func, name)
    if cast(int, mask.format.id) != vs.GRAY8:
        raise SacFormatError(f"the {name} is {mask.format.name}; accepted: GRAY8", func)


def check_same_shape(clip: vs.VideoNode, other: vs.VideoNode, what: str, func: str) -> None:
    """Refuse clips of different width, height or length.

    Raises:
        SacFormatError: They differ.
    """
    for name in ("width", "height", "num_frames"):
        expected, got = getattr(clip, name), getattr(other, name)
        if expected != got:
            raise SacFormatError(f"the clip's {name} is {expected}, the {what}'s {got}; they must be equal", func)


def set_cache_limit(mebibytes: int = 64, *, give_back: bool = True) -> None:
    """Bound the memory VapourSynth uses in this process; its cache's default is half of the machine's memory.

    Args:
        mebibytes: Limit of the frame caches.
        give_back: Whether the C library returns frames to the system as they are freed. By its own heuristic it
            keeps them in an arena that only grows; on the other hand a frame that was returned costs page faults
            when it is needed again, half of the processor time where a graph is all large float frames.
    """
    vs.core.max_cache_size = mebibytes
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20 if give_back else 1 << 25)


@contextlib.contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Let the core use so many threads inside of the block; None leaves it as it is."""
    before = vs.core.num_threads
    vs.core.num_threads = threads or before
    try:
        yield
    finally:
        vs.core.num_threads = before


def delay(clip: vs.VideoNode, frames: int) -> vs.VideoNode:
    """The clip `frames` later, of the same length; its first frame stands in before its start."""
    frames = min(frames, clip.num_frames)
    head = clip[0] * frames
    return (head + clip[:-frames]) if clip.num_frames > frames else head


def pin_cache(clip: vs.VideoNode, frames: int) -> None:
    """Make a node keep its last frames whatever the memory in use.

    Streams that are pulled in lock-step share their upstream frames through caches; one that was emptied by other
    nodes' needs would compute its frames again.
    """
    clip.std.SetVideoCache(mode=1, fixedsize=1, maxsize=frames)


def awaited(future: Any, number: int, watch: StallWatch) -> Any:
    """The result of a future that makes frame `number`.

    Raises:
        SacError: What a filter of this package raised.
        SacProcessError: It does not come, and nothing is being computed.
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
    """The frames of a clip in order, as ``clip.frames()`` gives them, but with an end where the graph hangs.

    Args:
        clip: The clip.
        ahead: Frames asked for at a time.

    Yields:
        Frames, which the caller closes.

    Raises:
        SacError: A filter of this package fails.
        SacProcessError: No frame comes, and nothing is being computed; see `watchdog`.
        vapoursynth.Error: A filter of another package fails.
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
