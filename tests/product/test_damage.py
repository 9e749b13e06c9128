"""SAC files that are cut, flipped, taken apart or lie: never a wrong frame, and as many right ones as there are."""

import subprocess
import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_sac import SacError, container, decode, encode, masks, open_clip, open_sac
from vs_sac.container import writer as muxer
from vs_sac.container.manifest import GROUP
from vs_sac.core.errors import SacDamageError, SacWarning
from vs_sac.encoders import find_ffmpeg

from ..helpers import arrays_of, mask_clip, noise_clip, remuxed, same, vs_sac

pytestmark = pytest.mark.encoder
FRAMES = 40


@dataclass(frozen=True)
class Sample:
    """A SAC file, its frames and its masks."""

    path: Path
    frames: list = field(repr=False)
    grid: np.ndarray = field(repr=False)


def sample(folder, **how):
    clip = noise_clip(64, 64, FRAMES, smooth=True)
    grid = np.random.default_rng(0).random((FRAMES, 4, 4)) < 0.5
    encode(clip, folder / "a.mkv", masks=mask_clip(grid), preset="veryfast", **how)
    return Sample(folder / "a.mkv", arrays_of(open_sac(folder / "a.mkv")), grid)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return sample(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module", params=["x264", "x265", "single-stream"])
def whole(request, tmp_path_factory, two):
    if request.param == "x264":
        return two
    how = {"mode": request.param} if request.param == "single-stream" else {"codec": request.param}
    return sample(tmp_path_factory.mktemp(request.param), **how)


def equal(got, wanted):
    return len(got) == len(wanted) and all(
        np.array_equal(a, b) for x, y in zip(got, wanted, strict=True) for a, b in zip(x, y, strict=True)
    )


def decoded(path, out):
    """The frames that `decode` gives of a damaged file, and the error; both may be missing."""
    try:
        decode(path, out, force=True)
        error = None
    except SacError as caught:
        error = caught
    got = arrays_of(open_clip(out)) if out.exists() else []
    out.unlink(missing_ok=True)
    return got, error


def decoded_bytes(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "b.mkv")
        path.write_bytes(content)
        return decoded(path, path.with_suffix(".y4m"))


def test_a_whole_file_is_whole(whole):
    info = container.probe(whole.path)
    assert {state.name: state.frames for state in container.verify(info)} == dict.fromkeys(info.tracks, FRAMES)
    assert not any(state.damage for state in container.verify(info))
    assert {name: s.frames for name, s in info.sums.items()} == dict.fromkeys(info.tracks, FRAMES)


@settings(max_examples=25)
@given(data=st.data())
def test_flipped_bits_never_give_a_wrong_frame(whole, data):
    path, frames = whole.path, whole.frames
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    got, error = decoded_bytes(content)
    assert equal(got, frames[: len(got)])
    assert error is not None or len(got) == FRAMES


@settings(max_examples=15)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_cut_file_gives_what_lies_before_the_cut(whole, share):
    path, frames = whole.path, whole.frames
    content = path.read_bytes()
    got, error = decoded_bytes(content[: int(len(content) * share)])
    assert equal(got, frames[: len(got)])
    assert error is not None or len(got) == FRAMES
    if isinstance(error, SacDamageError):
        assert error.frames == len(got)


def test_the_command_decodes_up_to_the_damage_says_so_and_fails(two, tmp_path):
    path, frames = two.path, two.frames
    content = path.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: int(len(content) * 0.8)])
    done = vs_sac("decode", tmp_path / "cut.mkv", "-o", tmp_path / "a.y4m")
    assert done.returncode == 1
    assert done.stdout == ""
    got = arrays_of(open_clip(tmp_path / "a.y4m"))
    assert GROUP // 2 < len(got) < FRAMES
    assert equal(got, frames[: len(got)])
    assert f"the {len(got)} frames before were decoded" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    for name, code, said in (("cut.mkv", 1, "is damaged"), ("a.mkv", 0, f"{FRAMES} frames, whole")):
        (tmp_path / "a.mkv").write_bytes(content)
        done = vs_sac("verify", tmp_path / name)
        assert done.returncode == code
        assert said in done.stdout


@pytest.mark.parametrize("lost", ["ROI", "non-ROI"])
def test_one_lost_stream_is_grey_and_the_rest_exact(two, tmp_path, lost):
    path, frames, grid = two.path, two.frames, two.grid
    number = container.probe(path).tracks[lost]
    remuxed(path, tmp_path / "b.mkv", "-map", "0", "-map", f"-0:v:{number}")
    with pytest.raises(SacError, match=f"lacks the track {lost}"):
        decode(tmp_path / "b.mkv", tmp_path / "b.y4m")
    assert not (tmp_path / "b.y4m").exists()
    with pytest.warns(SacWarning, match=f"track {lost} .* is missing"):
        assert decode(tmp_path / "b.mkv", tmp_path / "b.y4m", allow_missing=True) == FRAMES
    for got, wanted, roi in zip(arrays_of(open_clip(tmp_path / "b.y4m")), frames, grid, strict=True):
        gone = roi if lost == "ROI" else ~roi
        for plane, there in zip(got, wanted, strict=True):
            block = plane.shape[0] // 4
            blocks = np.kron(gone, np.ones((block, block), np.bool_))
            np.testing.assert_array_equal(plane, np.where(blocks, 128, there))
    done = vs_sac("decode", tmp_path / "b.mkv", "-o", tmp_path / "c.y4m", "--allow-missing")
    assert done.returncode == 0
    assert done.stderr.startswith("vs-sac: warning: the track ")


def test_a_stream_that_is_damaged_midway_is_grey_from_there(two, tmp_path):
    path, frames, grid = two.path, two.frames, two.grid
    with container.opened(path) as file:
        packets = [bytes(p) for p in file.demux(video=1) if p.size]
    content = bytearray(path.read_bytes())
    content[content.index(packets[GROUP + 4]) + 10] ^= 255
    (tmp_path / "b.mkv").write_bytes(content)
    got, error = decoded(tmp_path / "b.mkv", tmp_path / "b.y4m")
    assert isinstance(error, SacDamageError)
    assert 0 < len(got) <= GROUP
    with pytest.warns(SacWarning, match="track non-ROI .* is damaged"):
        clip = open_sac(tmp_path / "b.mkv", allow_missing=True)
    filled = arrays_of(clip)
    assert equal(filled[: len(got)], frames[: len(got)])
    roi = np.kron(grid[-1], np.ones((16, 16), np.bool_))
    np.testing.assert_array_equal(filled[-1][0], np.where(roi, frames[-1][0], 128))


def test_without_its_mask_nothing_says_where_a_block_belongs(two, tmp_path):
    remuxed(two.path, tmp_path / "b.mkv", "-map", "0", "-map", "-0:v:2")
    with pytest.raises(SacError, match="track mask"):
        decode(tmp_path / "b.mkv", tmp_path / "b.y4m", allow_missing=True)


def test_swapped_tracks_and_tracks_of_different_length(two, tmp_path):
    titles = ["-metadata:s:v:0", "title=ROI", "-metadata:s:v:1", "title=non-ROI"]
    swapped = remuxed(
        two.path, tmp_path / "s.mkv", "-map", "0:v:1", "-map", "0:v:0", "-map", "0:v:2", "-map", "0:t", *titles
    )
    with pytest.raises(SacDamageError, match="from frame 0") as caught:
        open_sac(swapped)
    assert caught.value.frames == 0
    short = tmp_path / "short.mkv"
    command = [find_ffmpeg(), "-v", "error", "-i", str(two.path), "-t", "0.9", "-i", str(two.path), "-map", "0:v:0",
               "-map", "1:v:1", "-map", "0:v:2", "-map", "0:t", "-c", "copy", str(short)]  # fmt: skip
    subprocess.run(command, check=True)
    got, error = decoded(short, tmp_path / "s.y4m")
    assert "track non-ROI" in str(error)
    assert 0 < len(got) < 25
    assert equal(got, two.frames[: len(got)])


def test_a_file_without_checksums_is_read_and_counted_where_that_is_allowed(two, tmp_path):
    bare = remuxed(two.path, tmp_path / "b.mkv", "-map", "0:v")
    with pytest.raises(SacError, match="has lost its checksums"):
        open_sac(bare)
    with pytest.warns(SacWarning, match="has lost its checksums"):
        assert equal(arrays_of(open_sac(bare, allow_missing=True)), two.frames)
    done = vs_sac("verify", bare)
    assert done.returncode == 1
    assert "has lost its checksums" in done.stderr
    bare.write_bytes(bare.read_bytes()[: bare.stat().st_size * 3 // 4])
    with pytest.warns(SacWarning), pytest.raises(SacDamageError, match="is damaged from frame"):
        decode(bare, tmp_path / "b.y4m", allow_missing=True)


@pytest.mark.parametrize("tag", ["SAC_WIDTH", "SAC_BLOCK", "SAC_FRAMES", "SAC_FPS", "SAC_MODE"])
def test_an_edited_tag_is_a_lie(two, tmp_path, tag):
    content = two.path.read_bytes()
    # Matroska: the name's element is followed by that of the text, ID 4487 and a length.
    at = content.index(b"\x44\x87", content.rindex(tag.encode() + b"\x44\x87")) + 3
    (tmp_path / "b.mkv").write_bytes(content[:at] + bytes([content[at] + 1]) + content[at + 1 :])
    with pytest.raises(SacError, match=f"the tag {tag} .* is not what was written"):
        open_sac(tmp_path / "b.mkv")


LIES = [
    {"block": 0}, {"block": 8}, {"block": -16}, {"width": 80}, {"width": 0}, {"height": 10**9}, {"frames": 41},
    {"fps": Fraction(1, 10**9)}, {"fps": Fraction(10**9)}, {"frames": 0}, {"frames": 10**12}, {"version": "2"},
    {"mode": "stereo"}, {"mode": "single-stream"}, {"non_roi_scale": 2}, {"non_roi_scale": 0}, {"source_width": 80},
    {"source_width": 32, "source_height": 64}, {"source_width": 10**9, "source_height": 64},
    {"crf_roi": float("nan"), "codec": "\n\x1b[31m"},
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_a_file_made_to_lie(two, tmp_path, monkeypatch, lie):
    info = container.probe(two.path)
    tags = {**info.tags(), **{f"SAC_{name.upper()}": str(value) for name, value in lie.items()}}
    monkeypatch.setattr(muxer, "verify", lambda info: [])
    monkeypatch.setattr(muxer, "probe", lambda path: info)
    monkeypatch.setattr(container.SacInfo, "tags", lambda self: tags)
    parts = []
    for number, name in enumerate(info.tracks):
        parts.append(muxer.Track(name, remuxed(two.path, tmp_path / f"{name}.mkv", "-map", f"0:v:{number}")))
    muxer.write(tmp_path / "b.mkv", parts, info)
    monkeypatch.undo()
    if "codec" in lie:
        done = vs_sac("info", tmp_path / "b.mkv")
        assert done.returncode == 0
        assert "Traceback" not in done.stderr
        return
    with pytest.raises(SacError) as caught:
        decode(tmp_path / "b.mkv", tmp_path / "b.y4m")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "b.y4m").exists() or isinstance(caught.value, SacDamageError)


def test_masks_of_a_damaged_file_are_no_masks(two, tmp_path):
    content = two.path.read_bytes()
    (tmp_path / "b.mkv").write_bytes(content[: len(content) // 2])
    with pytest.raises(SacError, match="track mask"):
        encode(noise_clip(64, 64, FRAMES), tmp_path / "c.mkv", masks=tmp_path / "b.mkv")
    assert same(masks.expand_grid(container.open_mask_grid(container.probe(two.path)), 64, 64), masks.expand_grid(
        mask_clip(two.grid), 64, 64))  # fmt: skip
