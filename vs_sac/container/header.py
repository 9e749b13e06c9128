"""Colour and HDR metadata in a Matroska track header, which PyAV copies from another file but cannot set itself.

FFmpeg's multiplexer takes these fields from the description of a stream. PyAV can only copy such a description from the
stream of an open file. Therefore a file that consists of a header is made in memory, completed, and opened.
"""

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import av

from ..core.errors import SacWarning
from ..core.hdr import HdrMetadata, side_data_props
from ..encoders.base import PictureFormat

__all__ = ["described"]

# Elements of Matroska (RFC 9559).
_SEGMENT, _INFO, _TRACKS, _ENTRY, _VIDEO, _COLOUR = 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0x55B0
_CLUSTER, _TIMESTAMP = 0x1F43B675, 0xE7
_MATRIX, _SITING_ACROSS, _SITING_DOWN, _RANGE, _TRANSFER, _PRIMARIES = 0x55B1, 0x55B7, 0x55B8, 0x55B9, 0x55BA, 0x55BB
_MAX_CLL, _MAX_FALL, _MASTERING = 0x55BC, 0x55BD, 0x55D0

#: x and y of red, green, blue and white; highest and lowest luminance.
_CHROMATICITIES, _LUMINANCES = range(0x55D1, 0x55D9), (0x55D9, 0x55DA)

#: Chroma sample location types of ITU-T H.273 → Matroska's numbers, horizontal and vertical; it has no others.
_SITINGS = {0: (1, 2), 1: (2, 2), 2: (1, 1), 3: (2, 1)}


@contextlib.contextmanager
def described(stream: Any, picture: PictureFormat | None) -> Iterator[Any]:
    """Return a stream as the template of a track that states the colour and the HDR metadata of a picture.

    Args:
        stream: Video stream of an open file.
        picture: Format of the picture; with None, the track states what the stream does.

    Returns:
        Context manager of `stream` if it states all this already, else of a stream that does.
    """
    header = _completed(_plain_header(stream), picture) if picture else None
    if header is None:
        yield stream
        return
    with av.open(io.BytesIO(header)) as file:
        template = file.streams.video[0]
        template.codec_context.framerate = stream.codec_context.framerate
        if picture and template.codec_context.name == "ffv1":
            _check(template.codec_context.coded_side_data, picture.hdr)
        yield template


def _check(stated: Mapping[Any, bytes], hdr: HdrMetadata | None) -> None:
    """Warn of metadata that FFmpeg does not take from a track; H.264 and H.265 state it in the stream, FFV1 cannot."""
    kept = HdrMetadata.of(side_data_props(stated.get("mastering_display_metadata"), stated.get("content_light_level")))
    if kept != hdr:
        message = f"the decoded file cannot state all HDR metadata: {hdr} becomes {kept}"
        warnings.warn(message, SacWarning, stacklevel=2)


def _plain_header(stream: Any) -> bytes:
    """A Matroska file with a track like `stream` and without frames."""
    content = io.BytesIO()
    with av.open(content, "w", format="matroska", options={"fflags": "+bitexact"}) as file:
        file.add_stream_from_template(stream)
        file.start_encoding()
    return content.getvalue()


def _completed(header: bytes, picture: PictureFormat) -> bytes | None:
    """The header with the fields of a picture; None if it has them already."""
    kept = b""
    for number, body in _elements(header):
        if number == _SEGMENT:
            # Only these two are needed; the others contain positions, which will not hold.
            body = b"".join(_element(n, part) for n, part in _elements(body) if n in (_INFO, _TRACKS))
            # FFmpeg reads a file up to its first cluster.
            body += _element(_CLUSTER, _element(_TIMESTAMP, b"\0"))
        kept += _element(number, body)
    path = (_SEGMENT, _TRACKS, _ENTRY, _VIDEO, _COLOUR)
    made = _with_fields(kept, path, _fields(picture))
    return made if made != _with_fields(kept, path, {}) else None


def _fields(picture: PictureFormat) -> dict[int, bytes]:
    """The elements of a picture's colour by their numbers."""
    whole = {_MATRIX: picture.matrix, _TRANSFER: picture.transfer, _PRIMARIES: picture.primaries,
             _RANGE: 2 if picture.full_range else 1}  # fmt: skip
    if picture.chroma_location in _SITINGS:
        whole |= dict(zip((_SITING_ACROSS, _SITING_DOWN), _SITINGS[picture.chroma_location], strict=True))
    hdr = picture.hdr or HdrMetadata()
    if hdr.light:
        whole |= dict(zip((_MAX_CLL, _MAX_FALL), hdr.light, strict=True))
    fields = {number: value.to_bytes(max(1, (value.bit_length() + 7) // 8)) for number, value in whole.items()}
    display = [*zip(_CHROMATICITIES, hdr.in_chromaticity, strict=False), *zip(_LUMINANCES, hdr.in_nits, strict=False)]
    if display:
        fields[_MASTERING] = b"".join(_element(number, struct.pack(">d", value)) for number, value in display)
    return fields


def _with_fields(data: bytes, path: Sequence[int], fields: Mapping[int, bytes]) -> bytes:
    """Replace the elements below the first path of masters, which are made if they are missing."""
    if not path:
        had = dict(_elements(data))
        return b"".join(_element(number, body) for number, body in (had | dict(fields)).items())
    parts, found = [], False
    for number, body in _elements(data):
        inside = not found and number == path[0]
        parts.append(_element(number, _with_fields(body, path[1:], fields) if inside else body))
        found = found or inside
    if not found:
        parts.append(_element(path[0], _with_fields(b"", path[1:], fields)))
    return b"".join(parts)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the numbers and contents of EBML elements (RFC 8794)."""
    at = 0
    while at < len(data):
        number, at = _number(data, at, marked=True)
        size, at = _number(data, at, marked=False)
        yield number, data[at : at + size]
        at += size


def _number(data: bytes, at: int, *, marked: bool) -> tuple[int, int]:
    """Read a number of variable length, with or without the bit that marks its length; also return where it ends."""
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length])
    return value if marked else value & ((1 << 7 * length) - 1), at + length


def _element(number: int, body: bytes) -> bytes:
    """An EBML element; its size always has eight bytes, so that equal content has equal bytes."""
    return number.to_bytes((number.bit_length() + 7) // 8) + (1 << 56 | len(body)).to_bytes(8) + body
