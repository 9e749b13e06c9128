"""Maps of QP offsets through the whole encode: the picture, tags, searches, pipes and two streams."""

import json
import subprocess
import sys

import numpy as np
import pytest
import vapoursynth as vs

pytest.importorskip("onnx", reason="onnx (extra 'train') is not installed")

from vs_sac import container, encode, open_sac, pipeline
from vs_sac.core.errors import SacFormatError, SacMissingError, SacValueError
from vs_sac.pipeline import mask_plan
from vs_sac.pipeline.decoding import write_y4m
from vs_sac.pipeline.options import EncodeOptions
from vs_sac.pipeline.plan_report import plan_lines

from ..class_networks import class_network
from ..helpers import arrays_of, clip_of
from .test_single_stream import textured

pytestmark = pytest.mark.encoder

SINGLE = {"mode": "single-stream", "preset": "veryfast", "audio": False}


def offsets(clip, left, right):
    """A map with one offset in the left half and another in the right half."""
    columns, rows = -(-clip.width // 16), -(-clip.height // 16)
    grid = np.full((rows, columns), 128 + 2 * right, np.uint8)
    grid[:, : columns // 2] = 128 + 2 * left
    return clip_of([[grid]] * clip.num_frames, vs.GRAY8)


def errors(clip, path):
    """Mean squared error of the left and of the right half."""
    pairs = list(zip(arrays_of(clip), arrays_of(open_sac(path)), strict=True))
    squares = np.mean([(a[0].astype(float) - b[0]) ** 2 for a, b in pairs], 0)
    half = clip.width // 2
    return squares[:, :half].mean(), squares[:, half:].mean()


@pytest.fixture
def network(tmp_path):
    """Tells dark from bright: class 0 is road, class 18 bicycle; see `class_networks`."""
    return class_network(tmp_path / "net.onnx")


def halves(length=6):
    """Texture, dark (road) on the left and bright (bicycle) on the right."""
    clip = textured(192, 128, length).std.SetFrameProps(_Matrix=1, _Range=0)
    dark, bright = (clip.std.Expr([f"x 100 - 6 / {level} +", "128"]) for level in (16, 226))
    joined = vs.core.std.StackHorizontal([dark.std.Crop(right=96), bright.std.Crop(left=96)])
    return joined.std.CopyFrameProps(clip)


@pytest.mark.parametrize("codec", ["x264", "x265"])
def test_a_map_from_python_decides_the_quality(tmp_path, codec):
    clip = textured(192, 128, 6).std.SetFrameProps(_Matrix=1, _Range=0)
    masks = clip_of([[np.zeros((8, 12), np.uint8)]] * 6, vs.GRAY8)
    common = {**SINGLE, "codec": codec, "masks": masks, "crf": 28}
    made = encode(clip, tmp_path / "a.mkv", map=offsets(clip, -8, 8), **common)
    left, right = errors(clip, tmp_path / "a.mkv")
    assert right > 2 * left
    encode(clip, tmp_path / "b.mkv", map=offsets(clip, 8, -8), **common)
    left, right = errors(clip, tmp_path / "b.mkv")
    assert left > 2 * right
    info = container.probe(tmp_path / "a.mkv")
    assert (info.map, info.crf_roi, info.crf_non_roi) == ("clip", 28, 28)
    assert made.roi_share == 0


def test_no_map_is_the_map_of_zeros(tmp_path):
    clip = textured(96, 64, 4).std.SetFrameProps(_Matrix=1, _Range=0)
    masks = clip_of([[np.zeros((4, 6), np.uint8)]] * 4, vs.GRAY8)
    common = {**SINGLE, "masks": masks, "crf": 26}
    sizes = [encode(clip, tmp_path / f"{n}.mkv", map=value, **common).bytes["video"]
             for n, value in enumerate(("none", offsets(clip, 0, 0), offsets(clip, 0, 4)))]  # fmt: skip
    assert sizes[0] == sizes[1] != sizes[2]
    assert container.probe(tmp_path / "0.mkv").tags()["SAC_MAP"] == "none"


def test_tiers_follow_the_classes(tmp_path, network):
    clip = halves()
    for tiers in ("road=-8,bicycle=8", "road=8,bicycle=-8"):
        encode(clip, tmp_path / "a.mkv", map="tiers", tiers=tiers, model=network, every=2, crf=30, force=True, **SINGLE)
        left, right = errors(clip, tmp_path / "a.mkv")
        assert left < right / 1.5 if tiers.startswith("road=-") else right < left / 1.5


def test_two_streams_split_where_the_offset_is_above_zero(tmp_path, network):
    encode(
        halves(), tmp_path / "a.mkv", map="tiers", tiers="road=-4,bicycle=4", model=network, roi_close=0, audio=False
    )
    grids = arrays_of(container.open_mask_grid(container.probe(tmp_path / "a.mkv")))
    for (grid,) in grids:
        assert (grid[:, :6] == 255).all()
        assert (grid[:, 6:] == 0).all()


def test_the_task_map_runs_and_is_told(tmp_path, network):
    made = encode(halves(), tmp_path / "a.mkv", map="task", map_strength=0.5, model=network, crf=30, **SINGLE)
    assert made.info.map == "task"
    planned = pipeline.plan(halves(), EncodeOptions.from_flat(
        map="task", map_strength=0.5, model=network, mode="single-stream", crf=30))  # fmt: skip
    with planned.offsets.get_frame(3) as frame:
        values = (np.asarray(frame[0]).astype(int) - 128) / 2
    assert abs(values.mean()) < 0.5
    assert np.abs(values).max() <= 10
    told = pipeline.describe(planned)
    assert (told["masks"]["map"], told["masks"]["map_strength"], told["masks"]["tiers"]["sky"]) == ("task", 0.5, 2.0)
    json.dumps(told)
    assert "one QP offset for 16x16 pixels" in "\n".join(plan_lines(told))
    coarse = pipeline.plan(halves(), EncodeOptions.from_flat(map="none", mode="single-stream", codec="x265"))
    assert "one QP offset for 32x32 pixels" in "\n".join(plan_lines(pipeline.describe(coarse)))


def test_a_search_for_a_size_runs_the_network_once_and_keeps_the_offsets(tmp_path, network, monkeypatch):
    asked = []
    original = mask_plan.segment_with_classes

    def counted(clip, **options):
        def note(n, f):
            asked.append(n)
            return f.copy()

        return original(clip.std.ModifyFrame(clip, note), **options)

    monkeypatch.setattr(mask_plan, "segment_with_classes", counted)
    clip = halves(8)
    found = encode(clip, tmp_path / "a.mkv", map="tiers", tiers="road=-4,bicycle=4", model=network, every=1,
                   match_crf=10, **SINGLE)  # fmt: skip
    assert sorted(set(asked)) == list(range(8))
    assert len(asked) <= 8 + 1, "once a frame, and once to look at the first"
    assert found.info.crf_roi == found.info.crf_non_roi
    assert len(found.trials) >= 1
    again = encode(clip, tmp_path / "b.mkv", map="tiers", tiers="road=-4,bicycle=4", model=network, every=1,
                   crf=found.info.crf_roi, **SINGLE)  # fmt: skip
    assert again.bytes["video"] == found.bytes["video"]


def test_a_pipe_gives_the_bytes_of_a_file(tmp_path, network):
    with (tmp_path / "a.y4m").open("wb") as file:
        write_y4m(halves(24), file)
    words = ["--mode", "single-stream", "--map", "tiers", "--tiers", "road=-4,bicycle=4", "--crf", "30", "--preset",
             "veryfast", "--model", str(network)]  # fmt: skip
    command = [sys.executable, "-m", "vs_sac", "encode"]
    subprocess.run([*command, tmp_path / "a.y4m", "-o", tmp_path / "file.mkv", *words], check=True, capture_output=True)
    with (tmp_path / "a.y4m").open("rb") as file:
        subprocess.run([*command, "-", "-o", tmp_path / "pipe.mkv", *words], check=True, stdin=file,
                       capture_output=True)  # fmt: skip
    info = [container.probe(tmp_path / f"{name}.mkv") for name in ("file", "pipe")]
    assert info[0].sums["video"] == info[1].sums["video"]


def test_maps_that_cannot_be_made_are_refused(tmp_path, network):
    clip = halves(2)
    with pytest.raises(SacFormatError, match="macroblock grid is 12x8"):
        encode(clip, tmp_path / "a.mkv", map=clip_of([[np.zeros((8, 8), np.uint8)]] * 2, vs.GRAY8), **SINGLE)
    with pytest.raises((SacValueError, SacMissingError), match=r"accepted: auto, python, cuda|vapoursynth-mlrt-ort"):
        encode(clip, tmp_path / "a.mkv", map="tiers", backend="ort", **SINGLE)
    with pytest.raises(SacValueError, match="tiers has 'road'"):
        encode(clip, tmp_path / "a.mkv", map="tiers", tiers="road,=3", model=network, **SINGLE)
    assert not (tmp_path / "a.mkv").exists()
