import csv
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.interrupts import processes, processes_about
from vs_sac import open_clip
from vs_sac.source.synthetic import street_scene

from ..helpers import same, vs_sac, write_ffv1

pytestmark = pytest.mark.encoder


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A street scene of 12 frames as a file."""
    folder = tmp_path_factory.mktemp("street")
    return write_ffv1(street_scene(192, 112, 12)[0], folder / "street.mkv")


@pytest.fixture(scope="module")
def long_street(tmp_path_factory):
    """Long enough to be interrupted."""
    folder = tmp_path_factory.mktemp("long")
    clip = street_scene(320, 192, 10)[0]
    return write_ffv1(clip * 60, folder / "street.mkv")


def test_what_few_commands_need_is_not_imported_at_the_start():
    def loaded(module):
        code = f"import sys; import {module}; print(*sys.modules)"
        return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())

    heavy = {"numba", "onnxruntime", "torch", "scipy", "PIL", "matplotlib"}
    assert "cyclopts" in (program := loaded("vs_sac.cli"))
    assert not heavy & program
    assert not {"vapoursynth", "numpy", "av"} & program
    assert "numpy" in (command := loaded("vs_sac.cli.encode"))
    assert not heavy & command


@pytest.mark.slow
def test_the_whole_job(street, tmp_path):
    sac, back = tmp_path / "a.mkv", tmp_path / "b.y4m"
    done = vs_sac("encode", street, "-o", sac, "--encoder-args", "--qp 0", "--json", tmp_path / "e.json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # quiet where stderr is no terminal
    assert "12 frames" in done.stdout
    assert json.loads((tmp_path / "e.json").read_text())["bytes"]["file"] == sac.stat().st_size

    assert vs_sac("decode", sac, "-o", back).returncode == 0
    assert same(open_clip(back), open_clip(street))
    piped = vs_sac("decode", sac, "-o", "-", text=False)
    assert piped.stdout == back.read_bytes()
    assert piped.stderr == b""

    done = vs_sac("evaluate", street, sac, "--json", tmp_path / "q.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "q.json").read_text())
    assert result["psnr"]["all"] == result["psnr"]["roi"] == "inf"
    assert (result["frames"], result["width"], result["height"], result["fps"]) == (12, 192, 112, 25)
    parts = result["bytes"]
    assert parts["total"] == parts["roi"] + parts["non_roi"] + parts["mask"] + parts["container"]
    assert parts["total"] == sac.stat().st_size

    done = vs_sac("info", sac)
    assert done.returncode == 0
    assert "SAC_VERSION" in done.stdout


@pytest.mark.slow
def test_evaluate_keeps_the_contract_of_its_json(street, tmp_path):
    # The network sees little in so small a scene; every frame is segmented so that some of it is not ROI.
    vs_sac("encode", street, "-o", tmp_path / "a.mkv", "--every", "1")
    vs_sac("evaluate", street, tmp_path / "a.mkv", "--json", tmp_path / "q.json")
    result = json.loads((tmp_path / "q.json").read_text())
    keys = {
        "frames": None, "width": None, "height": None, "fps": None, "roi_share": None, "bitrate_kbps": None,
        "compression_ratio": None, "sa_psnr": None, "sa_ssim": None,
        "bytes": {"total", "roi", "non_roi", "mask", "container"}, "psnr": {"all", "roi", "non_roi", "ring"},
        "ssim": {"all", "roi", "non_roi"}, "weights": {"roi", "non_roi"},
        "paper": {"psnr_roi", "psnr_non_roi", "sa_psnr", "sa_ssim", "r_roi", "r_non"},
    }  # fmt: skip
    for key, inner in keys.items():
        assert key in result
        if inner:
            assert inner <= set(result[key])
    assert result["psnr"]["non_roi"] < result["psnr"]["all"] < result["psnr"]["roi"]
    raw = 192 * 112 * 1.5 * 12
    assert result["compression_ratio"] == pytest.approx(raw / result["bytes"]["total"])


@pytest.mark.slow
def test_evaluate_adds_what_is_asked_for(street, tmp_path):
    vs_sac("encode", street, "-o", tmp_path / "a.mkv")
    wanted = ["--all-planes", "--flashes", "--xpsnr"]
    for name in ("f.csv", "f.json"):
        done = vs_sac(
            "evaluate", street, tmp_path / "a.mkv", *wanted, "--per-frame", tmp_path / name,
            "--json", tmp_path / "q.json", "--force",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "q.json").read_text())
    assert set(result["planes"]) == {"y", "u", "v"}
    assert result["flashes"]["total"] == 0
    assert len(result["flashes"]["per_frame"]) == 12
    assert result["xpsnr"]["value"] == result["xpsnr"]["y"] > 20
    with (tmp_path / "f.csv").open() as file:
        rows = list(csv.DictReader(file))
    frames = json.loads((tmp_path / "f.json").read_text())
    assert len(rows) == len(frames) == 12
    assert [float(row["psnr_v_all"]) for row in rows] == [frame["psnr_v_all"] for frame in frames]
    assert "ssim_u_ring" in rows[0]
    for word in ("ring", "5 % low", "PSNR v", "XPSNR", "flash pixels"):
        assert word in done.stdout


@pytest.mark.slow
def test_segment_writes_masks_and_an_overlay(street, tmp_path):
    done = vs_sac("segment", street, "-o", tmp_path / "m.mkv", "--overlay", tmp_path / "o.mp4")
    assert done.returncode == 0, done.stderr
    assert open_clip(tmp_path / "m.mkv").num_frames == open_clip(tmp_path / "o.mp4").num_frames == 12
    done = vs_sac("evaluate", street, street, "--masks", tmp_path / "m.mkv")
    assert done.returncode == 0, done.stderr
    assert "inf" in done.stdout


@pytest.mark.slow
def test_doctor_and_demo(tmp_path):
    done = vs_sac("doctor")
    assert done.returncode == 0
    for name in ("VapourSynth", "BestSource", "encoder x264", "encoder x265", "ccnet-lite"):
        assert name in done.stdout
    done = vs_sac("demo", "-o", tmp_path / "demo", "--frames", 8, "--size", "192x112", env={"PATH": ""})
    assert done.returncode == 0, done.stderr
    assert "PSNR" in done.stdout
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == ["overlay.png", "result.json", "street.mkv"]
    assert (tmp_path / "demo/overlay.png").read_bytes().startswith(b"\x89PNG")


def test_doctor_says_what_is_missing_and_how_to_get_it(monkeypatch):
    from vs_sac.cli import doctor
    from vs_sac.encoders import registry

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(registry, "_ffmpegs", list)
    findings = {finding.name: finding for finding in doctor.examine()}
    assert not findings["encoder x264"].found
    assert "install x264" in findings["encoder x264"].remedy


def test_doctor_names_added_models_with_a_wrong_card(monkeypatch, tmp_path):
    from vs_sac.cli import doctor

    monkeypatch.setenv("VS_SAC_MODELS", str(tmp_path))
    for name, card in (("good", "{}"), ("bad", '{"threshold": 9}')):
        (tmp_path / f"{name}.onnx").touch()
        (tmp_path / f"{name}.json").write_text(card)
    findings = {finding.name: finding for finding in doctor.examine()}
    assert findings["added models"].found == f"bad (its card is wrong), good in {tmp_path}"


USAGE = [
    ([], 0),
    (["--help"], 0),
    (["encode", "--help"], 0),
    (["encode"], 2),
    (["encode", "{street}", "-o", "{tmp}/a.mkv", "--codec", "av1"], 2),
    (["encode", "{street}", "-o", "{tmp}/a.mkv", "--preset", "fastest"], 2),
    (["encode", "{street}", "-o", "{tmp}/a.mkv", "--crf-roi", "high"], 2),
    (["encode", "{street}", "-o", "{tmp}/a.mkv", "--crf-roi", "99"], 2),
    (["encode", "{street}", "-o", "{tmp}/a.mkv", "--wrong"], 2),
    (["encode", "{street}", "-o", "{tmp}/a.mp4"], 2),
    (["nonsense"], 2),
    (["evaluate", "{street}", "{street}"], 2),
    (["evaluate", "{street}", "{street}", "--per-frame", "{tmp}/a.txt"], 2),
    (["demo", "--size", "big"], 2),
    (["encode", "{tmp}/none.mp4", "-o", "{tmp}/a.mkv"], 1),
    (["encode", "{tmp}/text.mp4", "-o", "{tmp}/a.mkv"], 1),
    (["encode", "{tmp}/empty.mp4", "-o", "{tmp}/a.mkv"], 1),
    (["encode", "{street}", "-o", "/proc/a.mkv"], 1),
    (["encode", "{street}", "-o", "{tmp}/no/such/a.mkv"], 1),
    (["encode", "{street}", "-o", "{tmp}/there.mkv"], 1),
    (["encode", "{street}", "-o", "{tmp}/a.mkv", "--model", "none"], 1),
    (["encode", "{street}", "-o", "{tmp}/a.mkv", "--encoder-args", "--no-such-option"], 1),
    (["encode", "{street}", "-o", "{tmp}/a.mkv", "--masks", "{tmp}/text.mp4"], 1),
    (["decode", "{street}", "-o", "{tmp}/a.y4m"], 1),
    (["info", "{street}"], 1),
    (["segment", "{tmp}/none.mp4", "-o", "{tmp}/a.mkv"], 1),
    (["evaluate", "{street}", "{tmp}/none.mkv"], 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "code"), USAGE, ids=[" ".join(a) or "nothing" for a, _ in USAGE])
def test_every_mistake_is_one_line_and_leaves_nothing(street, tmp_path, arguments, code):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "there.mkv").write_text("precious")
    before = sorted(tmp_path.iterdir())
    done = vs_sac(*(a.format(street=street, tmp=tmp_path) for a in arguments))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code:
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("vs-sac: ")
        assert done.stdout == ""
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.mkv").read_text() == "precious"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.0, 0.7])
def test_an_interrupt_leaves_no_half_file_and_no_process(long_street, tmp_path, number, delay):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mkv").write_text("precious")
    command = [sys.executable, "-m", "vs_sac", "encode", str(long_street), "-o", str(out / "a.mkv"), "--force"]
    process = subprocess.Popen([*command, "--preset", "slower"], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while len(processes_about(out)) < 4 and time.monotonic() < until:  # itself and three encoders
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    time.sleep(delay * random.random())
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert stderr.strip() == "vs-sac: interrupted"
    until = time.monotonic() + 5
    while processes_about(out) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_about(out) == []
    assert [p.name for p in out.iterdir()] == ["a.mkv"]
    assert (out / "a.mkv").read_text() == "precious"


@pytest.mark.slow
def test_an_encoder_killed_from_outside(long_street, tmp_path):
    command = [sys.executable, "-m", "vs_sac", "encode", str(long_street), "-o", str(tmp_path / "a.mkv")]
    process = subprocess.Popen([*command, "--preset", "slower"], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    victim = None
    while victim is None and time.monotonic() < until:
        time.sleep(0.05)
        victim = next((pid for pid, about in processes() if f"{tmp_path}/" in about and "/non-roi." in about), None)
    assert victim
    os.kill(victim, signal.SIGKILL)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "killed by SIGKILL" in stderr
    assert len(stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal(long_street, tmp_path):
    """Through a pseudo-terminal, as a person sees it."""
    import pty

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "vs_sac", "encode", str(long_street), "-o", str(tmp_path / "a.mkv")]
    process = subprocess.Popen(
        [*command, "--preset", "medium"], stderr=follower, stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            block = os.read(leader, 4096)
        except OSError:
            break
        if not block:
            break
        seen += block
    process.communicate(timeout=60)
    assert process.returncode == 0
    for part in (b"encode", b"/600", b"fps", b"ETA"):
        assert part in seen


@pytest.mark.slow
def test_the_reader_of_decoded_video_may_go_away(street, tmp_path):
    vs_sac("encode", street, "-o", tmp_path / "a.mkv", "--preset", "ultrafast")
    line = f"'{sys.executable}' -m vs_sac decode '{tmp_path}/a.mkv' -o - | head -c 100 > /dev/null"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(("name", "codec"), [("udacity_solidWhiteRight.mp4", "x264"), ("vd_test_small1.mp4", "x265")])
def test_real_clips_go_through_the_whole_job(data, tmp_path, name, codec):
    source = data / "clips" / name
    assert vs_sac("encode", source, "-o", tmp_path / "a.mkv", "--codec", codec, "--preset", "veryfast").returncode == 0
    assert vs_sac("decode", tmp_path / "a.mkv", "-o", tmp_path / "back.mkv").returncode == 0
    assert vs_sac("evaluate", source, tmp_path / "a.mkv", "--json", tmp_path / "q.json").returncode == 0
    result = json.loads((tmp_path / "q.json").read_text())
    original, back = open_clip(source), open_clip(tmp_path / "back.mkv")
    assert (back.num_frames, back.width, back.height, back.fps) == (
        original.num_frames, original.width, original.height, original.fps,
    )  # fmt: skip
    assert result["frames"] == original.num_frames
    assert 0.2 < result["roi_share"] < 0.8
    assert result["psnr"]["roi"] > result["psnr"]["non_roi"] > 25
