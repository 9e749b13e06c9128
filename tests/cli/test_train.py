"""``vs-sac train`` and ``vs-sac export`` on a tiny run."""

import hashlib
import json
import shlex
import subprocess
import sys
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")
pytest.importorskip("onnxscript", reason="onnxscript (extra 'train') is not installed")

from cyclopts import App, CycloptsError  # noqa: E402

from vs_sac.cli import models  # noqa: E402
from vs_sac.cli import train as cli  # noqa: E402
from vs_sac.core.errors import SacFileError, SacMissingError, SacValueError  # noqa: E402
from vs_sac.core.labels import FINE_CLASSES  # noqa: E402
from vs_sac.segmentation.registry import find_model  # noqa: E402
from vs_sac.training.augment import Augmentation  # noqa: E402
from vs_sac.training.loop import Loss, Schedule, TrainSettings  # noqa: E402
from vs_sac.training.model import build_model  # noqa: E402
from vs_sac.training.settings import MODELS  # noqa: E402

from ..training.folders import make_camvid  # noqa: E402
from ..training.networks import TINY, checkpoint  # noqa: E402

#: What --device auto means here.
_AUTO = "cuda" if torch.cuda.is_available() else "cpu"


def run(*arguments: object) -> None:
    app = App(name="vs-sac")
    app.command(cli.train)
    app.command(models.export)
    app([str(a) for a in arguments], exit_on_error=False, print_error=False, result_action="return_value")


def parsed(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[TrainSettings, dict[str, object]]:
    """The settings a command line leads to, without training."""
    seen: dict[str, object] = {}

    def fake(settings: TrainSettings, out: Path, **rest: object) -> Path:
        seen.update(settings=settings, out=out, **rest)
        return out / "best.pt"

    monkeypatch.setattr(import_module("vs_sac.training.loop"), "train", fake)
    run("train", *arguments)
    settings = seen.pop("settings")
    assert isinstance(settings, TrainSettings)
    # The command line's are a subclass, and dataclasses of different classes are never equal.
    return TrainSettings(**{option.name: getattr(settings, option.name) for option in fields(TrainSettings)}), seen


@pytest.mark.slow
def test_train_and_export_end_to_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data, out = make_camvid(tmp_path / "data"), tmp_path / "run"
    arguments = ["--data", data, "--val", data, "--out", out, "--crop", 64, 64, "--batch", 4]
    run("train", *arguments, "--epochs", 2)
    printed, progress = capfd.readouterr()
    assert printed.splitlines() == [str(out / "best.pt")]
    lines = progress.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ")
    assert "mIoU 0." in lines[0]
    assert lines[1].endswith("ETA 0:00:00")

    with pytest.raises(SacFileError, match="holds a run; go on with --resume"):
        run("train", *arguments, "--epochs", 2)
    run("train", *arguments, "--epochs", 2, "--resume")
    with pytest.raises(SacValueError, match="other settings"):
        run("train", *arguments, "--epochs", 3, "--resume")

    capfd.readouterr()
    onnx = tmp_path / "model.onnx"
    test = make_camvid(tmp_path / "data", "test", count=2, seed=9)
    run("export", out / "best.pt", onnx, "--test", test, "--threshold", 0.4)
    assert capfd.readouterr().out.splitlines() == [str(onnx), str(onnx.with_suffix(".json"))]
    card = json.loads(onnx.with_suffix(".json").read_text())
    assert card["name"] == "model"
    assert card["sha256"] == hashlib.sha256(onnx.read_bytes()).hexdigest()
    assert card["bytes"] == onnx.stat().st_size
    assert card["parameters"] == sum(p.numel() for p in build_model().parameters())
    assert card["training"]["settings"]["data"] == [data]
    assert card["training"]["checkpoint"]["epoch"] in (0, 1)
    figures = card["figures"][test]
    assert figures["images"] == 2
    assert figures["roi_iou"] == figures["iou"]["roi"]
    present = [value for value in figures["iou"].values() if value is not None]
    assert figures["miou"] == pytest.approx(np.mean(present), rel=1e-3)
    assert {"python", "torch", "onnxruntime"} <= card["versions"].keys()
    assert card["command"] == f"vs-sac export {out / 'best.pt'} {onnx} --threshold 0.4 --test {test}"
    # The main program's side of the contract.
    model = find_model(onnx)
    assert (model.threshold, model.working_area) == (0.4, 640 * 360)


def test_defaults_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings, rest = parsed(monkeypatch, "--data", "camvid:/d", "--out", tmp_path)
    assert settings == TrainSettings(data=("camvid:/d",))
    assert (rest["resume"], rest["device"], rest["out"]) == (False, _AUTO, tmp_path)


def test_every_option_arrives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings, rest = parsed(
        monkeypatch, "--data", "camvid:/a", "--data", "camvid:/b:train:0.5", "--val", "camvid:/c:val", "--out",
        tmp_path, "--epochs", 3, "--batch", 2, "--learning-rate", 2e-3, "--weight-decay", 0.01, "--loss", "ce-dice",
        "--schedule", "one-cycle", "--crop", 64, 96, "--zoom", 0.5, 2, "--paste", 0.25, "--weather", 0.3, "--warp", 0.1,
        "--rarity", 0.5, "--fine-weight", 2, "--smooth-weight", 0.3,
        "--ema", 0.99, "--class-weights", 2, 1, 1, 0.5, "--bf16",
        "--seed", 7, "--resume",
    )  # fmt: skip
    assert settings == TrainSettings(
        data=("camvid:/a", "camvid:/b:train:0.5"),
        validation=("camvid:/c:val",),
        epochs=3,
        batch=2,
        learning_rate=2e-3,
        weight_decay=0.01,
        loss=Loss.CE_DICE,
        schedule=Schedule.ONE_CYCLE,
        crop=(64, 96),
        augmentation=Augmentation(scale=(0.5, 2.0), paste=0.25, weather=0.3, warp=0.1),
        rarity=0.5,
        fine_weight=2.0,
        smooth_weight=0.3,
        ema=0.99,
        class_weights=(2.0, 1.0, 1.0, 0.5),
        bf16=True,
        seed=7,
    )
    assert rest["resume"] is True


def test_the_recipe_of_the_default_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every command of the script is one that the program accepts, and nothing that is scored is trained on."""
    script = Path(__file__).parents[2] / "scripts" / "train_default_network.py"
    shown = subprocess.run(
        [sys.executable, script, "/data", tmp_path / "out", "--dry-run"], capture_output=True, text=True, check=True
    ).stdout
    commands = [shlex.split(line)[1:] for line in shown.splitlines()]
    assert [words[0] for words in commands] == ["train", "export", "quantize", *["test-model"] * 4]
    settings, _ = parsed(monkeypatch, *commands[0][1:])
    assert settings.model == MODELS["ccnet-lite"]
    assert settings.augmentation.paste > 0
    scored = {words[n + 1] for words in commands[3:] for n, word in enumerate(words) if word == "--dataset"}
    trained = {text.rpartition(":")[0] for text in settings.data}
    assert len(scored) == 6
    assert not scored & trained
    assert not any("unseen" in text or ":val" in text or ":test" in text for text in trained)


def test_usage_errors(tmp_path: Path) -> None:
    for arguments in (
        ["--out", tmp_path],
        ["--data", "camvid:/d"],
        ["--data", "camvid:/d", "--out", tmp_path, "--loss", "mse"],
        ["--data", "camvid:/d", "--out", tmp_path, "--crop", 32],
    ):
        with pytest.raises(CycloptsError):
            run("train", *arguments)


def test_an_unknown_weight_is_refused(tmp_path: Path) -> None:
    for option in ("rarity", "fine-weight", "smooth-weight"):
        with pytest.raises(SacValueError, match=f"{option.replace('-', '_')} -1.0 must be at least 0"):
            run("train", "--data", "camvid:/d", "--out", tmp_path, f"--{option}", -1)


def test_unknown_devices(tmp_path: Path) -> None:
    with pytest.raises(SacValueError, match="'toaster' is no torch device"):
        run("train", "--data", "camvid:/d", "--out", tmp_path, "--device", "toaster")
    with pytest.raises(SacMissingError, match="CUDA devices, not cuda:99"):
        run("train", "--data", "camvid:/d", "--out", tmp_path, "--device", "cuda:99")


def test_export_overwrites_only_with_force(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The real one takes seconds and is tested elsewhere.
    monkeypatch.setattr(
        import_module("vs_sac.training.export"),
        "export_onnx",
        lambda _, out, **_rest: out.write_bytes(b"model"),
    )
    checkpoint(tmp_path / "best.pt")
    model, card = tmp_path / "m.onnx", tmp_path / "m.json"
    for existing in (model, card):
        existing.write_text("mine")
        with pytest.raises(SacFileError, match=rf"{existing} exists; use --force"):
            run("export", tmp_path / "best.pt", model)
        assert existing.read_text() == "mine"
        existing.unlink()
    model.write_text("mine")
    run("export", tmp_path / "best.pt", model, "--card", tmp_path / "card.json", "--force")
    assert model.read_bytes() == b"model"
    assert json.loads((tmp_path / "card.json").read_text())["bytes"] == 5
    assert not card.exists()
    assert json.loads((tmp_path / "card.json").read_text())["figures"] == {}


def test_the_card_of_fine_classes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Names of the classes, and where the first weights come from; networks of four classes have neither."""
    monkeypatch.setattr(
        import_module("vs_sac.training.export"),
        "export_onnx",
        lambda _, out, half, roi_odds: out.write_bytes(b"h" * (1 + half)),
    )
    checkpoint(tmp_path / "fine.pt", replace(TINY, fine=True))
    checkpoint(tmp_path / "four.pt")
    run("export", tmp_path / "fine.pt", tmp_path / "fine.onnx", "--half", "--credit", "weights of X, MIT")
    run("export", tmp_path / "four.pt", tmp_path / "four.onnx")
    fine, four = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("fine", "four"))
    assert find_model(tmp_path / "fine.onnx").classes == tuple(fine["classes"]) == FINE_CLASSES
    assert fine["credit"] == "weights of X, MIT"
    assert fine["bytes"] == 2
    assert fine["command"].endswith("--half --credit 'weights of X, MIT'")
    assert not {"classes", "credit"} & four.keys()


def test_export_checks_its_arguments_before_any_work(tmp_path: Path) -> None:
    checkpoint(tmp_path / "best.pt")
    out = tmp_path / "m.onnx"
    for arguments, kind in (
        (["--threshold", 0], SacValueError),
        (["--roi-odds", 0], SacValueError),
        (["--card", out], SacValueError),
        (["--test", "nothing:/d"], SacValueError),
        (["--test", f"camvid:{tmp_path}/none"], SacFileError),
    ):
        with pytest.raises(kind):
            run("export", tmp_path / "best.pt", out, *arguments)
    with pytest.raises(SacFileError, match="training run"):
        run("export", tmp_path / "none.pt", out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.pt"]


def test_progress_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    with cli._epoch_progress(2) as show:
        show({"epoch": 0.0, "loss": 0.5, "miou": 0.25})
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 1/2  loss 0.5000  mIoU 0.250  ETA 0:00:0" in err


def test_clock() -> None:
    assert [cli._clock(s) for s in (0, 59.6, 3725.4)] == ["0:00:00", "0:01:00", "1:02:05"]


def test_without_torch_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "try:\n    from vs_sac.training import train\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("SacMissingError")
    assert "vs-sac[train]" in done.stdout


@pytest.mark.slow_except(r"^torch-arguments[02]$")
@pytest.mark.parametrize(
    "arguments", [["train", "--data", "camvid:x", "--out", "y"], ["export", "a", "b"], ["test-model", "--dataset", "x"]]
)
@pytest.mark.parametrize("missing", ["torch", "PIL"])
def test_commands_without_the_extra_name_it(arguments: list[str], missing: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from vs_sac.cli import main; main({arguments!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "pip install 'vs-sac[train]'" in done.stderr
    assert done.stderr.count("\n") == 1
