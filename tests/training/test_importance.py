"""Targets of importance from gradients, the fit of the predictor, and the command."""

import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

import torch
from PIL import Image

from vs_sac import cli
from vs_sac.core.errors import SacFileError, SacFormatError, SacValueError
from vs_sac.masks.importance import FEATURES, ImportancePredictor
from vs_sac.training import importance_sets
from vs_sac.training.data import load_image
from vs_sac.training.importance import (
    ImportanceSample,
    block_targets,
    coded_picture,
    correlation,
    fisher_importance,
    fit_predictor,
    open_network,
)
from vs_sac.training.importance_sets import TargetMaker, find_set

from ..helpers import noise_clip, write_ffv1


def pointwise(weights):
    """A network that looks at each pixel alone: logits = weights · pixel."""
    return lambda rgb: torch.nn.functional.conv2d(rgb, torch.tensor(weights)[..., None, None])


def test_the_importance_is_the_expectation_over_the_networks_own_labels():
    """For softmax(W x), the expected squared gradient is Σ_k p_k |W_k − Σ_j p_j W_j|², in closed form."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(4, 3)).astype(np.float32)
    rgb = random.random((1, 3, 64, 128), np.float32)
    logits = np.einsum("kc,chw->khw", weights, rgb[0])
    chances = np.exp(logits) / np.exp(logits).sum(0)
    mean = np.einsum("khw,kc->chw", chances, weights)
    apart = ((weights[:, :, None, None] - mean) ** 2).sum(1)
    expected = (chances * apart).sum(0)
    found = fisher_importance(pointwise(weights), torch.tensor(rgb), draws=16, cell=64)
    np.testing.assert_allclose(np.exp2(found), expected.reshape(1, 64, 2, 64).mean((1, 3)), rtol=0.02)


def test_the_labels_of_pixels_are_drawn_independently():
    """Where pixels share inputs, Fisher information is the sum over labels: F = Σ_pixels Σ_k p_k (∂ log p_k / ∂x)²."""
    torch.manual_seed(1)
    network = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)
    rgb = torch.rand(1, 3, 4, 4) * 3
    slopes = torch.autograd.functional.jacobian(lambda x: torch.log_softmax(network(x), 1)[0], rgb)[:, :, :, 0]
    chances = torch.softmax(network(rgb), 1)[0]
    expected = 0.0
    for k in range(3):
        for y in range(4):
            for x in range(4):
                expected += float(chances[k, y, x]) * np.square(slopes[k, y, x].numpy()).sum(0)
    found = fisher_importance(network, rgb, draws=600, cell=2)
    np.testing.assert_allclose(np.exp2(found), expected.reshape(2, 2, 2, 2).mean((1, 3)), rtol=0.1)


def test_partial_cells_and_missing_gradients():
    weights = np.array([[1, 0, 0], [-1, 0, 0]], np.float32)
    rgb = torch.zeros(1, 3, 10, 12)
    assert fisher_importance(pointwise(weights), rgb).shape == (2, 2)
    flat = fisher_importance(pointwise(weights * 0), rgb)
    assert np.isneginf(flat).all()
    assert (block_targets(flat, 24, 20) == -10).all()
    for wrong in (lambda x: x.mean((1, 2, 3)), lambda x: {"out": x}, lambda x: x.detach()):
        with pytest.raises(SacFormatError, match="accepted: logits"):
            fisher_importance(wrong, rgb)
    with pytest.raises(SacFormatError, match=r"fails for an input of \(1, 3, 10, 12\): .*channels"):
        fisher_importance(torch.nn.Conv2d(4, 2, 1), rgb)


def test_targets_are_means_in_linear_scale():
    cells = np.log2(np.array([[1, 3], [5, 7]], np.float32))
    assert block_targets(cells, 16, 16)[0, 0] == pytest.approx(2)
    np.testing.assert_allclose(np.exp2(block_targets(cells, 32, 32)), [[1, 3], [5, 7]], rtol=1e-5)


def test_large_pictures_are_reduced_by_whole_factors():
    assert coded_picture(Image.new("RGB", (2048, 1024))).size == (1024, 512)
    assert coded_picture(Image.new("RGB", (960, 540))).size == (960, 540)
    assert coded_picture(Image.new("RGB", (1242, 375))).size == (1242, 375)
    with pytest.raises(SacValueError, match="area is 0; accepted: from 256"):
        coded_picture(Image.new("RGB", (64, 48)), 0)


def learnable(count, seed):
    """Importance that follows from two features, plus a level of the picture."""
    random = np.random.default_rng(seed)
    for n in range(count):
        features = random.normal(size=(len(FEATURES), 6, 9 if n % 2 else 7)).astype(np.float32)
        yield ImportanceSample(f"{n}", features, features[3] - 2 * np.abs(features[25]) + random.normal() * 4)


def test_the_fit_finds_a_function_of_the_features_and_is_repeatable():
    samples, others = list(learnable(40, 0)), list(learnable(10, 1))
    predictor = fit_predictor(samples, steps=250, channels=12, about={"why": "test"})
    assert correlation(predictor, others) > 0.9
    assert predictor.about["pictures"] == 40
    short = [fit_predictor(samples, steps=20, channels=12) for _ in range(2)]
    for name in ("into", "mix", "out"):
        np.testing.assert_array_equal(getattr(short[0], name), getattr(short[1], name))
    with pytest.raises(SacValueError, match="accepted: from 1"):
        fit_predictor([])


def test_a_fit_that_is_interrupted_leaves_torch_as_it_was():
    def stop(done, steps):
        raise KeyboardInterrupt

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with pytest.raises(KeyboardInterrupt):
        fit_predictor(list(learnable(2, 0)), steps=2, progress=stop)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (threads, strict)


def test_pictures_without_differences_have_no_correlation():
    sample = next(learnable(1, 0))
    flat = ImportanceSample("flat", sample.features, np.zeros_like(sample.target))
    predictor = fit_predictor([sample], steps=5)
    assert np.isnan(correlation(predictor, [flat]))
    assert correlation(predictor, [flat, sample]) == correlation(predictor, [sample])


@pytest.fixture
def drive(tmp_path):
    return drive_of(tmp_path / "front", 3)


def drive_of(folder, seed):
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for n in range(3):
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        coarse.resize((96, 72)).save(folder / f"{n}.png")
    return folder


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_the_command_makes_targets_and_goes_on_where_it_was(tmp_path, drive, capsys, monkeypatch):
    network = torch.nn.Conv2d(3, 5, 3, padding=1)
    torch.jit.script(network).save(str(tmp_path / "net.pt"))
    words = ["train-importance", str(drive), "-o", str(tmp_path / "own.npz"), "--network", str(tmp_path / "net.pt"),
             "--input", "4096", "--steps", "20"]  # fmt: skip
    assert cli.run(words) == 0
    assert "3 pictures, correlation" in capsys.readouterr().out
    predictor = ImportancePredictor.load(tmp_path / "own.npz")
    (about,) = predictor.about["sets"]
    assert (about["name"], about["pictures"], about["held_out"]) == ("front", 3, False)
    kept = sorted((tmp_path / "own.npz.targets").iterdir())
    assert len(kept) == 3
    monkeypatch.setattr(importance_sets, "fisher_importance", None)
    assert cli.run([*words, "--force"]) == 0, "the targets are kept, so none is made"
    np.testing.assert_array_equal(ImportancePredictor.load(tmp_path / "own.npz").mix, predictor.mix)
    assert cli.run(words) == 1
    assert "exists" in capsys.readouterr().err


def test_targets_are_kept_by_pixels_network_and_settings(tmp_path, drive, monkeypatch):
    """Pictures of one name in two folders, and other networks and settings, have targets of their own."""
    torch.manual_seed(0)
    networks = {name: torch.nn.Conv2d(3, 5, 3, padding=1) for name in ("net:a", "net:b")}
    monkeypatch.setattr(importance_sets, "open_network", networks.get)
    picture, other = (load_image(folder / "0.png") for folder in (drive, drive_of(tmp_path / "other" / "front", 4)))
    ways = [("net:a", 4096, 2, picture), ("net:a", 4096, 2, other), ("net:b", 4096, 2, picture),
            ("net:a", (64, 32), 2, picture), ("net:a", 4096, 3, picture), ("net:a", 4096, 2, picture)]  # fmt: skip
    made = [
        TargetMaker(network, tmp_path / "kept", size=size, draws=draws).target("0", image)
        for network, size, draws, image in ways
    ]
    assert len({target.tobytes() for target in made}) == 5
    np.testing.assert_array_equal(made[0], made[5])
    assert made[3].shape == (4, 8)
    assert len(list((tmp_path / "kept").iterdir())) == 5


def test_given_targets_and_sets_that_are_held_out(tmp_path, drive, capsys):
    for n in range(2):
        cells = np.random.default_rng(n).normal(size=(9, 12))
        (tmp_path / "w").mkdir(exist_ok=True)
        np.save(tmp_path / "w" / f"{n}.npy", cells.astype(np.float16))
    other = drive_of(tmp_path / "rear", 5)
    words = ["train-importance", f"{drive}={tmp_path / 'w'}", f"{other}={tmp_path / 'w'}", "-o",
             str(tmp_path / "own.npz"), "--steps", "5"]  # fmt: skip
    assert cli.run([*words, "--hold-out", f"{other}={tmp_path / 'w'}"]) == 0
    fitted, held = capsys.readouterr().out.splitlines()[:2]
    assert fitted.endswith("(fitted)")
    assert "rear" in held
    assert held.endswith("(held out)")
    assert ImportancePredictor.load(tmp_path / "own.npz").about["pictures"] == 2
    (tmp_path / "w" / "0.npy").write_bytes(b"\x93NUMPY\x01\x00\x02\x00{'")
    assert cli.run([*words, "--force"]) == 1
    assert "cannot read" in capsys.readouterr().err


def test_videos_and_datasets_are_sets(tmp_path):
    write_ffv1(noise_clip(64, 48, 5), tmp_path / "drive.mkv")
    frames = find_set(str(tmp_path / "drive.mkv"), 2)
    assert [picture.name for picture in frames.pictures] == ["drive-000000", "drive-000002", "drive-000004"]
    assert frames.pictures[1].read().size == (64, 48)
    root = tmp_path / "data=set"
    drive_of(root / "images", 1)
    found = find_set(str(root / "images"), 1)
    assert (found.name, len(found.pictures)) == ("images", 3)
    drive_of(tmp_path / "labelled" / "images", 2)
    dataset = find_set(f"train-id-folder:{tmp_path / 'labelled'}", 1)
    assert [picture.name for picture in dataset.pictures] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["{drive}"], "give --network", 2),
        (["{drive}={drive}"], "no target for an image", 1),
        (["{drive}", "--network", "gone.pt"], "cannot load the network gone.pt", 1),
        (["{drive}", "--network", "no.such:net"], "cannot load the network no.such:net", 1),
        (["{drive}", "--hold-out", "other"], "none of the sets", 2),
        (["{drive}", "--hold-out", "front"], "names all sets", 2),
        (["{drive}=gone"], "folder of targets 'gone' does not exist", 1),
        (["gone"], "gone does not exist", 1),
        (["{drive}", "--steps", "0"], "--steps is 0; accepted: from 1", 2),
        (["{drive}", "--coded-area", "0"], "--coded-area is 0; accepted: from 256", 2),
        (["{drive}", "--input", "1024x"], "--input is '1024x'; accepted: WxH", 2),
        (["{drive}", "--draws", "0"], "accepted: above 0, from 1", 2),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, drive, capsys, words, said, code):
    given = [word.format(drive=drive) for word in words]
    assert cli.run(["train-importance", *given, "-o", str(tmp_path / "own.npz")]) == code
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vs-sac:")]
    assert said in line
    assert not (tmp_path / "own.npz").exists()


def test_networks_are_found_in_the_folder_of_the_user(tmp_path, monkeypatch):
    (tmp_path / "own_net_for_test.py").write_text(
        "import torch\ndef net():\n    return torch.nn.Conv2d(3, 5, 1)\ndef number():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = [*sys.path]
    assert open_network("own_net_for_test:net")(torch.zeros(1, 3, 2, 2)).shape == (1, 5, 2, 2)
    assert sys.path == before
    with pytest.raises(SacFileError, match="gives a int; accepted: a torch module"):
        open_network("own_net_for_test:number")


def test_networks_of_other_kinds_are_refused(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"no archive")
    with pytest.raises(SacFileError, match="accepted: a TorchScript file"):
        open_network(str(tmp_path / "a.pt"))
