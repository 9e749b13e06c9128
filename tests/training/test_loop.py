"""Tiny trainings: they learn, repeat and resume."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from vs_sac.core.errors import SacFileError, SacValueError  # noqa: E402
from vs_sac.training.augment import Augmentation  # noqa: E402
from vs_sac.training.loop import Loss, Schedule, TrainSettings, _epoch_order, _rate, train  # noqa: E402
from vs_sac.training.model import ModelSpec  # noqa: E402

from .folders import make_camvid  # noqa: E402

TINY = ModelSpec(
    backbone="resnet18", stem=4, layers=(1, 1, 1, 1), channels=(4, 8, 8, 8), attention=8, decoder=(8, 8, 4), fine=False
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums over threads may come in another order; equality to the bit needs one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def settings(root: Path, **changes: Any) -> TrainSettings:
    base = TrainSettings(
        data=(make_camvid(root / "data"),),
        epochs=4,
        batch=2,
        learning_rate=3e-3,
        crop=(64, 64),
        model=TINY,
    )
    return replace(base, **changes)


def log(out: Path) -> list[dict[str, float]]:
    with (out / "log.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def weights(path: Path, part: str) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)[part]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.slow
@pytest.mark.parametrize("loss", Loss)
def test_loss_falls(loss: Loss, tmp_path: Path) -> None:
    train(settings(tmp_path, epochs=30, loss=loss, learning_rate=6e-3), tmp_path / "run")
    losses = [row["loss"] for row in log(tmp_path / "run")]
    assert len(losses) == 30
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:2])


@pytest.mark.slow
def test_overfits_four_images(tmp_path: Path) -> None:
    chosen = settings(
        tmp_path,
        epochs=60,
        batch=4,
        crop=(128, 192),
        learning_rate=2e-2,
        loss=Loss.CE_DICE,
        schedule=Schedule.ONE_CYCLE,
        # Twice their size, as the network sees pictures as small as these.
        augmentation=Augmentation(scale=(2.0, 2.0), stretch=0, rotate=0, photometric=False),
        model=replace(TINY, channels=(8, 12, 12, 12), dropout=0.0),
    )
    chosen = replace(chosen, validation=chosen.data)
    train(chosen, tmp_path / "run")
    assert log(tmp_path / "run")[-1]["miou"] > 0.9


@pytest.mark.slow_except(r"0$|no")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "ema": 0.9,
            "schedule": Schedule.ONE_CYCLE,
            "bf16": False,
            "class_weights": (2.0, 1.0, 1.0, 1.0),
            "block_weight": 0.5,
            "smooth_weight": 0.3,
            "rarity": 0.5,
            "model": replace(TINY, fine=True),
        },
    ],
    ids=["paper", "options"],
)
def test_resume_repeats_the_uninterrupted_run_to_the_bit(changes: dict[str, Any], tmp_path: Path) -> None:
    chosen = settings(tmp_path, **changes)
    chosen = replace(chosen, validation=chosen.data)
    train(chosen, tmp_path / "whole")

    class StopError(Exception):
        pass

    def interrupt(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            raise StopError

    with pytest.raises(StopError):
        train(chosen, tmp_path / "cut", on_epoch=interrupt)
    assert [row["epoch"] for row in log(tmp_path / "cut")] == [0, 1]
    # As if it had been killed between writing the log and the checkpoint.
    with (tmp_path / "cut" / "log.csv").open("a") as file:
        file.write("2,9,9,9,9,9,9,9\r\n")
    train(chosen, tmp_path / "cut", resume=True)
    for part in ("model", "average"):
        assert same(weights(tmp_path / "whole" / "last.pt", part), weights(tmp_path / "cut" / "last.pt", part))
    assert same(weights(tmp_path / "whole" / "best.pt", "weights"), weights(tmp_path / "cut" / "best.pt", "weights"))
    for whole, cut in zip(log(tmp_path / "whole"), log(tmp_path / "cut"), strict=True):
        assert {**whole, "seconds": 0} == {**cut, "seconds": 0}


@pytest.mark.slow
def test_same_seed_same_weights_and_another_differs(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train(settings(tmp_path, epochs=1, seed=seed), tmp_path / name)
    a, b, c = (weights(tmp_path / name / "last.pt", "model") for name in "abc")
    assert same(a, b)
    assert not same(a, c)


def test_finished_run_resumes_to_itself(tmp_path: Path) -> None:
    chosen = settings(tmp_path, epochs=1)
    best = train(chosen, tmp_path / "run")
    before = (tmp_path / "run" / "last.pt").read_bytes()
    assert train(chosen, tmp_path / "run", resume=True) == best
    assert (tmp_path / "run" / "last.pt").read_bytes() == before


def test_resume_without_a_checkpoint_starts(tmp_path: Path) -> None:
    assert train(settings(tmp_path, epochs=1), tmp_path / "run", resume=True).is_file()


def test_resume_with_other_settings_is_refused(tmp_path: Path) -> None:
    chosen = settings(tmp_path, epochs=1)
    train(chosen, tmp_path / "run")
    with pytest.raises(SacValueError, match=r"last\.pt was trained with other settings"):
        train(replace(chosen, learning_rate=1e-3), tmp_path / "run", resume=True)


def test_broken_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_bytes(b"nothing")
    with pytest.raises(SacFileError, match=r"last\.pt is no checkpoint"):
        train(settings(tmp_path), tmp_path / "run", resume=True)


def test_outputs_of_a_run(tmp_path: Path) -> None:
    chosen = settings(tmp_path, epochs=2)
    rows: list[dict[str, float]] = []
    best = train(replace(chosen, validation=chosen.data), tmp_path / "run", on_epoch=rows.append)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["best.pt", "last.pt", "log.csv", "settings.json"]
    assert best == tmp_path / "run" / "best.pt"
    stored = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert stored["epochs"] == 2
    assert stored["model"]["attention"] == TINY.attention
    assert list(rows[0]) == ["epoch", "loss", "miou", "roi", "construction", "nature", "sky", "seconds"]
    assert [row["epoch"] for row in rows] == [0, 1]
    chosen_row = torch.load(best, weights_only=True)["row"]
    assert chosen_row["miou"] == max(row["miou"] for row in rows)


def test_without_validation_the_best_is_the_last(tmp_path: Path) -> None:
    train(settings(tmp_path, epochs=2), tmp_path / "run")
    run = tmp_path / "run"
    assert same(weights(run / "best.pt", "weights"), weights(run / "last.pt", "model"))


def test_average_is_what_is_chosen_with_ema(tmp_path: Path) -> None:
    train(settings(tmp_path, epochs=2, ema=0.9), tmp_path / "run")
    run = tmp_path / "run"
    averaged = {k.removeprefix("module."): v for k, v in weights(run / "last.pt", "average").items()}
    del averaged["n_averaged"]
    assert same(weights(run / "best.pt", "weights"), averaged)
    assert not same(weights(run / "best.pt", "weights"), weights(run / "last.pt", "model"))


@pytest.mark.slow
def test_mixed_precision_runs_and_learns(tmp_path: Path) -> None:
    train(settings(tmp_path, epochs=6, bf16=True), tmp_path / "run")
    losses = [row["loss"] for row in log(tmp_path / "run")]
    assert losses[-1] < losses[0]


def test_fewer_images_than_a_batch_still_train(tmp_path: Path) -> None:
    train(settings(tmp_path, epochs=1, batch=8), tmp_path / "run")
    assert len(log(tmp_path / "run")) == 1


def test_weights_of_sets_say_how_often_they_are_seen() -> None:
    rng = np.random.default_rng(0)
    order = _epoch_order([10, 4], [1.0, 2.5], rng)
    counts = {(d, i): order.count((d, i)) for d, i in order}
    assert len(order) == 10 + 10
    assert all(counts[0, i] == 1 for i in range(10))
    assert {counts[1, i] for i in range(4)} <= {2, 3}
    part = _epoch_order([10], [0.3], rng)
    assert len(part) == len(set(part)) == 3


def test_learning_rate_schedules(tmp_path: Path) -> None:
    flat = settings(tmp_path, learning_rate=1.0)
    cycle = replace(flat, schedule=Schedule.ONE_CYCLE)
    assert {_rate(flat, p) for p in (0, 0.3, 1)} == {1.0}
    values = [_rate(cycle, p) for p in np.linspace(0, 1, 101)]
    assert values[5] == max(values) == 1.0
    assert values[:6] == sorted(values[:6])
    assert values[5:] == sorted(values[5:], reverse=True)
    assert 0 < values[-1] <= 1e-3


@pytest.mark.parametrize(
    ("changes", "needle"),
    [
        ({"data": ()}, "no training data"),
        ({"epochs": 0}, "epochs 0"),
        ({"batch": 0}, "batch 0"),
        ({"crop": (70, 80)}, r"crop \(70, 80\)"),
        ({"crop": (48, 80)}, r"crop \(48, 80\)"),
        ({"ema": 1.0}, "ema 1.0"),
        ({"learning_rate": 0.0}, "learning_rate 0.0"),
        ({"weight_decay": -0.1}, "weight_decay -0.1"),
        ({"block_weight": -1.0}, "block_weight"),
        ({"block_recall": 0.0}, "block_recall"),
        ({"start": "a.pt", "backbone_weights": "b.pt"}, "give one"),
        ({"class_weights": (1.0, -1.0, 1.0, 1.0)}, "class_weights"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], needle: str) -> None:
    with pytest.raises(SacValueError, match=needle):
        TrainSettings(**({"data": ("camvid:/d",)} | changes))


def test_defaults_are_the_papers() -> None:
    s = TrainSettings(data=("camvid:/d",))
    assert (s.learning_rate, s.betas, s.weight_decay, s.epochs, s.batch) == (3e-4, (0.9, 0.999), 1e-5, 47, 4)
    assert (s.loss, s.schedule) == (Loss.BCE_DICE, Schedule.CONSTANT)


def test_bad_data_is_reported_before_training(tmp_path: Path) -> None:
    with pytest.raises(SacFileError, match="missing"):
        train(TrainSettings(data=(f"camvid:{tmp_path}/nowhere",)), tmp_path / "run")


@pytest.mark.gpu
def test_trains_on_a_gpu(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    train(settings(tmp_path, epochs=1, bf16=True), tmp_path / "run", device="cuda")
    assert log(tmp_path / "run")[0]["loss"] > 0


def test_log_for_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    chosen = settings(tmp_path)
    train(chosen, tmp_path / "run", tensorboard=True)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("loss")]
    assert losses == pytest.approx([float(row["loss"]) for row in log(tmp_path / "run")], rel=1e-4)
