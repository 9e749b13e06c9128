"""`tune` on rendered footage: real clips and networks, with encodes that are made up."""

import json
import shutil
import tomllib

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import cli, pipeline
from vs_sac.core.choices import BlockMap
from vs_sac.core.errors import SacValueError
from vs_sac.core.labels import CITYSCAPES_TRAIN_ID
from vs_sac.experiments import tune as module
from vs_sac.experiments.coded_sizes import coded_sides
from vs_sac.experiments.footage import Footage
from vs_sac.experiments.store import Store
from vs_sac.experiments.tune import TuneSettings, encode_options, plan_candidates, tune
from vs_sac.experiments.tuning import BASELINE, Candidate
from vs_sac.pipeline.profile import read_profile, write_profile
from vs_sac.segmentation.registry import Model, find_model

from ..class_networks import class_network, painted

NAMES = tuple(CITYSCAPES_TRAIN_ID.values())
WIDTH, HEIGHT, FRAMES = 96, 64, 9


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return class_network(tmp_path_factory.mktemp("network") / "street.onnx")


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Squares in the colours of four classes, which move."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("drive")
    for n in range(FRAMES):
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        classes = np.array([0, 2, 10, 13])[((x + 4 * n) // 24 + y // 16) % 4]
        Image.fromarray(painted(classes)).save(folder / f"{n:03d}.png")
    return folder


class Codec:
    """In place of the encoders: a file of made-up length, and what a decoder would show of it."""

    def __init__(self, monkeypatch):
        self.calls, self.clips = [], {}
        monkeypatch.setattr(pipeline, "encode", self.encode)
        monkeypatch.setattr(pipeline, "encode_uniform", self.encode_uniform)
        monkeypatch.setattr(module, "open_decoded", self.open)

    def encode(self, clip, out, *, codec, mode, preset, crf, force, progress, map, map_strength=1.0,
               coded_size=None):  # fmt: skip
        assert (mode, force) == ("single-stream", True)
        gain = {"none": 0.001, "tiers": 0.03, "task": 0.1 * map_strength}[map]
        self._write(clip, out, crf, coded_size, 1 - gain, progress)

    def encode_uniform(self, clip, out, *, codec, mode, preset, crf, force, progress, coded_size=None):
        assert (mode, force) == ("two-stream", True)
        self._write(clip, out, crf, coded_size, 1.0, progress)

    def _write(self, clip, out, crf, coded_size, factor, progress):
        self.calls.append((crf, coded_size, factor))
        small = coded_size is not None
        out.write_bytes(bytes(round(4000 * clip.num_frames * (0.7 if small else 1) * factor * 0.87**crf)))
        # A share of the columns is lost that grows with the CRF: it shows the first class of all.
        lost = 2 * int(WIDTH * crf / 51 / 2 * 0.9)
        plain = vs.core.std.BlankClip(clip, color=[76, 85, 255])
        seen = vs.core.std.StackHorizontal([plain.std.Crop(right=WIDTH - lost), clip.std.Crop(left=lost)])
        self.clips[out] = seen.std.CopyFrameProps(clip)
        progress(clip.num_frames, clip.num_frames)

    def open(self, path, clip, *, sequential):
        return self.clips[path]


@pytest.fixture
def codec(monkeypatch):
    return Codec(monkeypatch)


def settings(network, **more):
    return TuneSettings(task_model=str(network), **{"like_crf": 28, "preset": "ultrafast", **more})


def found_footage(folder):
    return [Footage("drive", tuple(sorted(folder.iterdir())), argument=str(folder))]


def test_the_cheapest_map_wins_and_everything_is_kept(tmp_path, codec, network, footage):
    shown = []
    first = tune(found_footage(footage), settings(network), Store(tmp_path), progress=lambda *step: shown.append(step))
    assert first.best.candidate.map is BlockMap.TASK
    assert first.best.best.bytes < first.uniform.bytes
    assert first.best.best.margin(first.goal) >= 0
    assert first.options["map"] == "task"
    # The last third of the clip was not used for the choice, and is judged apart.
    assert (first.frames, first.check.frames) == (6, 3)
    assert first.check.tuned.bytes < first.check.uniform.bytes
    assert len(codec.calls) == first.encodes + 2
    shares = [share for share, _ in shown]
    assert shares == sorted(shares)
    assert shares[len(shares) // 4] < 0.5
    assert 0.9 < shares[-1] <= 1
    codec.calls.clear()
    again = tune(found_footage(footage), settings(network), Store(tmp_path))
    assert codec.calls == []
    assert again == first


def test_an_interrupted_run_continues(tmp_path, codec, network, footage):
    real, most = codec._write, 5

    def breaks(*words):
        if len(codec.calls) == most:
            raise KeyboardInterrupt
        real(*words)

    codec._write = breaks
    with pytest.raises(KeyboardInterrupt):
        tune(found_footage(footage), settings(network), Store(tmp_path))
    codec._write = real
    whole = tune(found_footage(footage), settings(network), Store(tmp_path))
    assert len(codec.calls) == len(set(codec.calls)) + 2 == whole.encodes + 2


def test_footage_held_out_by_name(tmp_path, codec, network, footage):
    other = Footage("other", tuple(sorted(footage.iterdir()))[:4])
    found = tune(found_footage(footage), settings(network, agree=0.5, like_crf=None), Store(tmp_path), holdout=[other])
    assert found.check.names == ("other",)
    assert (found.frames, found.check.frames) == (FRAMES, 4)
    assert found.goal.all == found.goal.lowest == 0.5


def test_sizes_of_a_network_with_a_fixed_input():
    clip = vs.core.std.BlankClip(width=2048, height=1024, format=vs.YUV420P8, length=1)
    judge = Model(name="judge", path="judge.onnx", input_size=(1024, 512), classes=("road",))
    sizes = {c.size for c in plan_candidates(TuneSettings(task_model="j", like_crf=28), [clip], judge)}
    # auto is 1/2 here, and has no candidates of its own.
    assert sizes == {"native", "3/4", "1/2"}
    small = vs.core.std.BlankClip(width=480, height=360, format=vs.YUV420P8, length=1)
    plan = plan_candidates(TuneSettings(task_model="j", like_crf=28), [small], judge)
    assert {c.size for c in plan} == {"native"}
    assert [(c.map, c.strength) for c in plan] == [
        (BlockMap.NONE, 1.0), (BlockMap.TIERS, 1.0), (BlockMap.TASK, 0.5), (BlockMap.TASK, 1.0)
    ]  # fmt: skip
    only = plan_candidates(TuneSettings(task_model="j", like_crf=28, sizes=("640x320",)), [clip], judge)
    assert {c.size for c in only if c != BASELINE} == {"640x320"}
    assert coded_sides("auto", clip, judge) == (1024, 512)
    uneven = vs.core.std.BlankClip(width=1280, height=718, format=vs.YUV420P8, length=1)
    assert coded_sides("3/4", uneven, judge) == (960, 540)


def test_options_of_a_profile():
    clip = vs.core.std.BlankClip(width=1280, height=720, format=vs.YUV420P8, length=1)
    judge = Model(name="judge", path="judge.onnx", input_size=(1024, 512), classes=("road",))
    given = TuneSettings(task_model="j", like_crf=28)

    def options(**candidate):
        return encode_options(Candidate(**candidate), 27.5, given, [clip], judge)

    assert options(size="auto", map=BlockMap.TASK, strength=0.5) == {
        "codec": "x264", "mode": "single-stream", "preset": "medium", "coded_size": "1024x512", "map": "task",
        "map_strength": 0.5, "crf": 27.5,
    }  # fmt: skip
    assert options(size="1/2")["coded_size"] == "1/2"
    assert options()["coded_size"] is None
    assert options()["map"] == "none"
    assert options(map=BlockMap.TIERS)["map"] == "tiers"


def test_encode_accepts_what_a_profile_can_hold(tmp_path, network):
    clips = [vs.core.std.BlankClip(width=w, height=720, format=vs.YUV420P8, length=1) for w in (1280, 960)]
    given = settings(network, sizes=("native", "3/4", "1/2", "auto", "640x360"))
    model = find_model(network)
    for n, candidate in enumerate(plan_candidates(given, clips, model)):
        path = tmp_path / f"{n}.toml"
        options = encode_options(candidate, 27.5, given, clips, model)
        write_profile(path, options)
        assert read_profile(path) == {name: value for name, value in options.items() if value is not None}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "one goal"), ({"agree": 0.5, "like_crf": 28}, "one goal"), ({"agree": 1.0}, "below 1"),
        ({"like_crf": 60}, "1-51"), ({"like_crf": 28, "sizes": ("half",)}, "1/2, 3/4"),
        ({"like_crf": 28, "strengths": (9.0,)}, "up to 2"), ({"like_crf": 28, "judge_frames": 0}, "from 1"),
        ({"like_crf": 28, "preset": "quick"}, "unknown preset"),
    ],
)  # fmt: skip
def test_settings_that_are_refused(words, said):
    with pytest.raises(SacValueError, match=said):
        TuneSettings(task_model="street", **words)


def test_sizes_above_the_source_are_the_source():
    clip = vs.core.std.BlankClip(width=1280, height=720, format=vs.YUV420P8, length=1)
    assert coded_sides("4096x2160", clip, find_model()) == (1280, 720)
    for wrong in ("2/1", "0/3", "12", "x", "1/2/3"):
        with pytest.raises(SacValueError, match="coded_size"):
            TuneSettings(task_model="street", like_crf=28, sizes=(wrong,))


def test_the_command_writes_profile_and_page(tmp_path, codec, network, footage, capsys, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs the extra report")
    pytest.importorskip("jinja2", reason="needs the extra report")
    monkeypatch.chdir(tmp_path)
    words = ["tune", str(footage), "--task-model", str(network), "--like-crf", "28", "-o", "front.toml"]
    assert cli.run(words) == 0
    out = capsys.readouterr().out
    assert "| chosen |" in out
    assert "% of the bytes of the uniform encode at CRF 28" in out
    text = (tmp_path / "front.toml").read_text()
    values = tomllib.loads(text)["encode"]
    assert (values["mode"], values["map"]) == ("single-stream", "task")
    assert "# network: street, SHA-256" in text
    page = (tmp_path / "front.tune/tune.html").read_text()
    assert "front.toml" in page
    assert "data:image" in page
    assert {path.suffix for path in (tmp_path / "front.tune").iterdir() if path.is_file()} == {
        ".html", ".md", ".csv", ".json", ".png"
    }  # fmt: skip
    assert json.loads((tmp_path / "front.tune/tune.json").read_text())["rows"]
    # A second run must not replace the profile by itself, and makes no encode.
    codec.calls.clear()
    assert cli.run(words) == 1
    assert "--force" in capsys.readouterr().err
    assert cli.run([*words, "--force"]) == 0
    assert codec.calls == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "one goal"), (["--agree", "1.5"], "mean IoU"), (["--like-crf", "28", "--strengths", "a"], "separated"),
        (["--like-crf", "28", "--frames", "0"], "from 1"), (["--like-crf", "28", "--sizes", "2/1"], "coded_size"),
    ],
)  # fmt: skip
def test_the_command_refuses_in_one_line(tmp_path, network, footage, capsys, more, said):
    assert cli.run(["tune", str(footage), "--task-model", str(network), "-o", str(tmp_path / "p.toml"), *more]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_network_without_classes_is_refused(tmp_path, network, footage, codec):
    bare = tmp_path / "bare.onnx"
    shutil.copy(network, bare)
    with pytest.raises(SacValueError, match="names 0 classes"):
        tune(found_footage(footage), settings(bare), Store(tmp_path))
    assert codec.calls == []
