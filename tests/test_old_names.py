"""Names of earlier releases: they work, and say with a DeprecationWarning what to use."""

import sys
from importlib import import_module

import numpy as np
import pytest

import vs_sac
from vs_sac import container, core, masks, metrics, open_clip, open_sac, pipeline
from vs_sac.core.lazy import lazy_names, renamed_argument
from vs_sac.core.macroblocks import grid_size

from .helpers import mask_clip, noise_clip, same, write_ffv1


@pytest.mark.parametrize(
    ("package", "old", "place", "new"),
    [
        (masks, "carry_grid", "vs_sac.masks.propagation", "propagate_mask"),
        (masks, "close_gaps", "vs_sac.masks.morphology", "morphological_closing"),
        (masks, "hold_roi", "vs_sac.masks.morphology", "temporal_dilation"),
        (container, "open_sac", "vs_sac.pipeline.reconstruction", "open_sac"),
    ],
)
def test_functions_that_were_renamed_or_moved(package, old, place, new):
    with pytest.warns(
        DeprecationWarning, match=rf"{package.__name__}\.{old} is deprecated; use {place}\.{new}$"
    ) as seen:
        function = getattr(package, old)
    assert function is getattr(sys.modules[place], new)
    assert seen[0].filename == __file__, "the warning points at the caller"
    assert old not in package.__all__ or old == new


def test_names_that_nobody_knows():
    for package in (vs_sac, container, masks, metrics, pipeline, core):
        with pytest.raises(AttributeError, match=f"{package.__name__}.*no_such_name"):
            _ = package.no_such_name


def test_the_array_function_whose_arguments_came_in_another_order():
    grid = np.arange(6).reshape(2, 3)
    with pytest.warns(DeprecationWarning, match=r"use masks\.expand_grid_array\(grid, width, height\)") as seen:
        old = metrics.expand_grid(grid, 20, 40)
    assert seen[0].filename == __file__
    np.testing.assert_array_equal(old, masks.expand_grid_array(grid, 40, 20))
    with pytest.warns(DeprecationWarning, match="expand_grid_array"):
        assert metrics.expand_grid(np.ones((3, 5)), 20, 40, block=8).shape == (20, 40)


@pytest.mark.encoder
def test_in_order_is_sequential(tmp_path):
    clip = noise_clip(64, 48, 3, smooth=True)
    source = write_ffv1(clip, tmp_path / "in.mkv")
    with pytest.warns(DeprecationWarning, match="argument in_order of open_clip is deprecated; use sequential") as seen:
        opened = open_clip(source, in_order=True)
    assert seen[0].filename == __file__
    assert same(opened, clip)
    columns, rows = grid_size(64, 48)
    mask = mask_clip(np.ones((3, rows, columns), np.bool_))
    vs_sac.encode(source, tmp_path / "a.mkv", masks=mask, preset="ultrafast")
    with pytest.warns(DeprecationWarning, match="argument in_order of open_sac is deprecated; use sequential"):
        opened = open_sac(tmp_path / "a.mkv", in_order=True)
    assert same(opened, open_sac(tmp_path / "a.mkv", sequential=True))


def test_soften_is_low_pass_without_a_warning():
    assert vs_sac.soften is vs_sac.low_pass
    from vs_sac import streams

    assert streams.soften is streams.low_pass


def test_old_import_paths_of_the_public_functions():
    from vs_sac.masks import expand_grid, roi_mask
    from vs_sac.metrics import measure
    from vs_sac.pipeline import encode, encode_uniform
    from vs_sac.segmentation import Model, find_model, segment

    for name, function in {"encode": encode, "encode_uniform": encode_uniform, "segment": segment,
                           "roi_mask": roi_mask}.items():  # fmt: skip
        assert getattr(vs_sac, name) is function
    assert all(map(callable, (expand_grid, measure, find_model, Model)))


def test_all_public_names_can_be_imported_and_are_listed():
    for package in (vs_sac, container, masks, metrics, pipeline):
        for name in package.__all__:
            assert getattr(package, name) is not None
    assert set(vs_sac.__all__) <= set(dir(vs_sac))


def test_vs_sac_nn_is_vs_sac_training(monkeypatch):
    pytest.importorskip("torch", reason="torch (extra 'train') is not installed")
    for name in [name for name in sys.modules if f"{name}.".startswith("vs_sac.nn.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(vs_sac, "nn", raising=False)
    with pytest.warns(DeprecationWarning, match=r"^vs_sac\.nn is deprecated; use vs_sac\.training$") as seen:
        nn = import_module("vs_sac.nn")
    assert len(seen) == 1
    # From here on without a warning, which would be an error.
    from vs_sac import training

    assert set(nn.__all__) == set(training.__all__)
    for name in training.__all__:
        assert getattr(nn, name) is getattr(training, name)
    names = ["attention", "augment", "evaluate", "export", "losses", "model", "quantize", "train", "datasets"]
    for name in names:
        module = import_module(f"vs_sac.training.{ {'datasets': 'data', 'train': 'loop'}.get(name, name) }")
        assert import_module(f"vs_sac.nn.{name}") is module
        assert getattr(nn, name, None) is module or name in training.__all__, f"vs_sac.nn.{name} as an attribute"
    from vs_sac.nn.losses import ce_dice

    assert ce_dice is training.losses.ce_dice


def test_names_are_looked_up_when_they_are_used():
    """In a package of the tests' own, so that nothing is loaded that others need."""
    find = lazy_names("vs_sac.core", {"BLOCK": "macroblocks", "macroblocks": "macroblocks", "encode": "..pipeline"})
    assert find("BLOCK") == 16
    assert find("macroblocks") is sys.modules["vs_sac.core.macroblocks"]
    assert find("encode") is vs_sac.encode
    with pytest.raises(AttributeError, match=r"module 'vs_sac\.core' has no attribute 'lost'"):
        find("lost")


def test_an_argument_by_its_old_name():
    @renamed_argument("old", "new")
    def function(first, *, new=0):
        return first, new

    assert function(1, new=2) == (1, 2)
    assert function(1) == (1, 0)
    assert function.__name__ == "function"
    with pytest.warns(DeprecationWarning, match="argument old of function is deprecated; use new"):
        assert function(1, old=3) == (1, 3)
