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
from vs_sac.encoders.roi_worker import Rectangle, RoiWriter, StreamFormat, cover, grouped
from vs_sac.encoders.wire import Task

from ..helpers import noise_clip

pytestmark = pytest.mark.encoder


grids = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0, 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).random(drawn[:2]) < drawn[3]
)


def lines(grid):
    """A grid as the worker has it."""
    return [row.tobytes() for row in grid]


@given(grids)
def test_rectangles_cover_exactly_and_once(grid):
    found = np.zeros(grid.shape, int)
    for left, top, right, bottom in cover(lines(grid)):
        assert left < right
        assert top < bottom
        found[top:bottom, left:right] += 1
    np.testing.assert_array_equal(found, grid)


@given(grids)
def test_rectangles_are_no_more_than_runs(grid):
    def runs(array):
        return int(np.count_nonzero(np.diff(np.pad(array.astype(int), ((0, 0), (1, 0))), axis=1) > 0))

    assert len(cover(lines(grid))) <= min(runs(grid), runs(grid.T))


def test_rectangles_merge_along_the_better_axis():
    grid = np.zeros((6, 9), np.bool_)
    assert cover(lines(grid)) == []
    grid[1:5, 2:7] = True
    assert cover(lines(grid)) == [Rectangle(2, 1, 7, 5)]
    grid[::2] = False  # stripes
    assert len(cover(lines(grid))) == len(cover(lines(grid.T))) == 2


@given(grids, st.sampled_from([(0, 9), (-9, 0), (-4, 5), (3, 3)]))
def test_the_first_region_over_a_block_has_its_offset(grid, pair):
    found = np.zeros(grid.shape)
    for (left, top, right, bottom), offset in reversed(roi_worker._regions(lines(grid), *map(Fraction, pair))):
        found[top:bottom, left:right] = offset
    np.testing.assert_array_equal(found, np.where(grid, *pair))


def test_the_worker_agrees_on_the_macroblock_and_imports_nothing_heavy():
    assert Task(codec="libx264", options=()).block == BLOCK
    code = f"import runpy, sys; runpy.run_path({roi_worker.__file__!r}); print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-P", "-c", code], text=True).split()
    assert not {"vapoursynth", "torch", "onnxruntime", "numpy", "cyclopts", "rich"} & set(loaded)
    own = {name for name in loaded if name.partition(".")[0] == "vs_sac"}
    packages = {"vs_sac", "vs_sac.core", "vs_sac.encoders"}
    assert own == packages | {"vs_sac.core.lazy", "vs_sac.core.macroblocks", "vs_sac.encoders.wire"}


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


@given(grids, st.integers(1, 4))
def test_groups_hold_all_of_the_roi_and_nothing_mixed(grid, side):
    grown = np.array([np.frombuffer(line, np.bool_) for line in grouped(lines(grid), side)])
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
