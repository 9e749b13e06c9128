"""The ROI worker and `RoiEncoder`: rectangles, offsets as they arrive in the stream, options, messages."""

import io
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st

from vs_sac import SacError
from vs_sac.core.choices import Codec
from vs_sac.core.macroblocks import BLOCK, grid_size
from vs_sac.encoders import EncoderSettings, PictureFormat, RoiEncoder, parse_args, roi_worker
from vs_sac.encoders.roi_worker import RoiWriter, StreamFormat, grouped, regions
from vs_sac.encoders.side_data import SideData
from vs_sac.encoders.wire import Task

from ..helpers import noise_clip

pytestmark = pytest.mark.encoder


grids = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0, 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).random(drawn[:2]) < drawn[3]
)


def lines(grid):
    """A grid as the worker has it: a mask, or values."""
    values = np.where(grid, 255, 0).astype(np.uint8) if grid.dtype == np.bool_ else grid
    return [row.tobytes() for row in values]


def task(pair=(0, 0), **more):
    return Task(codec="libx264", options=(), roi_offset=Fraction(pair[0]), non_roi_offset=Fraction(pair[1]), **more)


@given(grids, st.sampled_from([(0, 9), (-9, 0), ("-4.5", "5.25"), (3, 3), (0, 0)]), st.integers(1, 16), st.booleans())
def test_regions_give_every_block_its_offset_once(grid, pair, cut, mapped):
    if mapped:
        grid = np.random.default_rng(cut).choice([118, 125, 128, 129, 140], grid.shape).astype(np.uint8)
        expected = (grid.astype(float) - 128) / 2
    else:
        expected = np.where(grid, *(float(Fraction(offset)) for offset in pair))
    width, height = grid.shape[1] * 16 - cut + 1, grid.shape[0] * 16 - cut + 1
    found, times = np.zeros((height, width)), np.zeros((height, width), int)
    for _, top, bottom, left, right, above, below in regions(lines(grid), task(pair), width, height, 51):
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width
        found[top:bottom, left:right] = above / below * 51
        times[top:bottom, left:right] += 1
    full = expected.repeat(16, 0).repeat(16, 1)[:height, :width]
    np.testing.assert_allclose(found, full)
    np.testing.assert_array_equal(times, full != 0)


def test_equal_rows_are_one_region():
    grid = np.zeros((6, 9), np.bool_)
    assert regions(lines(grid), task((4, 0)), 144, 96, 51) == []
    grid[1:5, 2:7] = True
    assert regions(lines(grid), task((4, 0)), 144, 96, 51) == [(28, 16, 80, 32, 112, 4, 51)]


def coded(codec, options, grids, group=1, fmt="yuv420p"):
    """Packets of three frames of noise with these grids."""
    rng = np.random.default_rng(1)
    own = Task(codec=codec, options=options, roi_offset=Fraction(-3), non_roi_offset=Fraction("4.5"), group=group)
    file = io.BytesIO()
    writer = RoiWriter(own, StreamFormat(width=128, height=72, fps=Fraction(25), pixel_format=fmt), file)
    layout = av.VideoFormat(fmt, 128, 72)
    bits = layout.components[0].bits
    samples = 128 * 72 + 2 * layout.chroma_width() * layout.chroma_height()
    for grid in grids:
        noise = rng.integers(0, 1 << bits, samples, np.uint8 if bits == 8 else np.uint16)
        writer.write(writer.read(io.BytesIO(noise.tobytes())), lines(grid))
    writer.close()
    return file.getvalue()


@pytest.mark.parametrize(("codec", "fmt"), [("libx264", "yuv420p"), ("libx264", "yuv420p10le"),
                                            ("libx265", "yuv420p")])  # fmt: skip
def test_side_data_and_filters_give_the_same_stream(monkeypatch, codec, fmt):
    rng = np.random.default_rng(2)
    options = (("preset", "ultrafast"), (f"{codec[3:]}-params", "aq-mode=1:aq-strength=1:crf=20:log-level=none"))
    masks = [rng.random((5, 8)) < 0.5 for _ in range(3)]
    maps = [rng.integers(112, 145, (5, 8), np.uint8) for _ in range(3)]
    for grids in (masks, maps, [*masks[:2], np.zeros((5, 8), np.bool_)]):
        made = []
        for direct in (True, False):
            monkeypatch.setattr(roi_worker, "DIRECT", direct)
            made.append(coded(codec, options, grids, 2 if codec == "libx265" else 1, fmt))
        assert made[0] == made[1]
    assert coded(codec, options, masks) != coded(codec, options, masks[::-1])


def test_frames_of_pyav_are_what_side_data_expects():
    assert SideData.usable(av.VideoFrame(64, 48, "yuv420p")) is not None


def test_the_worker_agrees_on_the_macroblock_and_imports_nothing_heavy():
    assert Task(codec="libx264", options=()).block == BLOCK
    code = f"import runpy, sys; runpy.run_path({roi_worker.__file__!r}); print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-P", "-c", code], text=True).split()
    assert not {"vapoursynth", "torch", "onnxruntime", "numpy", "cyclopts", "rich"} & set(loaded)
    own = {name for name in loaded if name.partition(".")[0] == "vs_sac"}
    packages = {"vs_sac", "vs_sac.core", "vs_sac.encoders"}
    assert own == packages | {"vs_sac.core.lazy", "vs_sac.core.macroblocks", "vs_sac.encoders.side_data",
                               "vs_sac.encoders.wire"}  # fmt: skip


@pytest.mark.parametrize("fmt", ["yuv420p", "yuv420p10le", "yuv422p", "yuv444p10le"])
@pytest.mark.parametrize("offset", ["4", "-7", "8.5"])
def test_offsets_are_exact_quantizers(fmt, offset):
    """What the decoder finds in the bitstream, block by block; AQ is on, and too weak to be seen."""
    options = (("x264-params", "crf=20:aq-strength=0.0001:mbtree=0"),)
    gap = Fraction(offset)
    task = Task(codec="libx264", options=options, roi_offset=Fraction(0), non_roi_offset=gap)
    picture_format = StreamFormat(width=128, height=72, fps=Fraction(25), pixel_format=fmt)
    columns, rows = grid_size(128, 72)
    layout = av.VideoFormat(fmt, 128, 72)
    bits = layout.components[0].bits
    samples = 128 * 72 + 2 * layout.chroma_width() * layout.chroma_height()
    rng = np.random.default_rng(0)
    dtype = np.uint8 if bits == 8 else np.uint16
    file = io.BytesIO()
    writer = RoiWriter(task, picture_format, file)
    asked = [rng.random((rows, columns)) < 0.5 for _ in range(3)]
    for grid in asked:
        picture = io.BytesIO(rng.integers(0, 1 << bits, samples, dtype).tobytes())
        writer.write(writer.read(picture), lines(grid))
    writer.close()
    file.seek(0)
    with av.open(file) as video:
        video.streams.video[0].codec_context.options = {"export_side_data": "venc_params"}
        maps = [frame.side_data["VIDEO_ENC_PARAMS"].qp_map() for frame in video.decode(video=0)]
    for quantizers, grid in zip(maps, asked, strict=True):
        (inside,), (outside,) = np.unique(quantizers[grid]), np.unique(quantizers[~grid])
        assert outside - inside == pytest.approx(float(gap), abs=0.5)


def test_half_quantizers_of_a_map_arrive():
    """The quantizers are those of one base quantizer, which is no whole number, plus the offsets, rounded."""
    options = (("x264-params", "crf=20.2:aq-strength=0.0001:mbtree=0"),)
    # x264 keeps the quantizer of the macroblock before if the new one differs by 1, so neighbours differ by more.
    steps = np.array([-9, 4, -3, 3, -6, 5, -1, 8])
    grid = np.tile(128 + steps, (5, 1)).astype(np.uint8)
    file = io.BytesIO(coded("libx264", options, [grid] * 3))
    with av.open(file) as video:
        video.streams.video[0].codec_context.options = {"export_side_data": "venc_params"}
        maps = [frame.side_data["VIDEO_ENC_PARAMS"].qp_map() for frame in video.decode(video=0)]
    for quantizers in maps:
        first = quantizers[0].astype(int)
        assert (quantizers == first).all()
        bases = [base for base in np.arange(first[0] + 3.5, first[0] + 5.5, 0.01)
                 if np.array_equal(np.floor(base + steps / 2 + 0.5), first)]  # fmt: skip
        assert bases


@pytest.mark.slow_except(r"^x264-medium--True|^x264.*qp|^x265-medium-(-True|--lossless)")
@pytest.mark.parametrize(
    ("codec", "preset", "args", "obeys"),
    [
        ("x264", "medium", "", True),
        ("x264", "ultrafast", "", True),
        ("x264", "medium", "--tune ssim --no-mbtree --deblock -1:-1", True),
        ("x264", "medium", "--aq-mode 0 --no-mbtree", False),
        ("x264", "medium", "--aq-mode 0", False),
        ("x264", "medium", "--qp 22", False),
        ("x264", "medium", "--tune psnr", False),
        ("x265", "medium", "", True),
        ("x265", "superfast", "--qg-size 32", True),
        ("x265", "medium", "--aq-mode 0", False),
        ("x265", "medium", "--lossless", False),
    ],
)
def test_an_encoder_that_ignores_offsets_is_found_out(codec, preset, args, obeys):
    clip = noise_clip(64, 64, 1, vs.YUV420P10)
    settings = EncoderSettings(codec=Codec(codec), preset=preset, args=parse_args(args))
    encoder = RoiEncoder(Codec(codec), Fraction(9))
    if obeys:
        encoder.check(PictureFormat.of(clip), settings)
        return
    with pytest.raises(SacError, match=r"ignores QP offsets.*--aq-mode 0") as caught:
        encoder.check(PictureFormat.of(clip), settings)
    assert "\n" not in str(caught.value)
    RoiEncoder(Codec(codec), Fraction(0)).check(PictureFormat.of(clip), settings)  # nothing to obey


@pytest.mark.parametrize(
    ("codec", "args", "group"),
    [("x264", "", 1), ("x265", "", 2), ("x265", "--qg-size 16", 1), ("x265", "--qg-size 64", 4),
     ("x265", "--ctu 16", 1), ("x265", "--qg-size 8", 1)],
)  # fmt: skip
def test_offsets_fill_the_encoders_quantization_groups(tmp_path, codec, args, group):
    picture = PictureFormat.of(noise_clip(64, 64, 1))
    settings = EncoderSettings(codec=Codec(codec), args=parse_args(args))
    command = RoiEncoder(Codec(codec), Fraction(9)).command(picture, settings, 23, tmp_path / "a.mkv")
    assert {"--non-roi-offset=9", "--roi-offset=0", f"--group={group}"} <= set(command)


def test_x265_searches_to_the_bottom_unless_the_user_says_otherwise(tmp_path):
    picture = PictureFormat.of(noise_clip(64, 64, 1))
    settings = EncoderSettings(codec=Codec.X265, args=parse_args("--rskip 2"))
    command = " ".join(RoiEncoder(Codec.X265, Fraction(9)).command(picture, settings, 23, tmp_path / "a.mkv"))
    assert "crf=23:rskip=0:rskip=2" in command
    plain = RoiEncoder(Codec.X265, Fraction(0), plain=True).command(picture, settings, 23, tmp_path / "a.mkv")
    assert "rskip=0" not in " ".join(plain)


def test_a_map_keeps_the_users_options(tmp_path):
    picture = PictureFormat.of(noise_clip(64, 64, 1))

    def command(codec, args):
        settings = EncoderSettings(codec=Codec(codec), args=parse_args(args))
        return " ".join(RoiEncoder(Codec(codec), Fraction(0), map=True).command(picture, settings, 23, tmp_path / "a"))

    assert "chroma-qp-offset=-6:aq-mode=2" in command("x264", "")
    assert "aq-strength" not in command("x264", "")
    assert "chroma-qp-offset=-6:aq-mode=2:chroma-qp-offset=2:aq-mode=1" in command(
        "x264", "--chroma-qp-offset 2 --aq-mode 1"
    )
    # psnr switches adaptive quantization off, which the probe then finds out.
    assert "aq-mode" not in command("x264", "--tune psnr")
    assert "cbqpoffs=-6:crqpoffs=-6" in command("x265", "")
    with pytest.raises(SacError, match="ignores QP offsets"):
        settings = EncoderSettings(codec=Codec.X264, args=parse_args("--tune psnr"))
        RoiEncoder(Codec.X264, Fraction(0), map=True).check(picture, settings)


@given(grids, st.integers(1, 4))
def test_groups_hold_all_of_the_roi_and_nothing_mixed(grid, side):
    grown = np.array([np.frombuffer(line, np.uint8) == 255 for line in grouped(lines(grid), side)])
    assert grown.shape == grid.shape
    for top in range(0, grid.shape[0], side):
        for left in range(0, grid.shape[1], side):
            square = np.s_[top : top + side, left : left + side]
            assert (grown[square] == grid[square].any()).all()


@pytest.mark.parametrize(
    ("fed", "said"),
    [
        (b"", "no y4m"),
        (b"YUV4MPEG2 W16 H16 F25:1 C411\n", "no y4m"),
        (b"YUV4MPEG2 W16 H16 F25:1 C420\nFRAME\nab", "within a frame"),
    ],
)
def test_the_worker_says_in_one_line_what_is_wrong_with_its_input(tmp_path, fed, said):
    command = [sys.executable, roi_worker.__file__, "--codec", "libx264", tmp_path / "a.mkv"]
    done = subprocess.run(command, input=fed, capture_output=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert said in line
