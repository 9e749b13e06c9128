"""Every kind of source works sample for sample, or is refused with a sentence."""

import itertools
import subprocess
from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_sac import SacError, container, decode, encode, masks, open_clip, open_sac
from vs_sac.core.errors import SacWarning
from vs_sac.encoders import find_ffmpeg
from vs_sac.source.conversion import to_encodable

from ..helpers import arrays_of, mask_clip, noise_clip, props, same, write_ffv1

pytestmark = pytest.mark.encoder

BITS, CHROMA, RANGES, MATRICES = (
    (8, 10, 12),
    ("420", "422", "444", "gray"),
    ("tv", "pc"),
    ("bt709", "smpte170m", "bt2020nc"),
)

#: Codec → file, encoder's options, bits, chroma formats.
CODECS = {
    "h264": ("a.mkv", ["-c:v", "libx264", "-qp", "0"], (8, 10), CHROMA),
    "hevc": ("a.mkv", ["-c:v", "libx265", "-x265-params", "lossless=1:log-level=none"], BITS, CHROMA),
    "mpeg4": ("a.mp4", ["-c:v", "mpeg4", "-q:v", "1"], (8,), ("420",)),
    "mjpeg": ("a.mov", ["-c:v", "mjpeg", "-q:v", "1", "-strict", "-1"], (8,), ("420", "422", "444")),
    "ffv1": ("a.mkv", ["-c:v", "ffv1", "-strict", "-1"], BITS, CHROMA),
    "y4m": ("a.y4m", ["-strict", "-1"], BITS, CHROMA),
}


def pixel_format(bits, chroma):
    name = "gray" if chroma == "gray" else f"yuv{chroma}p"
    return name if bits == 8 else f"{name}{bits}le"


def pairs():
    """Cases in which every value meets every value of the other columns that it can meet."""
    cases = [
        (codec, bits, chroma, span, matrix)
        for codec, (_, _, some_bits, some_chroma) in CODECS.items()
        for bits, chroma, span, matrix in itertools.product(some_bits, some_chroma, RANGES, MATRICES)
    ]

    def met(case):
        return set(itertools.combinations(enumerate(case), 2))

    missing, chosen = set().union(*map(met, cases)), []
    while missing:
        chosen.append(max(cases, key=lambda case: len(met(case) & missing)))
        missing -= met(chosen[-1])
    return chosen


def make(out, bits, chroma, span, matrix, options, size="48x34", frames=3):
    labels = f"setparams=range={span}:colorspace={matrix}:color_primaries=bt709:color_trc=bt709"
    command = [
        find_ffmpeg(), "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=25", "-frames:v", str(frames),
        "-vf", f"format={pixel_format(bits, chroma)},{labels}", "-color_range", span, *options, str(out),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return out


def raw_planes(path, clip):
    """The frames by ffmpeg alone, in the layout of a clip of the same format."""
    raw = subprocess.check_output([find_ffmpeg(), "-v", "error", "-i", str(path), "-f", "rawvideo", "-"])
    samples = np.frombuffer(raw, np.uint8 if clip.format.bits_per_sample == 8 else "<u2")
    shapes = [plane.shape for plane in arrays_of(clip[:1])[0]]
    ends = np.cumsum([0, *[h * w for h, w in shapes] * clip.num_frames])
    planes = [samples[a:b] for a, b in itertools.pairwise(ends)]
    count = len(shapes)
    return [[planes[n * count + p].reshape(shapes[p]) for p in range(count)] for n in range(clip.num_frames)]


def coded(clip, out, **how):
    grid = np.random.default_rng(0).random((clip.num_frames, *masks.grid_size(clip.width, clip.height)[::-1])) < 0.5
    encode(clip, out, masks=mask_clip(grid), preset="ultrafast", encoder_args="--qp 0", **how)
    return open_sac(out)


@pytest.mark.parametrize(("codec", "bits", "chroma", "span", "matrix"), pairs(), ids=lambda v: str(v))
def test_a_source_comes_back_as_it_was(tmp_path, codec, bits, chroma, span, matrix):
    name, options, _, _ = CODECS[codec]
    source = make(tmp_path / name, bits, chroma, span, matrix, options)
    clip = open_clip(source)
    assert (clip.num_frames, clip.width, clip.height, clip.fps) == (3, 48, 34, 25)
    assert clip.format.bits_per_sample == min(bits, 10)
    assert (clip.format.subsampling_w, clip.format.subsampling_h) == {
        "420": (1, 1), "422": (1, 0), "444": (0, 0), "gray": (1, 1)}[chroma]  # fmt: skip
    if bits <= 10 and chroma != "gray" and codec != "y4m":
        np.testing.assert_equal(arrays_of(clip), raw_planes(source, clip))
    if codec not in ("y4m", "mpeg4", "mjpeg") and chroma != "gray":
        # y4m has no field for it; MPEG-4 and JPEG have less of it; grey has no matrix.
        assert props(clip)["_Matrix"] == {"bt709": 1, "smpte170m": 6, "bt2020nc": 9}[matrix]
        assert props(clip)["_Range"] == (span == "pc")
    back = coded(clip, tmp_path / "sac.mkv")
    assert same(back, clip)
    assert props(back) == props(clip)


@pytest.mark.parametrize("size", [(16, 16), (18, 34), (17, 17), (33, 50), (1226, 370), (4096, 2160)])
def test_sizes_and_shortest_lengths(tmp_path, size):
    """Odd sizes have no halved chroma, so they come as 4:4:4."""
    fmt = vs.YUV444P8 if size[0] % 2 or size[1] % 2 else vs.YUV420P8
    clip = noise_clip(32, 32, 1, fmt).resize.Point(*size) * (1 if size[0] > 1000 else 2)
    assert same(coded(clip, tmp_path / "a.mkv"), clip)


@settings(max_examples=5)
@given(data=st.data())
def test_any_size_from_a_macroblock_on(tmp_path_factory, data):
    width, height = (data.draw(st.integers(8, 40)) * 2 for _ in range(2))
    clip = noise_clip(width, height, 2)
    assert same(coded(clip, tmp_path_factory.mktemp("any") / "a.mkv"), clip)


def ffmpeg(*arguments, given=None):
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", *map(str, arguments)], input=given, check=True)


#: Pixel format of PNG files → largest value, format of the clip where the size is even and where it is not.
PNG = {
    "rgb24": (255, vs.YUV420P8, vs.YUV444P8),
    "rgb48be": (65535, vs.YUV420P10, vs.YUV444P10),
    "gray": (255, vs.YUV420P8, vs.YUV444P8),
    "gray16be": (65535, vs.YUV420P10, vs.YUV444P10),
}


@pytest.mark.parametrize("size", [(16, 16), (18, 34), (33, 17)])
@pytest.mark.parametrize("pixels", PNG)
def test_png_sequences(tmp_path, pixels, size):
    top, even, odd = PNG[pixels]
    shape = (3, size[1], size[0], *([3] if pixels.startswith("rgb") else []))
    samples = np.random.default_rng(0).integers(0, top + 1, shape).astype("u1" if top == 255 else ">u2")
    ffmpeg("-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{size[0]}x{size[1]}", "-i", "-", tmp_path / "%d.png",
           given=samples.tobytes())  # fmt: skip
    clip = open_clip(tmp_path)
    assert (clip.num_frames, clip.width, clip.height, clip.fps) == (3, *size, 25)
    assert clip.format.id == (odd if size[0] % 2 else even)
    bits = clip.format.bits_per_sample
    if pixels.startswith("rgb"):
        # ITU-R BT.709-6 items 3.2 and 3.4.
        luma = 2 ** (bits - 8) * (16 + 219 * (samples @ np.array([0.2126, 0.7152, 0.0722])) / top)
    else:
        luma = samples * ((2**bits - 1) / top)
    found = np.array([planes[0] for planes in arrays_of(clip)])
    np.testing.assert_allclose(found, luma, rtol=0, atol=0 if pixels == "gray" else 1)
    assert same(open_clip(tmp_path, sequential=True), clip)
    back = coded(clip, tmp_path / "sac.mkv")
    assert same(back, clip)
    assert props(back) == props(clip)


@pytest.mark.parametrize(
    "rate", ["30000/1001", "24000/1001", "17", "120", "59.94", "1/2", "7.3", "1000000/33333", "1/60", "1000"]
)
def test_frame_rates(tmp_path, rate):
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s=32x32:r={rate}", "-frames:v", 5, "-c:v", "ffv1", tmp_path / "in.avi")
    clip = open_clip(tmp_path / "in.avi")
    assert float(clip.fps) == pytest.approx(float(Fraction(rate)), rel=1e-4)
    back = coded(clip, tmp_path / "a.mkv")
    assert back.fps == clip.fps


def shown(path, track=0):
    with container.opened(path) as file:
        times = sorted(1000 * float(p.pts * p.time_base) for p in file.demux(video=track) if p.size)
    return [round(time - times[0]) for time in times]


@pytest.mark.parametrize("codec", ["x264", "x265"])
def test_a_varying_rate_keeps_its_times(tmp_path, codec):
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2", "-vf",
           "select='lt(n,8)+not(mod(n,3))'", "-fps_mode", "vfr", "-c:v", "mpeg4", tmp_path / "a.mp4")  # fmt: skip
    frames = [n for n in range(50) if n < 8 or n % 3 == 0]
    grid = np.random.default_rng(0).random((len(frames), 4, 4)) < 0.5
    encode(tmp_path / "a.mp4", tmp_path / "b.mkv", codec=codec, masks=mask_clip(grid))
    decode(tmp_path / "b.mkv", tmp_path / "c.mkv")
    wanted = [40 * n for n in frames]
    assert shown(tmp_path / "a.mp4") == wanted
    assert all(shown(tmp_path / "b.mkv", track) == wanted for track in range(3))
    assert shown(tmp_path / "c.mkv") == wanted
    assert same(open_sac(tmp_path / "b.mkv"), open_clip(tmp_path / "c.mkv"))
    content = (tmp_path / "b.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: int(len(content) * 0.95)])
    states = container.verify(container.probe(tmp_path / "cut.mkv"))
    assert all(state.frames >= 12 for state in states)
    assert any(state.frames < len(frames) for state in states)


def test_a_varying_rate_needs_no_program(tmp_path, monkeypatch):
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=2", "-vf", "select='lt(n,8)+not(mod(n,3))'", "-fps_mode", "vfr",
           "-c:v", "mpeg4", tmp_path / "a.mp4")  # fmt: skip
    monkeypatch.setenv("PATH", "")
    encode(tmp_path / "a.mp4", tmp_path / "b.mkv", masks=mask_clip(np.ones((22, 4, 4), np.bool_)))
    assert shown(tmp_path / "b.mkv") == pytest.approx(shown(tmp_path / "a.mp4"), abs=1)


def test_a_raw_stream_without_a_rate_gets_25(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=32x32:r=25", "-frames:v", 5, "-c:v", "libx264", "-f", "h264",
           tmp_path / "a.h264")  # fmt: skip
    assert open_clip(tmp_path / "a.h264").fps == 25
    assert same(open_clip(tmp_path / "a.h264", sequential=True), open_clip(tmp_path / "a.h264"))


def test_y4m_whose_header_has_no_rate_gets_25(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=32x32:r=25", "-frames:v", 3, "-pix_fmt", "yuv420p", tmp_path / "a.y4m")
    content = (tmp_path / "a.y4m").read_bytes()
    (tmp_path / "b.y4m").write_bytes(content.replace(b"F25:1", b"F0:0", 1))
    clip = open_clip(tmp_path / "b.y4m")
    assert clip.fps == 25
    assert same(clip, open_clip(tmp_path / "a.y4m"))
    assert coded(clip, tmp_path / "sac.mkv").fps == 25


@pytest.mark.parametrize("how", [{}, {"sequential": True}], ids=str)
def test_a_clock_in_place_of_a_rate_is_refused_before_anything_is_coded(tmp_path, how):
    source, out = tmp_path / "a.mp4", tmp_path / "out"
    out.mkdir()
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=32x32:r=90000", "-frames:v", 5, "-c:v", "libx264", source)
    assert open_clip(source, **how).fps == 90000
    assert open_clip(source, fps="30", **how).fps == 30
    mask = mask_clip(np.ones((5, 2, 2), np.bool_))
    with pytest.raises(SacError, match=r"a frame rate of 90000; accepted: .* --fps"):
        encode(source, out / "a.mkv", masks=mask)
    assert not list(out.iterdir())
    encode(source, out / "a.mkv", masks=mask, fps="30")
    assert open_sac(out / "a.mkv").fps == 30
    assert np.ptp(np.diff(shown(out / "a.mkv"))) <= 1


def test_a_clip_without_a_rate_is_refused(tmp_path):
    clip = vs.core.std.BlankClip(width=32, height=32, format=vs.YUV420P8, length=2, fpsnum=0, fpsden=0)
    with pytest.raises(SacError, match="a frame rate of 0; accepted"):
        encode(clip, tmp_path / "a.mkv", masks=mask_clip(np.ones((2, 2, 2), np.bool_)))


def test_rotated_video_stands_upright(tmp_path):
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=25", "-frames:v", 3, "-c:v", "libx264", "-qp", "0", tmp_path / "a.mp4"
    )
    # The display matrix of a quarter turn in the track's header (ISO/IEC 14496-12, 8.3.2).
    content = (tmp_path / "a.mp4").read_bytes()
    one, none, unit = (1 << 16).to_bytes(4), bytes(4), (1 << 30).to_bytes(4)
    matrix = one + none * 3 + one + none * 3 + unit
    header = content.index(b"tkhd")
    at = content.index(matrix, header)
    turned = none + one + none + (2**32 - (1 << 16)).to_bytes(4) + none * 2 + (48 << 16).to_bytes(4) + none + unit
    (tmp_path / "turned.mp4").write_bytes(content[:at] + turned + content[at + len(matrix) :])
    clip = open_clip(tmp_path / "turned.mp4")
    assert (clip.width, clip.height) == (48, 64)
    assert same(open_clip(tmp_path / "turned.mp4", sequential=True), clip)
    np.testing.assert_equal(arrays_of(clip), raw_planes(tmp_path / "turned.mp4", clip))
    assert same(coded(clip, tmp_path / "sac.mkv"), clip)


def test_pixels_that_are_not_square_stay_so(tmp_path):
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=64x48:r=25",
        "-frames:v",
        3,
        "-vf",
        "setsar=4/3",
        "-c:v",
        "ffv1",
        tmp_path / "a.mkv",
    )
    for mode in ("two-stream", "single-stream"):
        clip = open_clip(tmp_path / "a.mkv")
        encode(clip, tmp_path / "b.mkv", mode=mode, masks=mask_clip(np.ones((3, 3, 4), np.bool_)), force=True)
        decode(tmp_path / "b.mkv", tmp_path / "c.mkv", force=True)
        for again in (
            open_sac(tmp_path / "b.mkv"),
            open_clip(tmp_path / "c.mkv"),
            open_clip(tmp_path / "c.mkv", source="bs"),
        ):
            assert same(again, open_sac(tmp_path / "b.mkv"))
            with again.get_frame(0) as frame:
                assert Fraction(int(frame.props["_SARNum"]), int(frame.props["_SARDen"])) == Fraction(4, 3)


def test_interlaced_video_is_coded_as_it_is_and_that_is_said(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=50", "-frames:v", 6, "-vf", "tinterlace=4,fieldorder=tff",
           "-flags", "+ilme+ildct", "-pix_fmt", "yuv420p", "-c:v", "mpeg2video", tmp_path / "a.mpg")  # fmt: skip
    with pytest.warns(SacWarning, match=r"a\.mpg is interlaced"):
        clip = open_clip(tmp_path / "a.mpg")
    np.testing.assert_equal(arrays_of(clip), raw_planes(tmp_path / "a.mpg", clip))
    assert same(coded(clip, tmp_path / "sac.mkv"), clip)


def test_audio_is_kept_and_subtitles_and_data_are_not(tmp_path):
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    sources = ["-f", "lavfi", "-i", "testsrc=s=64x48:d=1", "-f", "lavfi", "-i", "sine=d=1", "-i", tmp_path / "a.srt"]
    # The video is neither the first track nor the last.
    maps = ["-map", "2", "-map", "1", "-map", "0", "-map", "1"]
    attached = ["-attach", tmp_path / "a.srt", "-metadata:s:t", "mimetype=text/plain"]
    ffmpeg(*sources, *maps, *attached, "-c:v", "mpeg4", "-c:a", "flac", "-c:s", "srt", tmp_path / "a.mkv")
    encode(tmp_path / "a.mkv", tmp_path / "sac.mkv", masks=mask_clip(np.ones((25, 3, 4), np.bool_)))
    info = container.probe(tmp_path / "sac.mkv")
    assert info.audio == 2
    with container.opened(tmp_path / "sac.mkv") as file:
        assert [stream.type for stream in file.streams] == ["video"] * 3 + ["audio"] * 2 + ["attachment"]
        assert file.streams[-1].metadata["filename"] == "sac.json"
    decode(tmp_path / "sac.mkv", tmp_path / "back.mkv")
    for name in ("a.mkv", "back.mkv"):
        ffmpeg("-i", tmp_path / name, "-map", "0:a:1", "-f", "s16le", tmp_path / f"{name}.pcm")
    assert (tmp_path / "a.mkv.pcm").read_bytes() == (tmp_path / "back.mkv.pcm").read_bytes()


@pytest.mark.parametrize("tools", ["native", "pip"])
def test_a_track_of_data_is_passed_over(tmp_path, monkeypatch, tools):
    """A timecode, as cameras write it; an AAC track lies between it and the video."""
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:d=1", "-f", "lavfi", "-i", "sine=d=1", "-timecode", "01:00:00:00",
           "-c:v", "mpeg4", "-c:a", "aac", tmp_path / "a.mov")  # fmt: skip
    if tools == "pip":
        monkeypatch.setenv("PATH", "")
    with container.opened(tmp_path / "a.mov") as file:
        assert [stream.type for stream in file.streams] == ["video", "audio", "data"]
    clip = open_clip(tmp_path / "a.mov")
    mask = mask_clip(np.ones((25, 3, 4), np.bool_))
    encode(tmp_path / "a.mov", tmp_path / "sac.mkv", masks=mask, encoder_args="--qp 0")
    assert same(open_sac(tmp_path / "sac.mkv"), clip)
    with container.opened(tmp_path / "sac.mkv") as file:
        assert [stream.type for stream in file.streams] == ["video"] * 3 + ["audio", "attachment"]


def test_samples_that_are_not_integers_are_refused(tmp_path):
    clip = noise_clip(32, 32, 1).resize.Bicubic(format=vs.YUV444PS)
    with pytest.raises(SacError, match="accepted: integer samples"):
        to_encodable(clip)


def test_more_than_ten_bits_are_dithered_to_ten_and_no_more(tmp_path):
    clip = noise_clip(48, 34, 2, vs.YUV420P12)
    got = open_clip(write_ffv1(clip, tmp_path / "a.mkv"))
    for ten, twelve in zip(arrays_of(got), arrays_of(clip), strict=True):
        for a, b in zip(ten, twelve, strict=True):
            assert np.abs(a.astype(int) - b / 4).max() <= 1
