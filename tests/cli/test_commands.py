"""Every command for users, in this process, on a scene of a few frames; `test_program` has them as programs."""

import json
import warnings

import pytest

from vs_sac import open_clip
from vs_sac.cli import program
from vs_sac.encoders.worker_pool import command_line_workers
from vs_sac.source.synthetic import street_scene

from ..helpers import same, write_ffv1

pytestmark = pytest.mark.encoder


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A street, and a SAC file of it without loss."""
    folder = tmp_path_factory.mktemp("commands")
    source = write_ffv1(street_scene(160, 96, 4)[0], folder / "street.mkv")
    words = ["encode", source, "-o", folder / "sac.mkv", "--encoder-args", "--qp 0", "--preset", "ultrafast"]
    assert program.run([str(word) for word in words]) == 0
    return source


@pytest.fixture(autouse=True)
def _no_workers():
    """A command leaves no worker that waits, also if it fails early."""
    yield
    assert not command_line_workers._waiting


@pytest.fixture
def command(capsys, monkeypatch):
    """Runs a command that is to succeed; gives what it prints."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def run(*words, code=0):
        capsys.readouterr()
        assert program.run([str(word) for word in words]) == code
        return capsys.readouterr()

    return run


def test_decode_and_evaluate(street, tmp_path, command):
    sac, back = street.with_name("sac.mkv"), tmp_path / "back.y4m"
    assert command("decode", sac, "-o", back).err == ""
    assert same(open_clip(back), open_clip(street))
    shown = command("evaluate", street, sac, "--json", tmp_path / "q.json", "--per-frame", tmp_path / "f.csv").out
    assert "PSNR luma" in shown
    assert "inf" in shown
    values = json.loads((tmp_path / "q.json").read_text())
    assert values["frames"] == 4
    assert values["bytes"]["total"] == sac.stat().st_size
    assert len((tmp_path / "f.csv").read_text().splitlines()) == 5


def test_info_and_verify(street, tmp_path, command):
    sac = street.with_name("sac.mkv")
    shown = command("info", sac).out
    for name in ("SAC_VERSION", "two-stream", "160", "96"):
        assert name in shown
    assert "ROI" in command("verify", sac).out
    (tmp_path / "cut.mkv").write_bytes(sac.read_bytes()[: sac.stat().st_size // 2])
    command("verify", tmp_path / "cut.mkv", code=1)


def test_segment(street, tmp_path, command):
    command("segment", street, "-o", tmp_path / "m.mkv", "--overlay", tmp_path / "o.mp4")
    assert open_clip(tmp_path / "m.mkv").num_frames == open_clip(tmp_path / "o.mp4").num_frames == 4
    assert "inf" in command("evaluate", street, street, "--masks", tmp_path / "m.mkv").out


def test_doctor(command):
    shown = command("doctor").out
    for name in ("VapourSynth", "BestSource", "encoder x264", "encoder x265", "ccnet-lite"):
        assert name in shown


def test_demo(tmp_path, command):
    assert "PSNR" in command("demo", "-o", tmp_path / "demo", "--frames", 4, "--size", "160x96").out
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == ["overlay.png", "result.json", "street.mkv"]
    assert (tmp_path / "demo/overlay.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["encode", "{street}"], 2, "-o"),
        (["encode", "{street}", "-o", "{tmp}/a.mkv", "--crf-roi", "99"], 2, "crf_roi 99.0 is outside 0-51"),
        (["encode", "{street}", "-o", "{tmp}/a.mkv", "--crf-rio", "9"], 2, "--crf-roi"),
        (["encode", "{tmp}/none.mp4", "-o", "{tmp}/a.mkv"], 1, "does not exist"),
        (["decode", "{street}", "-o", "{tmp}/a.y4m"], 1, "no SAC file"),
        (["decode", "{tmp}/none.mkv", "-o", "{tmp}/a.y4m"], 1, "does not exist"),
        (["evaluate", "{street}", "{street}"], 2, "masks"),
        (["segment", "{street}", "-o", "{tmp}/a.mp4"], 2, "must end in .mkv"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_leaves_nothing(street, tmp_path, command, words, code, said):
    shown = command(*(word.format(street=street, tmp=tmp_path) for word in words), code=code)
    (line,) = shown.err.splitlines()
    assert line.startswith("vs-sac: ")
    assert said in line
    assert shown.out == ""
    assert not list(tmp_path.iterdir())
