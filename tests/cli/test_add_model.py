"""``vs-sac add-model``, and the commands that use what it adds."""

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from vs_sac import open_clip, segment
from vs_sac.cli import program
from vs_sac.container import probe
from vs_sac.source.synthetic import street_scene

from ..helpers import arrays_of, write_ffv1

pytest.importorskip("onnx", reason="needs the extra models")

from ..segmentation.foreign import Foreign


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VS_SAC_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    return tmp_path / "models"


@pytest.fixture
def command(capsys):
    """Runs a command; gives what it prints."""

    def run(*words, code=0):
        capsys.readouterr()
        assert program.run([str(word) for word in words]) == code
        return capsys.readouterr()

    return run


def test_the_table_and_the_result(tmp_path, folder, command):
    network = Foreign(channels="bgr").write(tmp_path / "street.onnx")
    shown = command("add-model", network, "--classes", "cityscapes19", "--channels", "bgr", "--mean",
                    "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--threshold", "0.7")  # fmt: skip
    lines = {line[:13].strip(): line.split() for line in shown.err.splitlines()}
    assert lines["layout"][1:3] == ["nchw", "read"]
    assert lines["channels"][1:3] == ["bgr", "given"]
    assert lines["output"][1:3] == ["logits", "guessed"]
    assert "nature: vegetation, terrain" in shown.err
    assert shown.out.startswith("test frame: roi ")
    assert f"{folder / 'street.onnx'}: use it with --model street" in shown.out
    assert "street in" in command("doctor").out
    card = json.loads((folder / "street.json").read_text())
    assert card["threshold"] == 0.7
    assert card["found"]["channels"] == "bgr (given)"


def test_a_class_list_with_unknown_names_is_a_warning(tmp_path, command):
    (tmp_path / "list.txt").write_text("way\nsky\nhut\n")
    network = Foreign(count=3).write(tmp_path / "three.onnx")
    shown = command("add-model", network, "--classes", tmp_path / "list.txt", "-o", tmp_path / "out.onnx")
    assert "no group is known of way, hut, so they are ROI" in shown.err
    assert f"--model {tmp_path / 'out.onnx'}" in shown.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--classes", "coco"], 1, "no class list 'coco'; known: cityscapes19, camvid11, mapillary66"),
        (["--classes", "camvid11"], 1, "no output fits the class list"),
        (["--classes", "cityscapes19", "--mean", "1,2"], 2, "--mean 1,2; accepted: R,G,B, three numbers"),
        (["--classes", "cityscapes19", "--layout", "chw"], 2, "nhwc"),
        (["--classes", "cityscapes19", "--input", "x"], 2, "accepted: HEIGHTxWIDTH"),
        (["--classes", "cityscapes19", "--name", "ccnet-lite"], 2, "is that of a shipped model"),
        ([], 2, "--classes"),
    ],
)
def test_a_mistake_ends_with_one_line_and_leaves_nothing(tmp_path, folder, command, words, code, said):
    network = Foreign().write(tmp_path / "net.onnx")
    shown = command("add-model", network, *words, code=code)
    assert said in shown.err.splitlines()[-1]
    assert shown.err.splitlines()[-1].startswith("vs-sac: ")
    assert not list(folder.glob("*"))


@pytest.mark.encoder
@pytest.mark.slow_except("argmax")
@pytest.mark.parametrize(
    "foreign",
    [
        Foreign(kind="argmax", layout="nhwc", dtype="uint8", size=(96, 160), stride=4),
        Foreign(dtype="float16", stride=32),
        Foreign(kind="softmax", stride=8, size=(65, 129)),
    ],
    ids=["argmax", "float16", "odd"],
)
def test_encoding_and_segmenting_with_an_added_network(tmp_path, command, foreign):
    command("add-model", foreign.write(tmp_path / "street.onnx"), "--classes", "cityscapes19")
    source = write_ffv1(street_scene(160, 96, 10)[0], tmp_path / "street.mkv")
    command("encode", source, "-o", tmp_path / "a.mkv", "--model", "street", "--preset", "ultrafast")
    info = probe(tmp_path / "a.mkv")
    assert (info.frames, info.model) == (10, "street")
    for backend in ("python", "ort"):
        command("segment", source, "-o", tmp_path / f"{backend}.mkv", "--model", "street", "--backend", backend)
    assert open_clip(tmp_path / "ort.mkv").num_frames == 10
    words = ["encode", source, "-o", tmp_path / "b.mkv", "--model", "street", "--threshold", "0.9", "--dry-run"]
    if foreign.kind == "argmax":
        said = command(*words, code=2).err
        assert "threshold 0.9 has no meaning for street, whose output is argmax" in said
    else:
        assert "threshold 0.9" in command(*words).out


@pytest.mark.encoder
def test_a_network_as_it_is_names_the_command(tmp_path, command):
    source = write_ffv1(street_scene(160, 96, 2)[0], tmp_path / "street.mkv")
    network = Foreign(layout="nhwc").write(tmp_path / "net.onnx")
    (line,) = command("encode", source, "-o", tmp_path / "a.mkv", "--model", network, code=1).err.splitlines()
    assert "its layout is NHWC" in line
    assert "vs-sac add-model net.onnx --classes LIST" in line
    assert not (tmp_path / "a.mkv").exists()


@pytest.mark.slow
def test_the_example_of_the_guide(tmp_path, folder, command, monkeypatch):
    """The network of the guide learns the street, and what is added finds it again."""
    pytest.importorskip("torch", reason="needs the extra train")
    pytest.importorskip("onnxscript", reason="needs the extra train")
    guide = (Path(__file__).resolve().parents[2] / "docs/guides/own-network.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "street.py").write_text(code)
    subprocess.run([sys.executable, "street.py"], check=True, capture_output=True)
    (line,) = re.findall(r"vs-sac (add-model street.onnx .*--std.*)", guide)
    command(*line.split())
    clip, truth = street_scene(320, 192, 60)
    got, expected = (arrays_of(each[55])[0][0] for each in (segment(clip, model="street"), truth))
    assert (got == expected).mean() > 0.8
