"""What decides whether chunks can be reused: every option changes it, or is declared as without influence."""

import json
import os
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from PIL import Image

from vs_sac import EncodeOptions, SacError, encode, plan
from vs_sac.core.errors import SacValueError
from vs_sac.core.processes import ProcessGroup
from vs_sac.encoders import registry
from vs_sac.pipeline import mask_plan, plan_report
from vs_sac.pipeline.chunks import open_store, plan_digest
from vs_sac.pipeline.plan_report import WITHOUT_INFLUENCE, resume_key
from vs_sac.segmentation.registry import find_model, models_folder
from vs_sac.source.synthetic import street_scene

from ..helpers import mask_clip, noise_clip, remuxed, write_ffv1

pytestmark = pytest.mark.encoder

#: Neither the network nor a probe of the encoder is needed to make such a plan.
PLAIN = {"masks": "masks.mkv", "fill": "grey"}
MASKED = {"masks": "masks.mkv"}

#: An option → options to start from and another value of the option.
CHANGES = {
    "crf_roi": (PLAIN, 20),
    "crf_non_roi": (PLAIN, 30),
    "crf_gap": (PLAIN, 4),
    "match_crf": (PLAIN, 23),
    "target_kbps": (PLAIN, 500),
    "codec": (PLAIN, "x265"),
    "mode": (MASKED, "single-stream"),
    "preset": (PLAIN, "fast"),
    "fill": (MASKED, "black"),
    "non_roi_filter": (PLAIN, 1.5),
    "non_roi_scale": (PLAIN, 2),
    "coded_size": (PLAIN, "1/2"),
    "task_model": ({**PLAIN, "coded_size": "auto", "task_model": "small.onnx"}, "smaller.onnx"),
    "encoder_args": (PLAIN, "--keyint 9"),
    "encoder_args_roi": (PLAIN, "--ref 2"),
    "encoder_args_non_roi": (PLAIN, "--ref 2"),
    "masks": ({"fill": "grey"}, "masks.mkv"),
    "labels": ({"fill": "grey", "masks": "labels", "labels": "class-map"}, "camvid"),
    "model": ({"fill": "grey"}, "ccnet-lite"),
    "threshold": ({"fill": "grey"}, 0.7),
    "caution": ({"fill": "grey"}, "high"),
    "backend": ({"fill": "grey"}, "ort"),
    "every": ({"fill": "grey"}, 3),
    "roi_hold": (PLAIN, 2),
    "roi_close": (PLAIN, 2),
    "crf": ({**MASKED, "mode": "single-stream", "map": "none"}, 30),
    "map": (PLAIN, "tiers"),
    "tiers": ({**PLAIN, "map": "tiers"}, "road=-2"),
    "map_strength": ({**PLAIN, "map": "task"}, 0.5),
    "importance": ({**PLAIN, "map": "task"}, "own.npz"),
    "track": (PLAIN, 1),
    "start": (PLAIN, 0.05),
    "end": (PLAIN, 0.1),
    "frames": (PLAIN, 2),
    "fps": (PLAIN, "17"),
    "audio": (PLAIN, "none"),
    "strict": (PLAIN, True),
    "chunk": (PLAIN, 5.0),
    "resume": ({**PLAIN, "chunk": 2.0}, True),
    "jobs": ({**PLAIN, "chunk": 2.0, "threads": 8}, 2),
    "threads": (PLAIN, 3),
    "low_latency": (PLAIN, True),
}


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Four frames of a street; masks and label images for them."""
    folder = tmp_path_factory.mktemp("key")
    write_ffv1(street_scene(96, 80, 4)[0], folder / "street.mkv")
    remuxed(folder / "street.mkv", folder / "two.mkv", "-map", "0:v", "-map", "0:v")
    write_ffv1(mask_clip(np.random.default_rng(0).random((4, 5, 6)) < 0.5), folder / "masks.mkv")
    for name, size in (("small", [64, 48]), ("smaller", [32, 32])):
        (folder / f"{name}.onnx").write_bytes(b"")
        (folder / f"{name}.json").write_text(json.dumps({"input_size": size}))
    (folder / "labels").mkdir()
    for n in range(4):
        Image.fromarray(np.zeros((80, 96), np.uint8)).save(folder / "labels" / f"{n}.png")
    return folder


def key_of(folder, source="street.mkv", **how):
    if isinstance(how.get("masks"), str):
        how["masks"] = folder / how["masks"]
    if "importance" in how:
        how["importance"] = shutil.copy(models_folder() / "importance.npz", folder / how["importance"])
    if "task_model" in how:
        how["task_model"] = folder / how["task_model"]
    return resume_key(plan(folder / source, EncodeOptions.from_flat(**how)))


def changed(a, b):
    assert (plan_digest(a) == plan_digest(b)) == (a == b)
    return {name for name in {*a, *b} if a.get(name) != b.get(name)}


def test_the_table_has_every_option():
    assert CHANGES.keys() == EncodeOptions.flat_defaults().keys()
    assert CHANGES.keys() >= WITHOUT_INFLUENCE


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("option", CHANGES)
def test_every_option_changes_the_key_or_is_declared_to_change_no_byte(street, option):
    start, value = CHANGES[option]
    source = "two.mkv" if option == "track" else "street.mkv"
    before, after = key_of(street, source, **start), key_of(street, source, **{**start, option: value})
    assert bool(changed(before, after)) == (option not in WITHOUT_INFLUENCE)
    assert key_of(street, source, **start) == before, "the key of an equal plan is equal"


@pytest.mark.parametrize("setting", [{"working_area": 20000}, {"multiple_of": 32}, {"decision": "argmax"}])
def test_what_a_card_says_of_the_network_is_part_of_the_key(street, tmp_path, setting):
    """The file of the network is the same."""
    model = shutil.copy2(find_model("ccnet-lite").path, tmp_path / "own.onnx")
    before = key_of(street, fill="grey", model=model)
    (tmp_path / "own.json").write_text(json.dumps(setting))
    assert "model" in changed(before, key_of(street, fill="grey", model=model))


@pytest.mark.slow_except(r"audio")
@pytest.mark.parametrize("option", sorted(WITHOUT_INFLUENCE))
def test_what_is_declared_to_change_no_byte_is_no_part_of_the_coded_video(street, tmp_path, monkeypatch, option):
    """The encoders' command lines are the same; see also the tests of chunks, which compare the files."""
    start, value = CHANGES[option]
    commands = []
    for n, how in enumerate((start, {**start, option: value})):
        ran = commands.append([]) or commands[-1]
        real = ProcessGroup.start

        def note(self, name, argv, *rest, ran=ran, real=real, **more):
            ran.append([word.rpartition("/")[2] for word in argv])
            return real(self, name, argv, *rest, **more)

        with monkeypatch.context() as patched:
            patched.setattr(ProcessGroup, "start", note)
            encode(street / "street.mkv", tmp_path / f"{n}.mkv", **{**how, "masks": street / "masks.mkv"})
    assert commands[0] == commands[1]
    assert (tmp_path / "0.mkv").read_bytes() == (tmp_path / "1.mkv").read_bytes()


def test_the_key_is_plain_and_says_what_changed(street, tmp_path):
    key = key_of(street, chunk=2.0)
    store = open_store(tmp_path / "a.mkv", key, resume=False, force=False)
    assert open_store(tmp_path / "a.mkv", key, resume=True, force=False) == store
    with pytest.raises(SacError, match="made with another roi_hold; use --force"):
        open_store(tmp_path / "a.mkv", key_of(street, chunk=2.0, roi_hold=1), resume=True, force=False)
    with pytest.raises(SacError, match="made with another encoders, rate; use --force"):
        open_store(tmp_path / "a.mkv", key_of(street, chunk=2.0, crf_roi=17), resume=True, force=False)


def test_the_backend_counts_as_it_was_resolved(street, monkeypatch):
    automatic = key_of(street)
    assert automatic["backend"] == "python"
    assert not changed(automatic, key_of(street, backend="python"))
    from vs_sac.segmentation.runtimes import python

    # As where onnxruntime's Python package is not installed and the plugin is.
    monkeypatch.setattr(python, "find_spec", lambda name: None)
    assert changed(automatic, key_of(street)) == {"backend"}


def test_whether_motion_vectors_are_there_counts(street, monkeypatch):
    """Without the plugin every frame is segmented."""
    with_vectors = key_of(street)
    assert with_vectors["every"] == 8
    monkeypatch.setattr(mask_plan, "hasattr", lambda obj, name: name != "mv" and hasattr(obj, name), raising=False)
    assert changed(with_vectors, key_of(street)) == {"every"}


def test_the_fill_counts_as_it_was_chosen(street, monkeypatch):
    """Where the encoder cannot make the default fill, the streams hold another."""
    coarse = key_of(street)
    assert coarse["fill"] == "coarse"
    grey = key_of(street, encoder_args="--aq-mode 0")
    assert grey["fill"] == "grey"
    assert not changed(grey, key_of(street, encoder_args="--aq-mode 0", fill="grey"))


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Copies of the encoders' programs, first on the path; as many as there are."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("x264", "x265", "ffmpeg", "mkvmerge"):
        if found := shutil.which(name):
            (folder / name).write_text(f'#!/bin/sh\nexec "{found}" "$@"\n')
            (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    registry._ffmpeg_encoders.cache_clear()
    yield folder
    registry._ffmpeg_encoders.cache_clear()


@pytest.mark.parametrize("program", ["x264", "ffmpeg"])
def test_another_version_of_an_encoders_program_counts(street, tools, monkeypatch, program):
    if not (tools / program).exists():
        pytest.skip(f"{program} is not installed")
    if program == "ffmpeg":
        # The next one that is found where no x264 is installed.
        monkeypatch.setattr(
            registry.shutil, "which", lambda name, real=shutil.which: None if name == "x264" else real(name)
        )
    before = key_of(street, fill="black")
    assert before["encoders"][0][0].endswith(f"({tools / program})")
    assert key_of(street, fill="black") == before
    with (tools / program).open("a") as file:
        file.write("# a newer one\n")
    assert changed(before, key_of(street, fill="black")) == {"encoders"}


def test_another_version_of_pyav_counts(street, monkeypatch):
    before = key_of(street, mode="single-stream")
    monkeypatch.setattr("av.__version__", "99.0")
    assert changed(before, key_of(street, mode="single-stream")) == {"encoders"}


def test_another_version_of_the_package_counts(street, monkeypatch):
    before = key_of(street)
    monkeypatch.setattr(plan_report, "__version__", "99.0")
    assert changed(before, key_of(street)) == {"version"}


@pytest.mark.slow
def test_files_are_known_by_name_size_and_time(street, tmp_path):
    for name in ("street.mkv", "masks.mkv"):
        shutil.copy2(street / name, tmp_path / name)
    model = tmp_path / "own.onnx"
    for suffix in (".onnx", ".json"):
        shutil.copy2(find_model("ccnet-lite-int8").path.with_suffix(suffix), model.with_suffix(suffix))
    for file, how, part in [
        (tmp_path / "street.mkv", {}, "source"), (tmp_path / "masks.mkv", {"masks": "masks.mkv"}, "masks"),
        (model, {"model": model}, "model"),
    ]:  # fmt: skip
        before = key_of(tmp_path, **how)
        stat = file.stat()
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
        assert changed(before, key_of(tmp_path, **how)) == {part}
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert key_of(tmp_path, **how) == before
    (tmp_path / "street.mkv").rename(tmp_path / "other.mkv")
    assert changed(key_of(street), key_of(tmp_path, "other.mkv")) == {"source"}


def save(folder, numbers):
    for n in numbers:
        Image.fromarray(np.full((64, 64, 3), 40 * n, np.uint8)).save(folder / f"f{n:03d}.png")


@pytest.mark.slow
@pytest.mark.parametrize("source", ["f%03d.png", "."])
def test_a_sequence_is_known_by_its_files(tmp_path, source):
    masks = write_ffv1(mask_clip(np.ones((3, 4, 4), np.bool_)), tmp_path / "masks.mkv")
    folder = tmp_path / "in"
    folder.mkdir()
    save(folder, range(3))
    before = key_of(folder, source, masks=masks)
    assert [Path(name).name for name, *_ in before["source"]] == ["f000.png", "f001.png", "f002.png"]
    assert key_of(folder, source, masks=masks) == before
    stat = (folder / "f001.png").stat()
    os.utime(folder / "f001.png", ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    assert changed(before, key_of(folder, source, masks=masks)) == {"source"}


def test_masks_from_a_folder_are_known_by_its_files(street, tmp_path):
    labels = tmp_path / "labels"
    shutil.copytree(street / "labels", labels)
    before = key_of(street, masks=labels, labels="class-map")
    assert len(before["masks"]) == 4
    stat = (labels / "2.png").stat()
    os.utime(labels / "2.png", ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    assert changed(before, key_of(street, masks=labels, labels="class-map")) == {"masks"}


def test_a_clip_cannot_be_recognized_again(street):
    clip = noise_clip(96, 80, 4)
    with pytest.raises(SacValueError, match="source is a clip"):
        resume_key(plan(clip, EncodeOptions.from_flat(masks=street / "masks.mkv")))
    grid = vs.core.std.BlankClip(clip, format=vs.GRAY8)
    with pytest.raises(SacValueError, match="masks is a clip"):
        resume_key(plan(street / "street.mkv", EncodeOptions.from_flat(masks=grid)))


def test_a_frame_rate_counts_as_a_number(street):
    assert not changed(key_of(street, fps="17"), key_of(street, fps=Fraction(17)))
