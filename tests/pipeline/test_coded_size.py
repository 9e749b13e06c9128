"""A picture that is coded smaller than its source, from the options to decoding and evaluation."""

import json
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import vapoursynth as vs
from PIL import Image

from vs_sac import EncodeOptions, SacError, container, decode, encode, open_clip, open_sac, plan
from vs_sac.cli import program
from vs_sac.container.manifest import MIME_TYPE, NAME, Manifest
from vs_sac.container.muxer import Attachment, Track, constant_times, multiplex
from vs_sac.core.errors import SacFileError
from vs_sac.masks.grid import block_grid, expand_grid, scaled_block_grid
from vs_sac.pipeline import describe, open_masks
from vs_sac.pipeline.plan_report import plan_lines, resume_key
from vs_sac.source.synthetic import street_scene
from vs_sac.source.video import timeline_of
from vs_sac.streams.coded_size import scale_down, scale_up

from ..helpers import arrays_of, mask_clip, remuxed, same, write_ffv1

pytestmark = pytest.mark.encoder

LENGTH = 5
PLAIN = {"fill": "grey", "preset": "ultrafast"}
LOSSLESS = {**PLAIN, "encoder_args": "--qp 0"}


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A street as a file, and its mask in full size."""
    folder = tmp_path_factory.mktemp("coded-size")
    write_ffv1(street_scene(192, 96, LENGTH)[0], folder / "street.mkv")
    mask = np.zeros((LENGTH, 96, 192), np.bool_)
    for n in range(LENGTH):
        mask[n, 40:70, 30 + n : 90 + n] = True
    write_ffv1(mask_clip(mask), folder / "mask.mkv")
    return folder


@pytest.fixture(scope="module")
def half(street):
    """The street, coded at half its size without loss."""
    out = street / "half.mkv"
    encode(street / "street.mkv", out, masks=street / "mask.mkv", coded_size="1/2", **LOSSLESS)
    return out


def test_the_coded_picture_is_the_scaled_source(street, half):
    clip = open_clip(street / "street.mkv")
    info = container.probe(half)
    assert (info.width, info.height, info.source_size) == (96, 48, (192, 96))
    assert {"SAC_WIDTH": "96", "SAC_SOURCE_WIDTH": "192", "SAC_SOURCE_HEIGHT": "96"}.items() <= info.tags().items()
    small = scale_down(clip, 96, 48)
    assert same(open_sac(half, native=True), small)
    assert same(open_sac(half), scale_up(small, 192, 96))
    assert same(container.open_mask_grid(info), scaled_block_grid(masks_of(street), 96, 48))
    # The manifest repeats the tags.
    with av.open(str(half)) as file:
        attached = json.loads(bytes(file.streams.attachments[0].data))
    assert attached["tags"]["SAC_SOURCE_WIDTH"] == "192"


def masks_of(street):
    return vs.core.std.ShufflePlanes(open_clip(street / "mask.mkv"), 0, vs.GRAY)


@pytest.mark.parametrize("size", ["native", "192x96", (192, 96)], ids=str)
def test_the_size_of_the_source_is_the_default(street, tmp_path, size):
    for name, how in (("a", {}), ("b", {"coded_size": size})):
        encode(street / "street.mkv", tmp_path / f"{name}.mkv", masks=street / "mask.mkv", **how, **PLAIN)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()
    info = container.probe(tmp_path / "b.mkv")
    assert info.source_size is None
    assert not [tag for tag in info.tags() if "SOURCE" in tag]


WAYS = {
    "two streams": PLAIN,
    "coarse": {"fill": "coarse", "preset": "superfast"},
    "half non-ROI": {**PLAIN, "non_roi_scale": 2},
    "x265": {**PLAIN, "codec": "x265"},
    "single": {"mode": "single-stream", "preset": "superfast"},
    "single x265": {"mode": "single-stream", "codec": "x265", "preset": "superfast"},
}


@pytest.mark.slow_except("^(two streams|single)$")
@pytest.mark.parametrize("way", WAYS)
def test_every_encoder_states_the_aspect_ratio_of_the_samples(street, tmp_path, way):
    """128x48 of a 192x96 picture: samples are 3/4 as wide as high."""
    out = tmp_path / "a.mkv"
    how = {**WAYS[way], "coded_size": "128x48"}
    encode(street / "street.mkv", out, masks=street / "mask.mkv", **how)
    with av.open(str(out)) as file:
        video = file.streams.video[0]
        assert (video.width, video.height) == (128, 48)
        assert video.codec_context.sample_aspect_ratio == Fraction(3, 4)
        assert video.sample_aspect_ratio == Fraction(3, 4)
    decode(out, tmp_path / "native.y4m", native=True)
    decode(out, tmp_path / "full.y4m")
    heads = [(tmp_path / f"{name}.y4m").read_bytes()[:100] for name in ("native", "full")]
    assert b"W128 H48" in heads[0]
    assert b" A3:4 " in heads[0]
    assert b"W192 H96" in heads[1]
    assert b" A1:1 " in heads[1]
    assert same(open_clip(tmp_path / "full.y4m"), open_sac(out))
    pairs = zip(arrays_of(open_sac(out)), arrays_of(open_clip(street / "street.mkv")), strict=True)
    assert np.mean([(ours[0].astype(float) - theirs[0]) ** 2 for ours, theirs in pairs]) < 300


def test_an_mp4_has_the_coded_size(street, tmp_path):
    out = tmp_path / "a.mp4"
    encode(street / "street.mkv", out, masks=street / "mask.mkv", coded_size="128x48", mode="single-stream",
           preset="superfast")  # fmt: skip
    with av.open(str(out)) as file:
        assert (file.streams.video[0].width, file.streams.video[0].sample_aspect_ratio) == (128, Fraction(3, 4))


def test_decode_on_the_command_line(half, tmp_path):
    for words, size in (((), (192, 96)), (("--native",), (96, 48))):
        out = tmp_path / f"{len(words)}.mkv"
        assert program.run(["decode", str(half), "-o", str(out), *words]) == 0
        with av.open(str(out)) as file:
            assert (file.streams.video[0].width, file.streams.video[0].height) == size


def test_info_shows_the_size_of_the_source(half, capsys):
    assert program.run(["info", str(half)]) == 0
    said = capsys.readouterr().out
    assert "SAC_SOURCE_WIDTH" in said
    assert "192" in said


@pytest.mark.slow
def test_evaluate_compares_at_the_size_of_the_source(street, half, tmp_path):
    write_ffv1(scale_down(open_clip(street / "street.mkv"), 96, 48), tmp_path / "small.mkv")
    found = {}
    for name, reference in (("full", street / "street.mkv"), ("small", tmp_path / "small.mkv")):
        said = tmp_path / f"{name}.json"
        assert program.run(["evaluate", str(reference), str(half), "--json", str(said)]) == 0
        found[name] = json.loads(said.read_text())["psnr"]["all"]
    # A source that has the coded size already is compared with the coded picture, here without loss.
    assert 20 < found["full"] < 60
    assert found["small"] in (None, "inf", float("inf"))


def test_evaluate_enlarges_a_video_without_tags(street, tmp_path, capsys):
    """An MP4 with its mask beside it scores as the same video in a SAC file does."""
    found = {}
    for name, masks in (("a.mp4", ("--masks", str(tmp_path / "a.mask.mkv"))), ("a.mkv", ())):
        encode(street / "street.mkv", tmp_path / name, masks=street / "mask.mkv", coded_size="1/2",
               mode="single-stream", preset="superfast")  # fmt: skip
        said = tmp_path / f"{name}.json"
        words = ["evaluate", str(street / "street.mkv"), str(tmp_path / name), *masks, "--json", str(said)]
        assert program.run(words) == 0
        found[name] = json.loads(said.read_text())
    assert found["a.mp4"]["psnr"] == found["a.mkv"]["psnr"]
    assert found["a.mp4"]["roi_share"] == found["a.mkv"]["roi_share"]
    assert "96x48 is enlarged" in capsys.readouterr().err


def test_masks_of_a_coded_file_fit_clips_of_either_size(street, half):
    clip, grid = open_clip(street / "street.mkv"), container.open_mask_grid(container.probe(half))
    assert same(open_masks(half, scale_down(clip, 96, 48)), grid)
    enlarged = block_grid(expand_grid(grid, 96, 48).resize.Point(192, 96))
    assert same(open_masks(half, clip), enlarged)
    # Other sizes need the source's.
    with pytest.raises(SacError, match=r"masks are 192x96; the video needs 128x64, or its block grid 8x4$"):
        open_masks(half, scale_down(clip, 128, 64))
    other = open_masks(half, scale_down(clip, 128, 64), source_size=(192, 96))
    assert same(other, scaled_block_grid(expand_grid(grid, 96, 48).resize.Point(192, 96), 128, 64))


def test_masks_of_the_source_are_reduced_in_favour_of_the_roi(street):
    clip, mask = scale_down(open_clip(street / "street.mkv"), 128, 48), masks_of(street)
    wanted = scaled_block_grid(mask, 128, 48)
    assert same(open_masks(street / "mask.mkv", clip, source_size=(192, 96)), wanted)
    grid = block_grid(mask)
    of_grid = open_masks(grid, clip, source_size=(192, 96))
    assert same(of_grid, scaled_block_grid(expand_grid(grid, 192, 96), 128, 48))
    covered = zip(arrays_of(of_grid), arrays_of(wanted), strict=True)
    assert all((a[0] >= b[0]).all() for a, b in covered)
    # Masks of the coded picture are used as they are.
    assert same(open_masks(wanted, clip, source_size=(192, 96)), wanted)


def test_label_images_of_the_source(street, tmp_path):
    folder = tmp_path / "labels"
    folder.mkdir()
    for n, planes in enumerate(arrays_of(masks_of(street))):
        # Class 0 is ROI, 3 is sky.
        Image.fromarray(np.where(planes[0] > 0, 0, 3).astype(np.uint8)).save(folder / f"{n}.png")
    options = EncodeOptions.from_flat(masks=folder, labels="class-map", coded_size="1/2", fill="grey")
    assert same(plan(street / "street.mkv", options).grid, scaled_block_grid(masks_of(street), 96, 48))


def test_the_plan_shows_both_sizes(street):
    def planned(**how):
        given_ = {"masks": street / "mask.mkv", "fill": "grey", **how}
        return plan(street / "street.mkv", EncodeOptions.from_flat(**given_))

    scaled, native = planned(coded_size="1/2"), planned()
    assert (scaled.source_size, scaled.picture.width, scaled.clip.height) == ((192, 96), 96, 48)
    assert (scaled.grid.width, scaled.grid.height) == (6, 3)
    assert (native.source_size, native.picture.width) == ((192, 96), 192)
    described = describe(scaled)
    assert (described["source"]["width"], described["coded_size"]) == (192, [96, 48])
    assert described["streams"][0]["width"] == 96
    assert plan_lines(described)[0].endswith(", coded at 96x48")
    assert "coded at" not in plan_lines(describe(native))[0]
    assert resume_key(scaled)["coded_size"] == [96, 48]
    assert resume_key(native) == resume_key(planned(coded_size="native"))


def test_choices_by_size_are_made_for_the_coded_picture():
    clip = vs.core.std.BlankClip(None, 1920, 1080, vs.YUV420P8, 1)
    grid = vs.core.std.BlankClip(clip, format=vs.GRAY8)
    for size, scale in ((None, 2), ("1/2", 2), ("1/3", 1)):
        options = EncodeOptions.from_flat(masks=grid, coded_size=size, fill="grey", crf_non_roi=35)
        assert plan(clip, options).non_roi_scale == scale


def test_auto_is_the_input_size_of_the_task_model(street, tmp_path):
    (tmp_path / "task.onnx").write_bytes(b"")
    (tmp_path / "task.json").write_text(json.dumps({"input_size": [64, 32]}))
    how = {"masks": street / "mask.mkv", "fill": "grey", "coded_size": "auto"}
    options = EncodeOptions.from_flat(**how, task_model=tmp_path / "task.onnx")
    assert describe(plan(street / "street.mkv", options))["coded_size"] == [64, 32]
    with pytest.raises(SacError, match="give task_model"):
        EncodeOptions.from_flat(**how)
    with pytest.raises(SacError, match="no-such"):
        plan(street / "street.mkv", EncodeOptions.from_flat(**how, task_model="no-such"))


def test_a_part_of_the_source_in_chunks(street, tmp_path):
    """The masks are those of the part, the times are kept, and the chunks make up the whole."""
    how = {"masks": street / "mask.mkv", "coded_size": "1/2", "start": 0.04, "end": 0.16, **LOSSLESS}
    planned = plan(street / "street.mkv", EncodeOptions.from_flat(**how))
    assert timeline_of(planned.clip) is not None
    assert same(planned.grid, scaled_block_grid(masks_of(street), 96, 48)[1:4])
    encode(street / "street.mkv", tmp_path / "a.mkv", chunk=0.04, **how)
    assert same(open_sac(tmp_path / "a.mkv", native=True), scale_down(open_clip(street / "street.mkv"), 96, 48)[1:4])


def test_a_pipe(street, half, tmp_path):
    decode(half, tmp_path / "a.y4m")
    out = tmp_path / "b.mkv"
    words = ["--masks", street / "mask.mkv", "--coded-size", "64x32", "--fill", "grey", "--preset", "ultrafast",
             "--encoder-args", "--qp 0"]  # fmt: skip
    with (tmp_path / "a.y4m").open("rb") as file:
        subprocess.run([sys.executable, "-m", "vs_sac", "encode", "-", "-o", out, *words], stdin=file, check=True,
                       capture_output=True)  # fmt: skip
    assert container.probe(out).source_size == (192, 96)
    assert same(open_sac(out, native=True), scale_down(open_clip(tmp_path / "a.y4m"), 64, 32))


def test_damage_is_reported_through_the_scaling(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for n in range(4):
        Image.fromarray(np.full((64, 64, 3), 60 * n, np.uint8)).save(folder / f"{n}.jpg")
    content = (folder / "3.jpg").read_bytes()
    (folder / "3.jpg").write_bytes(content[: len(content) // 2])
    grid = mask_clip(np.ones((4, 2, 2), np.bool_))
    with pytest.warns(match="3"):
        result = encode(folder, tmp_path / "a.mkv", masks=grid, coded_size="1/2", **PLAIN)
    assert result.damage


@pytest.mark.parametrize("size", [(95, 96), (192, 47), (0, 0), (-192, 96), (40000, 96)])
def test_a_source_size_that_cannot_be_is_refused(half, tmp_path, size):
    with pytest.raises(SacFileError, match=r"claims .* of a source of"):
        container.probe(claiming(half, tmp_path, *size))


def test_odd_sizes_and_tags_that_are_missing_or_no_numbers(half, tmp_path):
    for size, said in (((193, 96), "it cannot have"), (("x", 96), "cannot be read"), ((192, None), "lacks the tag")):
        with pytest.raises(SacFileError, match=said):
            open_sac(claiming(half, tmp_path, *size))


def claiming(sac, folder, width, height):
    """The same tracks with another size of the source in the tags and in the manifest."""
    info = container.probe(sac)
    tags = {key: value for key, value in info.tags().items() if not key.startswith("SAC_SOURCE")}
    sides = {"SAC_SOURCE_WIDTH": width, "SAC_SOURCE_HEIGHT": height}
    tags |= {key: str(side) for key, side in sides.items() if side is not None}
    tracks = [Track(name, remuxed(sac, folder / f"{n}.mkv", "-y", "-map", f"0:v:{n}")) for name, n in
              info.tracks.items()]  # fmt: skip
    made = Attachment(NAME, MIME_TYPE, Manifest(tags, info.sums, info.times).dump())
    out = folder / "claims.mkv"
    multiplex(out, tracks, constant_times(info.frames, info.fps), fps=info.fps, audio=(), tags=tags, attachment=made,
              cut_audio=False)  # fmt: skip
    return out
