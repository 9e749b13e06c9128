"""An encode in chunks: the same frames, and the same file however often it is stopped."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_sac import SacError, container, encode, open_clip, open_sac
from vs_sac.core.processes import StdinProcess
from vs_sac.pipeline import chunks
from vs_sac.source.synthetic import street_scene

from ..helpers import noise_clip, nothing_left, same, vs_sac, write_ffv1

pytestmark = pytest.mark.encoder


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """75 frames at 25 fps and their masks."""
    folder = tmp_path_factory.mktemp("chunks")
    write_ffv1(street_scene(128, 96, 25)[0] * 3, folder / "in.mkv")
    encode(folder / "in.mkv", folder / "sac.mkv", preset="ultrafast")
    return folder


class StoppedError(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tools", "how"),
    [("native", {}), ("native", {"codec": "x265"}), ("pip", {"codec": "x265"}), ("pip", {"mode": "single-stream"})],
    ids=str,
)
def test_a_stopped_encode_gives_the_file_of_one_that_was_not(street, tmp_path, monkeypatch, how, tools):
    if tools == "pip":
        monkeypatch.setenv("PATH", "")
    how = {**how, "masks": street / "sac.mkv", "preset": "superfast", "encoder_args": "--aq-mode 1"}
    once = encode(street / "in.mkv", tmp_path / "once.mkv", chunk=1, **how)
    assert container.probe(tmp_path / "once.mkv").frames == 75
    runs = []

    def stop_at(done, total):
        assert total == 75
        runs.append(done)
        if done == 40:
            raise StoppedError

    with pytest.raises(StoppedError):
        encode(street / "in.mkv", tmp_path / "twice.mkv", chunk=1, progress=stop_at, **how)
    assert sorted(p.name for p in (tmp_path / "twice.mkv.chunks").iterdir()) == ["000000", "plan.json"]
    assert not (tmp_path / "twice.mkv").exists()
    runs.clear()
    twice = encode(
        street / "in.mkv", tmp_path / "twice.mkv", chunk=1, resume=True, progress=lambda d, t: runs.append(d), **how
    )
    assert runs == list(range(26, 76))
    assert (tmp_path / "twice.mkv").read_bytes() == (tmp_path / "once.mkv").read_bytes()
    assert (twice.bytes, twice.roi_share) == (once.bytes, once.roi_share)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["once.mkv", "twice.mkv"]


@pytest.mark.slow_except(r"^x264")
@pytest.mark.parametrize(("codec", "lossless"), [("x264", "--qp 0"), ("x265", "--lossless")])
def test_chunks_hold_every_frame_in_its_place(street, tmp_path, codec, lossless):
    source = tmp_path / "in.mkv"
    clip = open_clip(write_ffv1(noise_clip(64, 64, 61, smooth=True), source), fps="30000/1001")
    encode(
        source, tmp_path / "a.mkv", codec=codec, chunk=0.35, fps="30000/1001", encoder_args=lossless, preset="superfast"
    )
    assert same(open_sac(tmp_path / "a.mkv"), clip)
    with container.opened(tmp_path / "a.mkv") as file:
        for track in range(2):
            file.seek(0)
            times = sorted(float(p.pts * p.time_base) for p in file.demux(video=track) if p.size)
            assert times == pytest.approx([n * 1001 / 30000 for n in range(61)], abs=0.0011)


@pytest.mark.slow
def test_a_killed_command_goes_on(street, tmp_path):
    command = ["encode", street / "in.mkv", "--masks", street / "sac.mkv", "--chunk", "1"]
    assert vs_sac(*command, "-o", tmp_path / "once.mkv").returncode == 0
    words = [sys.executable, "-m", "vs_sac", *map(str, command), "-o", str(tmp_path / "a.mkv"), "--preset", "medium"]
    running = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    store = tmp_path / "a.mkv.chunks"
    until = time.monotonic() + 60
    while not (store / "000000").exists() and time.monotonic() < until:
        time.sleep(0.002)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert nothing_left(tmp_path)
    done = vs_sac(*command, "-o", tmp_path / "a.mkv")
    if store.exists():  # else it was done before it was killed
        assert done.returncode == 1
        assert "--resume or --force" in done.stderr
        assert not list(store.glob("*.part"))
        other = vs_sac(*command, "-o", tmp_path / "a.mkv", "--resume", "--crf-roi", "20")
        assert other.returncode == 1
        assert "made with another encoders, rate;" in other.stderr
        done = vs_sac(*command, "-o", tmp_path / "a.mkv", "--resume")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "once.mkv").read_bytes()
    assert not store.exists()


@pytest.mark.slow
def test_chunks_that_cannot_be_used(street, tmp_path):
    def again(**how):
        return encode(street / "in.mkv", tmp_path / "a.mkv", masks=street / "sac.mkv", preset="ultrafast", **how)

    store = tmp_path / "a.mkv.chunks"
    store.mkdir()
    (store / "plan.json").write_text("{")
    with pytest.raises(SacError, match="cannot be read"):
        again(resume=True)
    for wrong in ({"mode": "two-stream"}, {"digest": "0"}, {"digest": "0", "key": 1}, [], None):
        (store / "plan.json").write_text(json.dumps(wrong))
        with pytest.raises(SacError, match="cannot be read; use --force"):
            again(resume=True)
    (store / "plan.json").write_text(json.dumps({"digest": "0", "key": {"mode": "two-stream", "gone": 1}}))
    names = "chunk, coded_size, encoders, every, fill, gone, map, masks, non_roi_filter, non_roi_scale, picture, rate,"
    names = f"{names} roi_close, roi_hold, source, start, strict, track, version"
    with pytest.raises(SacError, match=f"made with another {names}; use --force"):
        again(resume=True)
    with pytest.raises(SacError, match="--resume or --force"):
        again(chunk=1)
    again(chunk=1, force=True)
    with pytest.raises(SacError, match="for files only; source is a clip"):
        encode(noise_clip(64, 64, 2), tmp_path / "b.mkv", chunk=1)
    for seconds in (0, -1):
        with pytest.raises(SacError, match="accepted: from 1"):
            again(chunk=seconds, force=True)


@settings(max_examples=25)
@given(frames=st.integers(1, 60), length=st.integers(1, 30))
def test_chunks_cover_every_frame_once(tmp_path_factory, frames, length):
    parts = []

    def code(start, stop, folder, step):
        parts.append((start, stop))
        (folder / "x").write_text("")
        return [folder / "x"], 0.5

    store = tmp_path_factory.mktemp("store")
    done = chunks.code_chunks(store, frames, length, code)
    assert [n for start, stop in parts for n in range(start, stop)] == list(range(frames))
    assert all(length // 2 <= chunk.frames < 2 * length for chunk in done) or frames < length
    assert chunks.code_chunks(store, frames, length, None) == done


@pytest.mark.slow
def test_chunks_start_with_encoders_of_their_own(street, tmp_path, monkeypatch):
    started = []
    original = StdinProcess.__init__

    def note(self, name, argv, depth=4, process=None):
        started.append(name)
        original(self, name, argv, depth, process)

    monkeypatch.setattr(StdinProcess, "__init__", note)
    encode(street / "in.mkv", tmp_path / "a.mkv", masks=street / "sac.mkv", preset="ultrafast", chunk=1)
    assert started == ["ROI encoder", "non-ROI encoder", "mask encoder"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"mode": "single-stream", "codec": "x265"}], ids=str)
def test_chunks_at_once_give_the_file_of_one_after_the_other(street, tmp_path, how):
    """Where every encoder has as many threads, here one."""
    how = {**how, "masks": street / "sac.mkv", "preset": "superfast", "chunk": 0.4}
    encode(street / "in.mkv", tmp_path / "one.mkv", jobs=1, threads=1, **how)
    seen = []
    encode(street / "in.mkv", tmp_path / "two.mkv", jobs=2, threads=2, progress=lambda *d: seen.append(d), **how)
    assert (tmp_path / "one.mkv").read_bytes() == (tmp_path / "two.mkv").read_bytes()
    assert seen == [(n, 75) for n in range(1, 76)]
    assert nothing_left(tmp_path)


@pytest.mark.slow
def test_the_network_runs_once_per_frame_in_chunks_too(street, tmp_path):
    """The masks are those of a whole encode."""
    encode(street / "in.mkv", tmp_path / "a.mkv", preset="ultrafast", chunk=0.4, jobs=3)
    masks = [container.open_mask_grid(container.probe(path)) for path in (tmp_path / "a.mkv", street / "sac.mkv")]
    assert same(*masks)


@pytest.mark.slow
def test_when_one_chunk_fails_the_others_end_and_those_that_are_done_stay(street, tmp_path, monkeypatch):
    original = StdinProcess.__init__

    def fail(self, name, argv, depth=4, process=None):
        # The third chunk's.
        broken = name == "ROI encoder" and "000002." in argv[-1]
        if broken:
            argv, process = [sys.executable, "-c", "import sys; sys.exit('broken')"], None
        original(self, name, argv, depth, process)

    monkeypatch.setattr(StdinProcess, "__init__", fail)
    how = {"masks": street / "sac.mkv", "preset": "ultrafast", "chunk": 0.4, "jobs": 2, "threads": 2}
    with pytest.raises(SacError, match="broken"):
        encode(street / "in.mkv", tmp_path / "a.mkv", **how)
    store = tmp_path / "a.mkv.chunks"
    kept = sorted(p.name for p in store.iterdir())
    assert kept[-1] == "plan.json"
    assert "000000" in kept[:-1]
    assert not list(store.glob("*.part"))
    monkeypatch.setattr(StdinProcess, "__init__", original)
    encode(street / "in.mkv", tmp_path / "a.mkv", resume=True, **how)
    encode(street / "in.mkv", tmp_path / "b.mkv", **how)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


@pytest.mark.slow
def test_an_interrupt_ends_all_chunks(street, tmp_path):
    words = ["encode", street / "in.mkv", "--masks", street / "sac.mkv", "--chunk", "0.4", "--jobs", "2"]
    words = [sys.executable, "-m", "vs_sac", *map(str, words), "-o", str(tmp_path / "a.mkv"), "--preset", "veryslow"]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    store, until = tmp_path / "a.mkv.chunks", time.monotonic() + 60
    while len(list(store.glob("*.part"))) < 2 and time.monotonic() < until:
        time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    assert "interrupted" in running.communicate(timeout=60)[1]
    assert running.returncode == 1
    assert nothing_left(tmp_path)
    assert not list(store.glob("*.part"))
