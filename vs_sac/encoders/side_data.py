"""Regions of interest of a frame as FFmpeg's side data, attached without a filter graph.

PyAV has no function for it, so libavutil is called through ctypes. The address of a frame is the first C member of
PyAV's object. `SideData` checks that against what PyAV says of the same frame, and is not used where they differ; the
filter ``addroi`` does the same job more slowly. This module is imported by the ROI worker and needs no NumPy.
"""

import ctypes
import sys
from array import array
from collections.abc import Iterable
from itertools import chain
from typing import Any

import av
import av.frame
from av.sidedata.sidedata import Type

__all__ = ["REGION_BYTES", "Region", "SideData", "pack_regions"]

#: Size of ``struct AVRegionOfInterest`` (libavutil/frame.h): seven 32-bit integers, of which the first is this size.
REGION_BYTES = 28

#: The seven integers: `REGION_BYTES`, top, bottom, left and right in pixels, and numerator and denominator of the QP
#: offset as a share of the QP range.
type Region = tuple[int, int, int, int, int, int, int]

#: Offset of the first C member in an object of Cython: behind the object's header and the table of methods.
_FIRST_MEMBER = 2 * ctypes.sizeof(ctypes.c_void_p) + ctypes.sizeof(ctypes.c_void_p)


class _Frame(ctypes.Structure):
    """The beginning of ``struct AVFrame`` (libavutil/frame.h)."""

    _fields_ = (
        ("data", ctypes.c_void_p * 8),
        ("linesize", ctypes.c_int * 8),
        ("extended_data", ctypes.c_void_p),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
    )


class _SideData(ctypes.Structure):
    """The beginning of ``struct AVFrameSideData`` (libavutil/frame.h)."""

    _fields_ = (("type", ctypes.c_int), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t))


def pack_regions(regions: Iterable[Region]) -> bytes:
    """Return regions as an array of ``struct AVRegionOfInterest``."""
    return array("i", chain.from_iterable(regions)).tobytes()


class SideData:
    """Attaches regions of interest to frames. `usable` finds out whether it can."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._new, self._remove = library.av_frame_new_side_data, library.av_frame_remove_side_data
        self._new.restype = ctypes.c_void_p
        self._new.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        self._remove.restype = None
        self._remove.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self._type = Type.REGIONS_OF_INTEREST.value

    @classmethod
    def usable(cls, frame: av.VideoFrame) -> "SideData | None":
        """Return an instance if the library is found and a frame of PyAV is what it is expected to be, else None.

        Args:
            frame: Any frame.
        """
        if sys.implementation.name != "cpython" or array("i").itemsize != 4 or not _is_frame(frame):
            return None
        try:
            # A symbol that PyAV's own module lacks is looked up in the libavutil with which it is linked.
            found = cls(ctypes.CDLL(av.frame.__file__))
        except (OSError, AttributeError):
            return None
        # PyAV must read back what was attached.
        probe = av.VideoFrame(16, 16, "yuv420p")
        packed = pack_regions([(REGION_BYTES, 0, 16, 0, 16, 1, 2)])
        found.attach(probe, packed)
        read: Any = probe.side_data.get(Type.REGIONS_OF_INTEREST)
        return found if read is not None and bytes(read) == packed else None

    def attach(self, frame: av.VideoFrame, packed: bytes) -> None:
        """Replace the regions of a frame.

        Args:
            frame: The frame; it must be writable.
            packed: What `pack_regions` gives; may be empty.

        Raises:
            MemoryError: libavutil has no memory left.
        """
        address = _address(frame)
        self._remove(address, self._type)
        if not packed:
            return
        made = self._new(address, self._type, len(packed))
        if not made:
            raise MemoryError("no memory for the regions of a frame")
        ctypes.memmove(_SideData.from_address(made).data, packed, len(packed))


def _address(frame: av.VideoFrame) -> int:
    """Address of the AVFrame of a frame."""
    return ctypes.c_void_p.from_address(id(frame) + _FIRST_MEMBER).value or 0


def _is_frame(frame: av.VideoFrame) -> bool:
    """Whether what lies at the address of a frame is the frame: its size, first plane and length of a line."""
    kind: Any = av.frame.Frame
    if not hasattr(kind, "__pyx_vtable__") or kind.__basicsize__ < _FIRST_MEMBER + ctypes.sizeof(ctypes.c_void_p):
        return False
    plane: Any = frame.planes[0]
    address = _address(frame)
    if address % ctypes.alignment(_Frame) or address < 1 << 16:
        return False
    there = _Frame.from_address(address)
    return (there.width, there.height, there.data[0], there.linesize[0]) == (
        frame.width, frame.height, plane.buffer_ptr, plane.line_size,
    )  # fmt: skip
