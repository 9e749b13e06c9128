"""Names are names: no option, no protocol, no shell, no network, no code in a model file."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from vs_sac import SacError, container, decode, encode, open_clip, segment

from ..helpers import mask_clip, noise_clip, same, vs_sac, write_ffv1

pytestmark = pytest.mark.encoder

NAMES = [
    ' it\'s "quoted"\n\tünï 码😀 $(touch hacked) `touch hacked`; touch hacked & | * ? %d %s @x',
    "-i",
    "concat:a|b",
    "pipe:0",
    "file:http:x",
    "😀" * 60,
]


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_ffv1(noise_clip(64, 64, 3, smooth=True), tmp_path / "source.mkv")


@pytest.mark.parametrize("tools", ["native", "pip"])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_a_plain_file(source, tmp_path, monkeypatch, name, tools):
    if tools == "pip":
        monkeypatch.setenv("PATH", "")
    inside, masks, out = tmp_path / "in", tmp_path / "masks", tmp_path / "out"
    for folder in (inside, masks, out):
        folder.mkdir()
    mask = mask_clip(np.random.default_rng(0).random((3, 4, 4)) < 0.5)
    encode(source, masks / f"{name}.mkv", masks=mask, preset="ultrafast")
    (inside / f"{name}.mkv").write_bytes(source.read_bytes())
    monkeypatch.chdir(inside)
    how = {"masks": masks / f"{name}.mkv", "preset": "ultrafast", "encoder_args": "--qp 0", "chunk": 1}
    encode(f"{name}.mkv", out / f"{name}.mkv", **how)
    monkeypatch.chdir(out)
    decode(f"{name}.mkv", f"{name}.y4m")
    decode(f"{name}.mkv", f"{name}-.mkv")
    assert same(open_clip(f"{name}.y4m"), open_clip(source))
    assert same(open_clip(f"{name}-.mkv"), open_clip(source))
    assert sorted(path.name for path in out.iterdir()) == sorted([f"{name}.mkv", f"{name}.y4m", f"{name}-.mkv"])
    assert not list(tmp_path.rglob("hacked"))
    assert container.probe(f"{name}.mkv").model.startswith("masks:")


def test_the_command_takes_such_names_too(source, tmp_path):
    name = "-é \n'.mkv"
    (tmp_path / name).write_bytes(source.read_bytes())
    done = vs_sac("encode", f"-o=./{name}.mkv", "--preset=ultrafast", "--", name)
    assert done.returncode == 0, done.stderr
    done = vs_sac("encode", "-o", "x.mkv", "http://127.0.0.1:9/x.mp4")
    assert done.returncode == 1
    assert "does not exist" in done.stderr


def test_a_name_that_is_no_text_is_refused_in_a_sentence(source, tmp_path):
    name = os.fsdecode(b"\xff.mkv")
    (tmp_path / name).write_bytes(source.read_bytes())
    for arguments in (["info", name], ["encode", name, "-o", "a.mkv"], ["encode", source, "-o", f"a{name}"]):
        done = vs_sac(*arguments)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert "is not UTF-8; rename it" in done.stderr


def test_without_a_network_nothing_changes(source, tmp_path):
    alone = ["unshare", "--net", sys.executable, "-m", "vs_sac", "demo", "-o", tmp_path / "demo", "--frames", "2",
             "--size", "64x64"]  # fmt: skip
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("a process without network needs the right to make one")
    done = subprocess.run(alone, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


class Payload:
    def __reduce__(self):
        return (os.mkdir, ("hacked",))


def test_a_model_is_never_unpickled(source, tmp_path):
    (tmp_path / "a.onnx").write_bytes(pickle.dumps(Payload()))
    for backend in ("ort", "python"):
        with pytest.raises(SacError, match="cannot use model"):
            segment(open_clip(source), model=tmp_path / "a.onnx", backend=backend)
    assert not (tmp_path / "hacked").exists()


def test_a_checkpoint_is_never_unpickled(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from vs_sac.training.export import load_checkpoint

    monkeypatch.chdir(tmp_path)
    torch.save({"model": Payload()}, tmp_path / "a.pt")
    with pytest.raises(SacError):
        load_checkpoint(tmp_path / "a.pt")
    assert not (tmp_path / "hacked").exists()
