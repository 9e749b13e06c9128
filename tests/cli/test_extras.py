"""The program on an installation without the extras ``train`` and ``report``."""

import subprocess
import sys

import pytest

from vs_sac.cli.program import COMMANDS

from .machine import vs_sac

#: What the extras bring.
_EXTRA_PACKAGES = (
    "PIL", "jinja2", "markupsafe", "matplotlib", "onnx", "onnxscript", "scipy", "tensorboard", "timm", "torch",
)  # fmt: skip


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Environment of a Python that has none of them."""
    folder = tmp_path_factory.mktemp("bare")
    code = f"import sys\nsys.modules.update(dict.fromkeys({_EXTRA_PACKAGES!r}))\n"
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder), "COLUMNS": "100"}


def said_in_one_line(done, code):
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("vs-sac: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_simulation_holds(bare):
    code = "import torch"
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.slow_except(r"^(encode|train)$")
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_its_help(bare, name):
    done = vs_sac(name, "--help", env=bare)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(f"Usage: vs-sac {name}")


@pytest.mark.slow_except(r"^train")
@pytest.mark.parametrize(
    ("name", "extra"),
    [("compare", "report"), ("train", "train"), ("export", "train"), ("quantize", "train"), ("test-model", "train"),
     ("add-model", "models"), ("train-importance", "train")],
)  # fmt: skip
def test_help_names_the_extra(bare, name, extra):
    assert f"Needs the extra \"{extra}\": pip install 'vs-sac[{extra}]'." in vs_sac(name, "--help", env=bare).stdout


@pytest.mark.slow_except(r"0")
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["compare", "a.mp4", "--report", "{tmp}/out"], "report"),
        (["train", "--data", "camvid:x", "--out", "{tmp}/y"], "train"),
        (["export", "a.pt", "b.onnx"], "train"),
        (["quantize", "a.onnx", "b.onnx", "--data", "camvid:x"], "train"),
        (["test-model", "--dataset", "camvid:x"], "train"),
        (["add-model", "a.onnx", "--classes", "cityscapes19"], "models"),
    ],
)
def test_a_run_names_the_extra_before_any_work(bare, tmp_path, arguments, extra):
    done = vs_sac(*(word.format(tmp=tmp_path) for word in arguments), env=bare, cwd=tmp_path)
    assert f"pip install 'vs-sac[{extra}]'" in said_in_one_line(done, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("encod", "did you mean encode?"),
        ("comapre", "did you mean compare?"),
        ("drive.mp4", "vs-sac encode SOURCE -o OUT.mkv"),
        ("./drive", "vs-sac encode SOURCE -o OUT.mkv"),
        ("xyzzy", "commands: encode, decode"),
        ("", "commands: encode, decode"),
    ],
)
def test_an_unknown_command_is_one_line_with_the_nearest_name(bare, word, hint):
    line = said_in_one_line(vs_sac(word, "x.mp4", env=bare), 2)
    assert f"unknown command {word!r}" in line
    assert hint in line


@pytest.mark.slow_except(r"0")
@pytest.mark.parametrize("arguments", [["--wrong"], ["encode", "--wrong"], ["train", "--wrong"], ["compare"]])
def test_wrong_options_are_one_line(bare, arguments):
    said_in_one_line(vs_sac(*arguments, env=bare), 2)


def test_the_overview_needs_no_extra(bare):
    done = vs_sac("--help", env=bare)
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)


def test_the_settings_of_training_need_no_torch_and_the_rest_names_the_extra(bare):
    code = (
        "from vs_sac.training.settings import TrainSettings\n"
        "import vs_sac.training as training\n"
        "print(TrainSettings(data=('camvid:x',)).epochs, hasattr(training, 'nothing'))\n"
        "from vs_sac.training import train\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=False)
    assert done.stdout == "47 False\n"
    assert "SacMissingError" in done.stderr
    assert "pip install 'vs-sac[train]'" in done.stderr


def test_a_package_that_no_extra_brings_is_named_alone(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['numba'] = None")
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1 C420jpeg\nFRAME\n" + bytes(384))
    (tmp_path / "m.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1 Cmono\nFRAME\n" + bytes([255]) * 256)
    done = vs_sac("evaluate", tmp_path / "a.y4m", tmp_path / "a.y4m", "--masks", tmp_path / "m.y4m",
                  env={"PYTHONPATH": str(tmp_path)})  # fmt: skip
    assert said_in_one_line(done, 1) == "vs-sac: numba is not installed; get it with: pip install numba\n"
