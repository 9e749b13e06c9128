import json
import re
import subprocess

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import SacError, container, decode, encode, encode_uniform, metrics, open_clip, open_sac, pipeline
from vs_sac.core.choices import Mode
from vs_sac.core.macroblocks import grid_size
from vs_sac.encoders import find_ffmpeg, worker_pool
from vs_sac.pipeline.decoding import write_y4m
from vs_sac.source.synthetic import street_scene

from ..helpers import FORMATS, arrays_of, clip_of, mask_clip, noise_clip, same, vs_sac

pytestmark = pytest.mark.encoder
CODECS = ["x264", "x265"]
LOSSLESS = {"x264": "--qp 0", "x265": "--lossless"}


def left_roi(clip, moving=False):
    """A grid whose left half is ROI; `moving` lets the border wander."""
    columns, rows = grid_size(clip.width, clip.height)
    grids = np.zeros((clip.num_frames, rows, columns), np.bool_)
    for n, grid in enumerate(grids):
        grid[:, : max(1, columns // 2 + (n % 3 - 1 if moving else 0))] = True
    return grids


def quality(clip, sac, grids):
    """PSNR of ROI and of the rest, in dB."""
    score = metrics.evaluation(clip, open_sac(sac), mask_clip(grids), bytes=metrics.ByteCount(total=1), fps=25)
    values = score.to_dict()["psnr"]
    return values["roi"], values["non_roi"]


def textured(width, height, length, fmt=vs.YUV420P8, seed=0):
    """Smooth moving texture with some grain, which encoders neither skip nor choke on."""
    rng = np.random.default_rng(seed)
    info = vs.core.get_video_format(fmt)
    dtype = np.uint8 if info.bits_per_sample == 8 else np.uint16

    def plane(down, across):
        coarse = np.kron(rng.integers(60, 180, (height // 8 + 1, width // 8 + 1)), np.ones((8, 8)))
        picture = (coarse + rng.integers(-12, 12, coarse.shape))[: height >> down, : width >> across]
        return (picture * (1 << (info.bits_per_sample - 8))).astype(dtype)

    first = [plane(0, 0)] + [plane(info.subsampling_h, info.subsampling_w) for _ in range(2)]
    return clip_of([[np.roll(p, n, axis=1) for p in first] for n in range(length)], fmt)


@pytest.mark.slow_except(r"805830913-x264")
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("fmt", [vs.YUV420P8, vs.YUV420P10])
def test_an_offset_everywhere_is_a_crf(tmp_path, codec, fmt):
    clip = textured(192, 128, 8, fmt)
    none = mask_clip(np.zeros((8, 8, 12), np.bool_))
    common = {"codec": codec, "mode": "single-stream", "masks": none}
    offset = encode(clip, tmp_path / "a.mkv", crf_roi=20, crf_non_roi=26, **common).bytes["video"]
    plain = encode(clip, tmp_path / "b.mkv", crf_roi=26, crf_non_roi=26, **common).bytes["video"]
    other = encode(clip, tmp_path / "c.mkv", crf_roi=25, crf_non_roi=25, **common).bytes["video"]
    assert abs(offset - plain) < 0.25 * (other - plain)


@pytest.mark.slow_except(r"(805830913|805961985|805961728)-x264")
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_arrives_bit_for_bit(tmp_path, codec, fmt):
    """Equal CRFs need no offsets, so a lossless encode may go the same way."""
    subsampled = vs.core.get_video_format(fmt).subsampling_w
    clip = noise_clip(82 if subsampled else 83, 66 if subsampled else 67, 5, fmt, smooth=True)
    encode(
        clip, tmp_path / "a.mkv", codec=codec, mode=Mode.SINGLE_STREAM, masks=mask_clip(left_roi(clip)), crf_roi=20,
        crf_non_roi=20, encoder_args=LOSSLESS[codec],
    )  # fmt: skip
    assert same(open_sac(tmp_path / "a.mkv"), clip)


@pytest.mark.slow_except(r"^x264")
@pytest.mark.parametrize(
    ("codec", "fmt"), [("x264", vs.YUV420P8), ("x265", vs.YUV420P8), ("x264", vs.YUV444P10), ("x265", vs.YUV422P10)]
)
def test_decoding_is_what_any_decoder_gives(tmp_path, codec, fmt):
    clip = textured(98, 82, 6, fmt)
    wanted = left_roi(clip, moving=True)
    result = encode(clip, tmp_path / "a.mkv", codec=codec, mode="single-stream", masks=mask_clip(wanted))
    assert result.bytes.keys() == {"video", "mask", "audio", "file"}
    command = [find_ffmpeg(), "-v", "error", "-i", tmp_path / "a.mkv", "-map", "0:v:0", "-f", "rawvideo", "-"]
    raw = b"".join(plane.tobytes() for planes in arrays_of(open_sac(tmp_path / "a.mkv")) for plane in planes)
    assert subprocess.check_output(command) == raw
    decode(tmp_path / "a.mkv", tmp_path / "a.y4m")
    assert same(open_clip(tmp_path / "a.y4m"), open_sac(tmp_path / "a.mkv"))
    kept = arrays_of(pipeline.open_masks(tmp_path / "a.mkv", clip))
    np.testing.assert_array_equal([planes[0] for planes in kept], wanted * 255)


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [(16, 16), (34, 18), (48, 80), (48, 48)])
def test_small_pictures(tmp_path, codec, size):
    clip = textured(*size, 3)
    encode(clip, tmp_path / "a.mkv", codec=codec, mode="single-stream", masks=mask_clip(left_roi(clip)))
    back = open_sac(tmp_path / "a.mkv")
    assert (back.num_frames, back.width, back.height) == (3, *size)


@pytest.mark.parametrize("codec", CODECS)
def test_the_container_colour_and_rate(tmp_path, codec):
    clip = textured(96, 64, 7).std.AssumeFPS(fpsnum=30000, fpsden=1001)
    clip = clip.std.SetFrameProps(_Matrix=5, _Primaries=5, _Transfer=6, _Range=1, _ChromaLocation=1)
    result = encode(
        clip, tmp_path / "a.mkv", codec=codec, mode="single-stream", crf_roi=20, crf_non_roi=30.5,
        masks=mask_clip(left_roi(clip)),
    )  # fmt: skip
    info = container.probe(tmp_path / "a.mkv")
    assert list(info.tracks) == ["video", "mask"]
    expected = {"SAC_MODE": "single-stream", "SAC_CODEC": codec, "SAC_CRF_ROI": "20", "SAC_CRF_NON_ROI": "30.5",
                "SAC_FILL": "none", "SAC_FPS": "30000/1001", "SAC_FRAMES": "7"}  # fmt: skip
    assert expected.items() <= info.tags().items()
    assert result.to_dict()["fill"] == "none"
    assert result.encoder.startswith(f"lib{codec} (PyAV ")
    back = open_sac(tmp_path / "a.mkv")
    assert back.fps == clip.fps
    with back.get_frame(0) as frame:
        names = ("_Matrix", "_Primaries", "_Transfer", "_Range", "_ChromaLocation")
        assert [int(frame.props[name]) for name in names] == [5, 5, 6, 1, 1]
    size = pipeline.byte_count(result.bytes)
    assert (size.roi, size.non_roi) == (None, None)
    assert size.total == result.bytes["video"] + size.mask + size.container == (tmp_path / "a.mkv").stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_bits_move_from_the_rest_to_the_roi(tmp_path, codec):
    clip = textured(256, 160, 12)
    wanted = left_roi(clip, moving=True)
    common = {"codec": codec, "mode": "single-stream", "masks": mask_clip(wanted)}
    shifted = encode(clip, tmp_path / "a.mkv", crf_roi=22, crf_non_roi=30, **common).bytes["video"]
    sizes = {}
    for crf in (25, 26, 27):
        sizes[crf] = encode(clip, tmp_path / f"{crf}.mkv", crf_roi=crf, crf_non_roi=crf, **common).bytes["video"]
    alike = min(sizes, key=lambda crf: abs(sizes[crf] - shifted))
    assert sizes[alike] == pytest.approx(shifted, rel=0.1)
    inside, outside = quality(clip, tmp_path / "a.mkv", wanted)
    uniform_inside, uniform_outside = quality(clip, tmp_path / f"{alike}.mkv", wanted)
    assert inside > uniform_inside + 1
    assert outside < uniform_outside - 1


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_equal_crfs_ignore_the_mask_and_encoding_twice_gives_the_same_file(tmp_path, codec):
    clip = textured(128, 96, 8)
    half, none = mask_clip(left_roi(clip)), mask_clip(np.zeros((8, 6, 8), np.bool_))
    common = {"codec": codec, "mode": "single-stream"}
    for name, masks, crf in (("a", half, 24), ("b", none, 24), ("c", half, 30), ("d", half, 30)):
        encode(clip, tmp_path / f"{name}.mkv", masks=masks, crf_roi=24, crf_non_roi=crf, **common)
    assert same(open_sac(tmp_path / "a.mkv"), open_sac(tmp_path / "b.mkv"))
    assert (tmp_path / "c.mkv").read_bytes() == (tmp_path / "d.mkv").read_bytes()


@pytest.mark.slow
def test_x264_moves_fewer_bits_to_flat_parts_unless_the_user_says_otherwise(tmp_path):
    """The strength is read from the stream, where x264 writes its settings."""
    clip, _ = street_scene(64, 64, 2)
    grid = mask_clip(np.arange(16).reshape(1, 4, 4).repeat(2, 0) % 2 == 0)
    for options, mode, strength in [
        ("", "single-stream", b"1:0.60"), ("--aq-strength 0.8", "single-stream", b"1:0.80"),
        ("--tune film,zerolatency", "single-stream", b"1:1.00"), ("--tune zerolatency", "single-stream", b"1:0.60"),
        ("", "two-stream", b"1:1.00"),
    ]:  # fmt: skip
        encode(clip, tmp_path / "a.mkv", masks=grid, mode=mode, encoder_args=options, force=True)
        assert set(re.findall(rb" aq=([\d:.]+)", (tmp_path / "a.mkv").read_bytes())) == {strength}
        encode_uniform(clip, tmp_path / "a.mkv", crf=23, mode=mode, encoder_args=options, force=True)
        assert set(re.findall(rb" aq=([\d:.]+)", (tmp_path / "a.mkv").read_bytes())) == {strength}


FAILURES = {
    "exits": "import sys; sys.stdin.buffer.read(99); print('bad day', file=sys.stderr); sys.exit(9)",
    "killed": "import os, signal, sys; sys.stdin.buffer.read(99); os.kill(os.getpid(), signal.SIGKILL)",
    "writes nothing": "import sys; sys.stdin.buffer.read()",
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_worker_that_fails_leaves_nothing(tmp_path, monkeypatch, failure):
    worker, out = tmp_path / "worker.py", tmp_path / "out"
    asked = "if '--probe' in json.loads(sys.stdin.buffer.readline()):\n    sys.exit(print('8.0', file=sys.stderr))"
    worker.write_text(f"import json, sys\n{asked}\n{FAILURES[failure]}\n")
    out.mkdir()
    monkeypatch.setattr(worker_pool, "_WORKER", worker)
    clip = noise_clip(64, 48, 40)
    with pytest.raises(SacError) as caught:
        encode(clip, out / "a.mkv", mode="single-stream", masks=mask_clip(left_roi(clip)))
    assert "\n" not in str(caught.value)
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said", "kind"),
    [
        ({"fill": "grey"}, "fill has no meaning", ValueError),
        ({"encoder_args_roi": "--qp 3"}, "encoder_args_roi has no meaning", ValueError),
        ({"encoder_args_non_roi": ["--qp", "3"]}, "encoder_args_non_roi has no meaning", ValueError),
        ({"crf_non_roi": 60}, "outside 0-51", ValueError),
        ({"encoder_args": "--aq-mode 0"}, "ignores QP offsets", ValueError),
        ({"encoder_args": "--no-such-option 1"}, "libx264: .*such-option", RuntimeError),
        ({"encoder_args": "--tune wrong"}, "libx264: .*wrong", RuntimeError),
    ],
)
def test_bad_arguments_leave_nothing_behind(tmp_path, arguments, said, kind):
    with pytest.raises(SacError, match=said) as caught:
        encode(noise_clip(64, 48, 2), tmp_path / "a.mkv", mode="single-stream", **arguments)
    assert isinstance(caught.value, kind)
    assert not list(tmp_path.iterdir())


def test_a_single_stream_needs_no_installed_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    clip = textured(64, 48, 3)
    encode(clip, tmp_path / "a.mkv", mode="single-stream", masks=mask_clip(left_roi(clip)))
    assert open_sac(tmp_path / "a.mkv").num_frames == 3


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_the_whole_job_on_the_command_line(tmp_path, codec):
    clip = street_scene(192, 112, 8)[0]
    decoded = tmp_path / "street.y4m"
    with decoded.open("wb") as file:
        write_y4m(clip, file)
    sac = tmp_path / "a.mkv"
    arguments = ["encode", decoded, "-o", sac, "--codec", codec, "--mode", "single-stream", "--json", tmp_path / "e"]
    done = vs_sac(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "(video " in done.stdout
    assert json.loads((tmp_path / "e").read_text())["mode"] == "single-stream"
    assert vs_sac("decode", sac, "-o", tmp_path / "b.mkv").returncode == 0
    assert same(open_clip(tmp_path / "b.mkv"), open_sac(sac))
    done = vs_sac("evaluate", decoded, sac, "--json", tmp_path / "q.json")
    assert done.returncode == 0, done.stderr
    parts = json.loads((tmp_path / "q.json").read_text())["bytes"]
    assert parts["roi"] is parts["non_roi"] is None
    assert parts["total"] == sac.stat().st_size
    assert "single-stream" in vs_sac("info", sac).stdout
    done = vs_sac(*arguments, "--force", "--fill", "grey")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert sac.exists()


def test_a_file_without_its_track_is_refused(tmp_path):
    clip = textured(64, 48, 3)
    encode(clip, tmp_path / "a.mkv", mode="single-stream", masks=mask_clip(left_roi(clip)))
    command = [
        find_ffmpeg(),
        "-v",
        "error",
        "-i",
        tmp_path / "a.mkv",
        "-map",
        "0:v:1",
        "-c",
        "copy",
        tmp_path / "b.mkv",
    ]
    subprocess.run(command, check=True)
    with pytest.raises(SacError, match="lacks the track video"):
        open_sac(tmp_path / "b.mkv")
