"""Targets of importance from gradients, the fit of the predictor, and the command."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

import torch
from PIL import Image

from vs_sac import cli
from vs_sac.core.errors import SacFileError, SacFormatError, SacValueError
from vs_sac.masks.importance import FEATURES, ImportancePredictor
from vs_sac.training.importance import (
    ImportanceSample,
    block_targets,
    coded_picture,
    correlation,
    fisher_importance,
    fit_predictor,
    open_network,
)


def pointwise(weights):
    """A network that looks at each pixel alone: logits = weights · pixel."""
    return lambda rgb: torch.nn.functional.conv2d(rgb, torch.tensor(weights)[..., None, None])


def test_the_importance_is_the_expectation_over_the_networks_own_labels():
    """For softmax(W x), the expected squared gradient is Σ_k p_k |W_k − Σ_j p_j W_j|², in closed form."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(4, 3)).astype(np.float32)
    rgb = random.random((1, 3, 8, 16), np.float32)
    logits = np.einsum("kc,chw->khw", weights, rgb[0])
    chances = np.exp(logits) / np.exp(logits).sum(0)
    mean = np.einsum("khw,kc->chw", chances, weights)
    apart = ((weights[:, :, None, None] - mean) ** 2).sum(1)
    expected = (chances * apart).sum(0)
    found = fisher_importance(pointwise(weights), torch.tensor(rgb), draws=3000)
    cells = expected.reshape(1, 8, 2, 8).mean((1, 3))
    np.testing.assert_allclose(np.exp2(found), cells, rtol=0.05)


def test_partial_cells_and_missing_gradients():
    weights = np.array([[1, 0, 0], [-1, 0, 0]], np.float32)
    rgb = torch.zeros(1, 3, 10, 12)
    assert fisher_importance(pointwise(weights), rgb).shape == (2, 2)
    flat = fisher_importance(pointwise(weights * 0), rgb)
    assert np.isneginf(flat).all()
    assert (block_targets(flat, 24, 20) == -10).all()
    with pytest.raises(SacFormatError, match="accepted: logits"):
        fisher_importance(lambda x: x.mean((1, 2, 3)), rgb)


def test_targets_are_means_in_linear_scale():
    cells = np.log2(np.array([[1, 3], [5, 7]], np.float32))
    assert block_targets(cells, 16, 16)[0, 0] == pytest.approx(2)
    np.testing.assert_allclose(np.exp2(block_targets(cells, 32, 32)), [[1, 3], [5, 7]], rtol=1e-5)


def test_large_pictures_are_reduced_by_whole_factors():
    assert coded_picture(Image.new("RGB", (2048, 1024))).size == (1024, 512)
    assert coded_picture(Image.new("RGB", (960, 540))).size == (960, 540)
    assert coded_picture(Image.new("RGB", (1242, 375))).size == (1242, 375)


def learnable(count, seed):
    """Importance that follows from two features, plus a level of the picture."""
    random = np.random.default_rng(seed)
    for n in range(count):
        features = random.normal(size=(len(FEATURES), 6, 9 if n % 2 else 7)).astype(np.float32)
        yield ImportanceSample(f"{n}", features, features[3] - 2 * np.abs(features[25]) + random.normal() * 4)


def test_the_fit_finds_a_function_of_the_features_and_is_repeatable():
    samples, others = list(learnable(40, 0)), list(learnable(10, 1))
    predictor = fit_predictor(samples, steps=250, channels=12, about={"why": "test"})
    assert correlation(predictor, others) > 0.8
    assert predictor.about["pictures"] == 40
    again = fit_predictor(samples, steps=250, channels=12)
    np.testing.assert_allclose(again.out, predictor.out, atol=1e-5)
    with pytest.raises(SacValueError, match="accepted: from 1"):
        fit_predictor([])


@pytest.fixture
def drive(tmp_path):
    folder = tmp_path / "front"
    folder.mkdir()
    random = np.random.default_rng(3)
    for n in range(3):
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        coarse.resize((96, 72)).save(folder / f"{n}.png")
    return folder


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_the_command_makes_targets_and_goes_on_where_it_was(tmp_path, drive, capsys):
    network = torch.nn.Conv2d(3, 5, 3, padding=1)
    torch.jit.script(network).save(str(tmp_path / "net.pt"))
    words = ["train-importance", str(drive), "-o", str(tmp_path / "own.npz"), "--network", str(tmp_path / "net.pt"),
             "--input-area", "4096", "--steps", "20"]  # fmt: skip
    assert cli.run(words) == 0
    assert "3 pictures, correlation" in capsys.readouterr().out
    predictor = ImportancePredictor.load(tmp_path / "own.npz")
    assert predictor.about["sets"] == ["front"]
    kept = sorted((tmp_path / "own.npz.targets").iterdir())
    assert len(kept) == 3
    (tmp_path / "net.pt").unlink()
    assert cli.run([*words, "--force"]) == 0, "the targets are kept, so the network is not needed"
    assert cli.run(words) == 1
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["{drive}"], "give --network", 2),
        (["{drive}={drive}"], "no target for an image", 1),
        (["{drive}", "--network", "gone.pt"], "cannot load the network gone.pt", 1),
        (["{drive}", "--network", "no.such:net"], "cannot load the network no.such:net", 1),
        (["{drive}", "--hold-out", "other"], "none of the sets", 2),
        (["{drive}", "--network", "a.pt", "--draws", "0"], "accepted: above 0, from 1", 2),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, drive, capsys, words, said, code):
    given = [word.format(drive=drive) for word in words]
    assert cli.run(["train-importance", *given, "-o", str(tmp_path / "own.npz")]) == code
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vs-sac:")]
    assert said in line
    assert not (tmp_path / "own.npz").exists()


def test_networks_of_other_kinds_are_refused(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"no archive")
    with pytest.raises(SacFileError, match="accepted: a TorchScript file"):
        open_network(str(tmp_path / "a.pt"))
