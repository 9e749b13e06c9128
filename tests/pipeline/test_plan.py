"""A plan is what an encode does: the flat front and plan with run write the same bytes; --dry-run prints it."""

import importlib
import json
import shlex
from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import EncodeOptions, MaskOptions, RateControl, RunOptions, StreamOptions, encode, plan, run
from vs_sac.cli import program
from vs_sac.core.choices import Codec, Fill, Mode
from vs_sac.core.errors import SacError
from vs_sac.core.processes import ProcessGroup
from vs_sac.encoders.worker_pool import WorkerPool
from vs_sac.pipeline import describe
from vs_sac.segmentation.registry import find_model
from vs_sac.source.synthetic import street_scene

from ..helpers import mask_clip, noise_clip, same, vs_sac, write_ffv1

pytestmark = pytest.mark.encoder

#: As in benchmarks/identity.py; "masks" stands for a file of masks.
OPTIONS = {
    "defaults": {},
    "x265": {"codec": "x265"},
    "single stream": {"mode": "single-stream"},
    "single stream, x265": {"mode": "single-stream", "codec": "x265", "crf_gap": 6},
    "the paper's fill": {"fill": "black", "crf_roi": 20, "crf_non_roi": 30},
    "grey, filtered": {"fill": "grey", "non_roi_filter": 1.5},
    "hold, every frame": {"fill": "hold", "every": 1},
    "half size, closed, held": {"non_roi_scale": 2, "roi_close": 2, "roi_hold": 3},
    "size of uniform CRF 30": {"match_crf": 30},
    "bitrate, single stream": {"mode": "single-stream", "target_kbps": 400},
    "chunks, jobs, threads": {"chunk": 0.1, "jobs": 2, "threads": 2},
    "masks, low latency": {"masks": "masks", "low_latency": True, "crf_gap": 4},
    "options for encoders": {
        "encoder_args": "--keyint 12", "encoder_args_roi": "--ref 2", "encoder_args_non_roi": "--no-mbtree",
        "threshold": 0.6,
    },
    "no audio, another rate": {"audio": False, "fps": "17"},
}  # fmt: skip


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Six frames of a street and masks for them, as files."""
    folder = tmp_path_factory.mktemp("plan")
    write_ffv1(street_scene(96, 80, 6)[0], folder / "street.mkv")
    grid = np.random.default_rng(0).random((6, 5, 6)) < 0.5
    write_ffv1(mask_clip(grid), folder / "masks.mkv")
    return folder


def options_of(street, title):
    how = {"preset": "ultrafast" if "x265" not in title else "superfast", **OPTIONS[title]}
    if how.get("mode") == "single-stream":
        how["preset"] = "superfast"
    return how | ({"masks": street / "masks.mkv"} if "masks" in how else {})


@pytest.mark.slow_except(r"^(defaults|single stream|masks, low latency)$")
@pytest.mark.parametrize("title", OPTIONS)
def test_the_flat_front_and_a_plan_that_is_run_write_the_same_bytes(street, tmp_path, title):
    how = options_of(street, title)
    flat = encode(street / "street.mkv", tmp_path / "flat.mkv", **how)
    with WorkerPool() as workers:
        planned = plan(street / "street.mkv", EncodeOptions.from_flat(**how), workers=workers)
        ran = run(planned, tmp_path / "plan.mkv", workers=workers)
    assert (tmp_path / "flat.mkv").read_bytes() == (tmp_path / "plan.mkv").read_bytes()
    assert (flat.bytes, flat.roi_share, flat.encoder, flat.trials) == (
        ran.bytes, ran.roi_share, ran.encoder, ran.trials
    )  # fmt: skip
    assert flat.info.tags() == ran.info.tags()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flat.mkv", "plan.mkv"]


@pytest.mark.slow
def test_a_plan_can_be_run_again(street, tmp_path):
    planned = plan(street / "street.mkv", EncodeOptions.from_flat(preset="ultrafast"))
    for name in ("a", "b"):
        run(planned, tmp_path / f"{name}.mkv")
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()
    with pytest.raises(SacError, match=r"a\.mkv exists; use --force"):
        run(planned, tmp_path / "a.mkv")
    with pytest.raises(SacError, match=r"must end in \.mkv"):
        run(planned, tmp_path / "a.mp4")


def test_what_a_plan_decides(street):
    options = EncodeOptions(
        rate=RateControl(crf_gap=4),
        streams=StreamOptions(preset="fast", encoder_args_non_roi="--no-mbtree"),
        masks=MaskOptions(roi_hold=2, threshold=0.7),
        run=RunOptions(chunk=2, low_latency=True),
    )
    planned = plan(street / "street.mkv", options)
    assert planned.options is options
    assert (planned.mode, planned.codec, planned.crfs) == (Mode.TWO_STREAM, Codec.X264, (18, 22))
    assert (planned.fill, planned.non_roi_scale) == (Fill.COARSE, 1)
    assert (planned.source, planned.frames, planned.picture.width) == (street / "street.mkv", 6, 96)
    assert (planned.chunk_frames, planned.queue_depth) == (50, 1)
    assert planned.non_roi.args[-1] == ("no-mbtree", None)
    assert ("no-mbtree", None) not in planned.roi.args
    masks = planned.masks
    assert (masks.name, masks.threshold, masks.backend, masks.every) == ("ccnet-lite-int8", 0.7, "python", 8)
    assert (masks.roi_hold, masks.roi_close) == (2, 0)
    assert (planned.grid.width, planned.grid.height, planned.grid.num_frames) == (6, 5, 6)
    with pytest.raises(FrozenInstanceError):
        planned.fill = Fill.GREY


def test_caution_and_threshold_decide_the_masks():
    clip, _ = street_scene(320, 192, 2)

    def planned(**options):
        return plan(clip, EncodeOptions(masks=MaskOptions(every=1, **options)))

    points = find_model().caution
    grids = {}
    for name, threshold in points.items():
        by_name = planned(caution=name)
        assert by_name.masks.threshold == threshold
        assert same(by_name.grid, planned(threshold=threshold).grid)
        grids[name] = by_name.grid
    assert same(planned().grid, grids["normal"])
    # Lower and higher caution than on any card, so that the masks are sure to differ.
    assert not same(planned(threshold=0.05).grid, planned(threshold=1.0).grid)


def test_caution_changes_the_masks_of_a_plan(tmp_path):
    clip, _ = street_scene(320, 192, 2)
    card = {"caution": {"low": 0.05, "normal": 0.5, "high": 1.0}, "threshold": 0.5}
    (tmp_path / "m.onnx").write_bytes(find_model().path.read_bytes())
    (tmp_path / "m.json").write_text(json.dumps(card))
    low, high = (
        plan(clip, EncodeOptions(masks=MaskOptions(every=1, model=tmp_path / "m.onnx", caution=name))).grid
        for name in ("low", "high")
    )
    assert not same(low, high)


def test_a_plan_without_options_is_the_default_one_and_takes_clips():
    clip, _ = street_scene(64, 64, 2)
    planned = plan(clip)
    assert planned.options == EncodeOptions()
    assert planned.source is None
    assert same(planned.clip, clip)
    single = plan(
        clip, EncodeOptions.from_flat(mode="single-stream", masks=vs.core.std.BlankClip(clip, format=vs.GRAY8))
    )
    assert (single.fill, single.non_roi_scale, single.masks.name) == (None, 1, "clip")
    assert (single.masks.model, single.masks.threshold, single.masks.backend) == (None, None, None)


def test_bad_sources_fail_when_the_plan_is_made(tmp_path):
    with pytest.raises(SacError, match="does not exist"):
        plan(tmp_path / "none.mkv")
    with pytest.raises(SacError, match="accepted: 16x16 and up"):
        plan(noise_clip(14, 16, 1))


def spied(monkeypatch):
    """The command lines of all programs that are fed frames from now on, by name."""
    ran = []
    real = ProcessGroup.start

    def start(self, name, argv, *rest, **more):
        ran.append((name, list(argv)))
        return real(self, name, argv, *rest, **more)

    monkeypatch.setattr(ProcessGroup, "start", start)
    return ran


@pytest.mark.slow_except(r"^(single stream|half size.*)$")
@pytest.mark.parametrize("title", ["defaults", "x265", "single stream", "half size, closed, held", "the paper's fill",
                                   "options for encoders", "masks, low latency"])  # fmt: skip
def test_the_command_lines_of_the_plan_are_the_ones_that_run(street, tmp_path, monkeypatch, title):
    planned = plan(street / "street.mkv", EncodeOptions.from_flat(**options_of(street, title)))
    wanted = {stream["track"]: shlex.split(stream["command"]) for stream in describe(planned)["streams"]}
    ran = spied(monkeypatch)
    run(planned, tmp_path / "a.mkv")
    found = {name.removesuffix(" encoder"): argv for name, argv in ran}
    assert list(found) == list(wanted)
    for track, argv in wanted.items():
        assert len(argv) == len(found[track])
        for word, real in zip(argv, found[track], strict=True):
            # Files are named in the plan without the folder, which is made when the plan is run.
            assert word == real or real.endswith(f"/{word.removeprefix('file:')}"), track


def test_a_plan_starts_no_encoder_and_writes_nothing(street, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in street.iterdir())
    ran = spied(monkeypatch)
    describe(plan(street / "street.mkv"))
    assert not ran
    assert not list(tmp_path.iterdir())
    assert sorted(path.name for path in street.iterdir()) == before


@pytest.fixture
def dry_run(street, tmp_path, capsys):
    """What ``vs-sac encode --dry-run`` prints, and as JSON."""

    def shown(*words):
        out, report = tmp_path / "a.mkv", tmp_path / "plan.json"
        command = ["encode", street / "street.mkv", "-o", out, "--dry-run", "--json", report, "--force", *words]
        assert program.run([str(word) for word in command]) == 0
        assert not out.exists()
        return capsys.readouterr().out, json.loads(report.read_text())

    return shown


@pytest.mark.slow_except(r"^\[\]$|single")
@pytest.mark.parametrize("words", [[], ["--codec", "x265"], ["--mode", "single-stream"], ["--fill", "black"]], ids=str)
def test_a_dry_run_prints_the_plan_and_encodes_nothing(street, tmp_path, dry_run, words, monkeypatch):
    ran = spied(monkeypatch)
    printed, described = dry_run(*words)
    assert not ran
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    flat = {word[2:].replace("-", "_"): value for word, value in zip(words[::2], words[1::2], strict=True)}
    planned = plan(street / "street.mkv", EncodeOptions.from_flat(**flat))
    assert described == json.loads(json.dumps(describe(planned)))
    # For people: source, model, frame count, and every encoder with its size and its whole command line.
    lines = printed.splitlines()
    assert str(street / "street.mkv") in printed
    assert "ccnet-lite-int8" in printed
    assert f"{described['source']['frames']} frames" in printed
    assert "96x80" in printed
    for stream in described["streams"]:
        assert any(stream["command"] in line for line in lines), stream["track"]
        assert any(stream["track"] in line and f"{stream['width']}x{stream['height']}" in line for line in lines)


@pytest.mark.slow
def test_a_dry_run_in_a_process_of_its_own(street, tmp_path):
    done = vs_sac("encode", street / "street.mkv", "-o", tmp_path / "a.mkv", "--dry-run", "--preset", "ultrafast")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--preset ultrafast" in done.stdout or "preset=ultrafast" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_dry_run_refuses_what_the_encode_would(street, tmp_path, capsys):
    (tmp_path / "a.mkv").write_text("precious")
    for words in (["--crf-roi", "99"], ["--fill", "coarse", "--codec", "x265"], []):
        code = program.run(["encode", str(street / "street.mkv"), "-o", str(tmp_path / "a.mkv"), "--dry-run", *words])
        assert code in (1, 2)
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert (tmp_path / "a.mkv").read_text() == "precious"


def test_the_description_of_a_plan(street):
    described = describe(plan(street / "street.mkv", EncodeOptions.from_flat(match_crf=23, chunk=None, threads=2)))
    assert described["source"] | {"path": None} == {
        "path": None, "frames": 6, "width": 96, "height": 80, "fps": "25", "bits": 8, "chroma": "420",
        "range": "limited", "matrix": 6, "primaries": 6, "transfer": 6,
    }  # fmt: skip
    assert described["rate"]["searched_for"] == "the size of a uniform encode at CRF 23"
    assert (described["rate"]["crf_roi"], described["rate"]["crf_non_roi"]) == pytest.approx((20.3, 29.3))
    assert described["run"] == {"threads": 2, "jobs": 1, "chunk_frames": None, "queue_depth": 4}
    assert [stream["track"] for stream in described["streams"]] == ["ROI", "non-ROI", "mask"]
    kbps = describe(plan(street / "street.mkv", EncodeOptions.from_flat(target_kbps=100)))["rate"]
    assert kbps["searched_for"] == "100 kbit/s"
    assert Fraction(described["source"]["fps"]) == 25


@pytest.mark.slow
def test_the_command_and_the_flat_front_write_the_same_bytes(street, tmp_path, monkeypatch):
    module = importlib.import_module("vs_sac.cli.encode")
    words = ["encode", street / "street.mkv", "-o", tmp_path / "a.mkv", "--preset", "ultrafast", "--masks",
             street / "masks.mkv", "--crf-gap", "4", "--encoder-args", "--keyint 3"]  # fmt: skip
    assert program.run([str(word) for word in words]) == 0
    encode(street / "street.mkv", tmp_path / "b.mkv", preset="ultrafast", masks=street / "masks.mkv", crf_gap=4,
           encoder_args="--keyint 3")  # fmt: skip
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()
    assert not module.command_line_workers._waiting
