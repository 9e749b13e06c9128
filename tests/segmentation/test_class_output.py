"""The output that is added to a network's file, against the package onnx."""

import numpy as np
import pytest
import vapoursynth as vs

pytest.importorskip("onnx", reason="onnx (extra 'train') is not installed")

import onnx

import vs_sac
from vs_sac.core.errors import SacFileError, SacValueError
from vs_sac.core.inference import open_session
from vs_sac.segmentation.class_output import open_with_classes
from vs_sac.segmentation.network import segment, segment_with_classes
from vs_sac.segmentation.registry import CLASS_PROBABILITIES, find_model

from ..class_networks import class_network
from ..helpers import noise_clip, same


def test_the_added_output_is_that_which_the_package_onnx_adds(tmp_path):
    path = class_network(tmp_path / "net.onnx")
    content = onnx.load(str(path))
    content.graph.output.append(onnx.helper.make_tensor_value_info(CLASS_PROBABILITIES, onnx.TensorProto.FLOAT, None))
    rgb = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    expected = open_session(path, "test", content=content.SerializeToString()).run(None, {"rgb": rgb})
    got = open_with_classes(find_model(path), "test").run(None, {"rgb": rgb})
    assert len(got) == 2
    for one, other in zip(got, expected, strict=True):
        assert np.array_equal(one, other)


def test_one_run_gives_the_class_map_and_the_classes():
    clip = noise_clip(96, 64, 3, vs.YUV420P8, 5).std.SetFrameProps(_Matrix=1, _Range=0)
    mapped, planes = segment_with_classes(clip)
    assert same(mapped, segment(clip))
    count = len(find_model().classes)
    with planes.get_frame(2) as frame:
        own = np.asarray(frame[0]).reshape(count, -1, planes.width)
    np.testing.assert_allclose(own.sum(0), 1, atol=1e-3)
    assert mapped.num_frames == planes.num_frames == 3


def test_what_cannot_give_classes_is_refused(tmp_path):
    clip = noise_clip(96, 64, 1, vs.YUV420P8, 5).std.SetFrameProps(_Matrix=1, _Range=0)
    path = class_network(tmp_path / "net.onnx")
    path.with_suffix(".json").unlink()
    with pytest.raises(SacValueError, match="names no classes"):
        segment_with_classes(clip, model=path)
    if hasattr(vs.core, "ort"):
        with pytest.raises(SacValueError, match="accepted: auto, python, cuda"):
            segment_with_classes(clip, backend="ort")
    missing = vs_sac.segmentation.Model(name="gone", path=tmp_path / "gone.onnx", classes=("a",))
    with pytest.raises(SacFileError, match="cannot read"):
        open_with_classes(missing, "test")
