"""y4m from pipes: headers, frames, the end of the stream and its truncation."""

import io
import os
import threading
from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import open_clip
from vs_sac.core.errors import SacDamageWarning, SacFileError, SacFormatError, SacValueError, SacWarning
from vs_sac.pipeline.decoding import write_y4m
from vs_sac.source.pipe import is_pipe, open_pipe

from ..helpers import FORMATS, arrays_of, noise_clip


@pytest.fixture
def fifo(tmp_path):
    """Returns a function bytes → the path of a FIFO from which they come."""
    threads = []

    def make(content):
        path = tmp_path / f"fifo{len(threads)}"
        os.mkfifo(path)

        def write():
            try:
                with path.open("wb") as file:
                    file.write(content)
            except BrokenPipeError:
                pass

        threads.append(threading.Thread(target=write, daemon=True))
        threads[-1].start()
        return path

    yield make
    for thread in threads:
        thread.join(10)


def y4m(clip):
    file = io.BytesIO()
    write_y4m(clip, file)
    return file.getvalue()


@pytest.mark.parametrize("fmt", [*FORMATS, vs.GRAY8])
def test_the_frames_are_those_of_the_stream(fifo, fmt):
    clip = noise_clip(32, 16, 5, fmt)
    pipe = open_pipe(fifo(y4m(clip)))
    got = arrays_of(pipe.clip[:5])
    for wanted, frame in zip(arrays_of(clip), got, strict=True):
        for a, b in zip(wanted, frame, strict=False):
            np.testing.assert_array_equal(a, b)
    assert pipe.length() is None  # the end has not been seen
    with pipe.clip.get_frame(5):
        assert pipe.length() == 5
    assert pipe.report_damage() == ""
    assert pipe.clip.fps == 25


def test_the_header_gives_rate_colour_and_aspect(fifo):
    frame = b"FRAME Ip\n" + bytes(16 * 16 * 3 // 2)
    head = b"YUV4MPEG2 W16 H16 F30000:1001 It A8:9 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=FULL\n"
    with pytest.warns(SacWarning, match="interlaced"):
        pipe = open_pipe(fifo(head + frame))
    assert pipe.clip.fps == Fraction(30000, 1001)
    with pipe.clip.get_frame(0) as got:
        assert (got.props["_Range"], got.props["_ChromaLocation"]) == (1, 0)
        assert (got.props["_SARNum"], got.props["_SARDen"]) == (8, 9)


def test_a_rate_can_be_given_and_must_be_if_the_stream_has_none(fifo):
    stream = b"YUV4MPEG2 W16 H16 F0:0 C420\nFRAME\n" + bytes(384)
    with pytest.raises(SacValueError, match="--fps"):
        open_pipe(fifo(stream))
    assert open_pipe(fifo(stream), fps=Fraction(17)).clip.fps == 17


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", SacFileError, "is empty"),
        (b"\x1aE\xdf\xa3 matroska", SacFileError, "not y4m.*yuv4mpegpipe"),
        (b"YUV4MPEG2 W16 F25:1\nFRAME\n", SacFileError, "header"),
        (b"YUV4MPEG2 Wx H16 F25:1\nFRAME\n", SacFileError, "header"),
        (b"YUV4MPEG2 W16 H16 F25:1 C444alpha\nFRAME\n", SacFormatError, "444alpha"),
        (b"YUV4MPEG2 W15 H16 F25:1 C420\nFRAME\n", SacFormatError, "even"),
        (b"YUV4MPEG2 W0 H16 F25:1 C420\nFRAME\n", SacFormatError, "0x16"),
        (b"YUV4MPEG2 W16 H16 F25:1\n", SacFileError, "no frames"),
        (b"YUV4MPEG2 W16 H16 F25:1\nFRAME\nabc", SacFileError, "within frame 0, after 3 of 384 bytes"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(fifo, content, kind, message):
    with pytest.raises(kind, match=message) as raised:
        open_pipe(fifo(content))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("cut", "frames", "why"),
    [(100, 2, "ends within frame 2"), (384 + 3, 2, "ends within frame 2"), (384 + 6, 2, "")],
)
def test_a_truncated_stream_ends_before_the_frame(fifo, cut, frames, why):
    clip = noise_clip(16, 16, 3)
    pipe = open_pipe(fifo(y4m(clip)[:-cut]))
    with pipe.clip.get_frame(9):  # the last frame takes its place
        assert pipe.length() == frames
    if why:
        with pytest.warns(SacDamageWarning, match=why):
            pipe.report_damage()
    else:
        assert pipe.report_damage() == ""


def test_what_is_not_a_frame_ends_the_stream(fifo):
    pipe = open_pipe(fifo(y4m(noise_clip(16, 16, 2)) + b"noise" * 99))
    with pipe.clip.get_frame(2), pytest.warns(SacDamageWarning, match="instead of FRAME"):
        assert (pipe.length(), bool(pipe.report_damage())) == (2, True)


def test_strict_refuses_damage(fifo):
    pipe = open_pipe(fifo(y4m(noise_clip(16, 16, 3))[:-9]), strict=True)
    with pytest.raises(vs.Error, match="damaged"), pipe.clip.get_frame(2):
        pass


def test_a_part_of_a_stream(fifo):
    clip = noise_clip(16, 16, 30)
    part = open_pipe(fifo(y4m(clip))).part(0.4, None, 5)
    assert part.total == part.clip.num_frames == 5
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(arrays_of(part.clip), arrays_of(clip[10:15]), strict=True))
    late = open_pipe(fifo(y4m(clip))).part(1.0, 9.0, None)
    with late.clip.get_frame(20):
        assert late.length() == 5
    with pytest.raises(SacValueError, match="ends after 30 frames"):
        open_pipe(fifo(y4m(clip))).part(4.0, None, None)


def test_a_dropped_frame_is_an_error(fifo):
    pipe = open_pipe(fifo(y4m(noise_clip(16, 16, 40))))
    with pipe.clip.get_frame(30), pytest.raises(vs.Error, match="read once"), pipe.clip.get_frame(0):
        pass


def test_only_pipes_are_pipes(fifo, tmp_path):
    assert is_pipe("-")
    path = fifo(y4m(noise_clip(16, 16, 1)))
    assert is_pipe(path)
    assert not is_pipe(tmp_path)
    assert not is_pipe(noise_clip(16, 16, 1))
    with pytest.raises(SacFileError, match="encode and segment"):
        open_clip(path)
    open_pipe(path)
