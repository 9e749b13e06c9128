"""Names of earlier releases: they work, and say with a DeprecationWarning what to use."""

import subprocess
import sys

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


def python(code):
    """Standard output of a fresh interpreter that raises for deprecations as users ask it to."""
    return subprocess.check_output([sys.executable, "-c", code], text=True)


def test_vs_sac_nn_is_vs_sac_training():
    pytest.importorskip("torch", reason="torch (extra 'train') is not installed")
    printed = python(
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    import vs_sac.nn, vs_sac.nn.model, vs_sac.nn.datasets\n"
        "    from vs_sac.nn.losses import *\n"
        "    from vs_sac.nn import build_model, attention, augment, evaluate, export, quantize, train\n"
        "said = [w for w in seen if 'vs_sac' in str(w.message)]\n"
        "print(len(said), said[0].category.__name__, said[0].message)\n"
        "from vs_sac import training\n"
        "from vs_sac.training import data, model\n"
        "print(vs_sac.nn.model is model, vs_sac.nn.datasets is data, vs_sac.nn.model.CcNet is training.CcNet)\n"
        "print(build_model is training.build_model, set(vs_sac.nn.__all__) == set(training.__all__))\n"
    )
    first, *rest = printed.splitlines()
    assert first == "1 DeprecationWarning vs_sac.nn is deprecated; use vs_sac.training"
    assert rest == ["True True True", "True True"]


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
