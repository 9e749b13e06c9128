"""Networks as others write them, prepared, against the same arithmetic in numpy."""

import itertools

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from vs_sac.core.inference import load_onnxruntime
from vs_sac.core.labels import CLASS_LISTS, SemanticClass, group_of
from vs_sac.segmentation.adding import Channels, ClassList, NetworkOptions
from vs_sac.segmentation.adding.inspection import inspect_input
from vs_sac.segmentation.adding.loading import load_network
from vs_sac.segmentation.adding.outputs import inspect_output
from vs_sac.segmentation.adding.prepare import CLASS_PROBABILITIES, prepared
from vs_sac.segmentation.adding.trials import try_network
from vs_sac.source.synthetic import street_scene

from .foreign import Foreign, grouped

STREET = street_scene(160, 96, 1)[0]
NAMES = CLASS_LISTS["cityscapes19"]
CITYSCAPES = ClassList(NAMES, tuple(map(group_of, NAMES)))

#: Largest difference of a probability, by the type of the network.
TOLERANCE = {"float32": 2e-4, "uint8": 2e-4, "float16": 0.05}


def prepare(path, classes=CITYSCAPES, **options):
    """The prepared network, and the specifications of its input and output."""
    options = NetworkOptions(**options)
    model = load_network(path)
    spec, _ = inspect_input(model, options)
    spec, trials, _ = try_network(model, spec, STREET)
    output, _ = inspect_output(trials, len(classes.names), options, spec.layout)
    made = prepared(model, spec, output, classes)
    onnx.checker.check_model(made)
    return made, spec, output


def run(made, rgb):
    """``non_roi``, the only output, and the tensor ``class_probabilities``."""
    both = onnx.ModelProto()
    both.CopyFrom(made)
    assert [value.name for value in made.graph.output] == ["non_roi"]
    both.graph.output.append(helper.make_tensor_value_info(CLASS_PROBABILITIES, TensorProto.FLOAT, None))
    session = load_onnxruntime("test").InferenceSession(both.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"rgb": rgb})


def agree(got, expected, dtype):
    """Whether values agree; rounding to 8 bits and a choice between equal scores may differ at few pixels."""
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    return (abs(got - expected) > TOLERANCE[dtype]).mean() < 0.005


def compare(foreign, path, size=(64, 96), classes=CITYSCAPES, **options):
    made, spec, output = prepare(foreign.write(path), classes, **options)
    rgb = np.random.default_rng(3).random((1, 3, *(foreign.size or size)), np.float32)
    non_roi, own = run(made, rgb)
    expected = foreign.probabilities(rgb)
    assert agree(own, expected, foreign.dtype)
    assert agree(non_roi, grouped(expected, classes.groups, rgb.shape), foreign.dtype)
    return spec, output


@pytest.mark.slow_except("float32-(nchw-rgb-logits|nhwc-bgr-argmax)")
@pytest.mark.parametrize("kind", ["logits", "softmax", "argmax"])
@pytest.mark.parametrize("channels", Channels)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_every_combination(tmp_path, dtype, layout, channels, kind):
    for stride, size in itertools.product((1, 2, 4, 8, 16), (None, (48, 80))):
        foreign = Foreign(dtype=dtype, layout=layout, channels=channels, kind=kind, stride=stride, size=size)
        spec, output = compare(foreign, tmp_path / "net.onnx", channels=channels)
        assert (spec.type, spec.layout, spec.size) == (dtype, layout, size and size[::-1])
        assert (output.kind, output.stride) == (kind, stride)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(SemanticClass), min_size=2, max_size=70), st.integers(0, 99))
def test_every_grouping(tmp_path_factory, groups, seed):
    """The three planes are the sums of the probabilities of their classes, whatever the list."""
    names = tuple(f"class {number}" for number in range(len(groups)))
    foreign = Foreign(count=len(groups), kind="softmax", stride=1, seed=seed)
    compare(foreign, tmp_path_factory.mktemp("net") / "net.onnx", classes=ClassList(names, tuple(groups)))


def test_weights_in_another_file_are_included(tmp_path):
    foreign = Foreign()
    path = tmp_path / "net.onnx"
    onnx.save(foreign.model(), path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert (tmp_path / "net.data").is_file()
    made, *_ = prepare(path)
    (tmp_path / "net.data").unlink()
    rgb = np.random.default_rng(3).random((1, 3, 64, 96), np.float32)
    assert agree(run(made, rgb)[1], foreign.probabilities(rgb), "float32")


def test_a_network_that_normalises_gets_pixels_up_to_255(tmp_path):
    spec, _ = compare(Foreign(normalised=True), tmp_path / "net.onnx")
    assert (spec.top, spec.mean, spec.std) == (255, (0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize("scale", [1, 255])
def test_mean_and_std_of_the_user(tmp_path, scale):
    mean, std = (tuple(scale * value for value in values) for values in ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3)))
    made, spec, _ = prepare(Foreign(stride=1).write(tmp_path / "net.onnx"), mean=mean, std=std)
    assert spec.top == scale
    assert spec.mean == mean
    foreign = Foreign(stride=1)
    rgb = np.random.default_rng(3).random((1, 3, 32, 48), np.float32)
    # The reference normalises with ImageNet's figures, so it gets the image that these turn into the same.
    shape = (1, 3, 1, 1)
    theirs = (rgb - np.reshape([0.5, 0.4, 0.3], shape)) / np.reshape([0.2, 0.25, 0.3], shape)
    theirs = theirs * np.reshape([0.229, 0.224, 0.225], shape) + np.reshape([0.485, 0.456, 0.406], shape)
    assert agree(run(made, rgb)[1], foreign.probabilities(theirs), "float32")


@pytest.mark.parametrize("size", [(65, 129), (513, 1025), (50, 70)])
def test_fixed_sizes_that_are_no_multiples(tmp_path, size):
    """The output has the input's size, although the network rounds its own size."""
    made, spec, output = prepare(Foreign(size=size, stride=8).write(tmp_path / "net.onnx"))
    assert spec.size == size[::-1]
    non_roi, own = run(made, np.zeros((1, 3, *size), np.float32))
    assert non_roi.shape == (1, 3, *size)
    assert own.shape == (1, 19, -(-size[0] // 2), -(-size[1] // 2))
    assert own.sum(1) == pytest.approx(1, abs=1e-5)
    assert output.stride > 8


@pytest.mark.parametrize("stride", [32, 64])
def test_sides_that_have_to_be_larger_multiples(tmp_path, stride):
    assert compare(Foreign(stride=stride), tmp_path / "net.onnx", size=(128, 192))[0].multiple_of == stride


def test_argmax_without_a_dimension_for_the_classes(tmp_path):
    compare(Foreign(kind="argmax", axis=False), tmp_path / "net.onnx")


def test_void_is_roi(tmp_path):
    """Class numbers outside of the list, -1 and 255 for example, are none of the classes."""
    node = helper.make_node("ReduceMax", ["image", "axes"], ["half"], keepdims=1)
    labels = np.array([-1, 255, 2, 10], np.int64).reshape(1, 1, 1, 4)
    nodes = [
        node,
        helper.make_node("Cast", ["half"], ["zero"], to=TensorProto.INT64),
        helper.make_node("Mul", ["zero", "nothing"], ["none"]),
        helper.make_node("Tile", ["labels", "repeats"], ["tiled"]),
        helper.make_node("Add", ["none", "tiled"], ["numbers"]),
    ]
    weights = {"axes": np.array([1]), "nothing": np.array(0), "labels": labels, "repeats": np.array([1, 1, 16, 4])}
    graph = helper.make_graph(
        nodes, "void", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("numbers", TensorProto.INT64, None)],
        [onnx.numpy_helper.from_array(values, name) for name, values in weights.items()],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "net.onnx"
    )
    made, *_ = prepare(tmp_path / "net.onnx")
    non_roi, own = run(made, np.zeros((1, 3, 16, 16), np.float32))
    assert own[0, :, 0, :4].sum(0).tolist() == [0, 0, 1, 1]
    assert non_roi[0, :, 0, :4].T.tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]]


def with_second_output(path, foreign):
    """A network with a second head of 2 classes, whose weights only that output needs."""
    model = foreign.model()
    weights = np.ones((2, 3, 1, 1), np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "second head"))
    model.graph.node.append(helper.make_node("Conv", ["image", "second head"], ["aux"]))
    model.graph.output.insert(0, helper.make_tensor_value_info("aux", TensorProto.FLOAT, None))
    onnx.save(model, path)
    return path


def test_the_output_that_fits_is_taken_and_the_other_left_out(tmp_path):
    foreign = Foreign()
    path = with_second_output(tmp_path / "net.onnx", foreign)
    made, _, output = prepare(path)
    assert output.name.endswith("scores")
    assert not [weight.name for weight in made.graph.initializer if "second" in weight.name]
    pair = ClassList(("a", "b"), (SemanticClass.ROI, SemanticClass.SKY))
    assert prepare(path, pair, output_name="aux")[2].stride == 1


def test_an_old_operator_set_is_converted(tmp_path):
    onnx.save(Foreign(kind="argmax").model(opset=11), tmp_path / "net.onnx")
    made, *_ = prepare(tmp_path / "net.onnx")
    rgb = np.random.default_rng(3).random((1, 3, 64, 96), np.float32)
    assert agree(run(made, rgb)[1], Foreign(kind="argmax").probabilities(rgb), "float32")
    assert made.opset_import[0].version >= 13


def test_a_dynamic_network_is_fixed_and_a_fixed_one_freed(tmp_path):
    path = Foreign().write(tmp_path / "net.onnx")
    made, spec, _ = prepare(path, input="64x96")
    assert spec.size == (96, 64)
    assert [side.dim_value for side in made.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 64, 96]
    path = Foreign(size=(64, 96)).write(tmp_path / "net.onnx")
    made, spec, _ = prepare(path, input="dynamic")
    assert spec.size is None
    assert run(made, np.zeros((1, 3, 32, 48), np.float32))[0].shape == (1, 3, 32, 48)


def test_names_of_the_network_do_not_meet_ours(tmp_path):
    foreign = Foreign()
    model = foreign.model()
    text = {"image": "class_probabilities", "scores": "rgb", "t0": "non_roi"}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [text.get(name, name) for name in names]
    model.graph.input[0].name, model.graph.output[0].name = "class_probabilities", "rgb"
    onnx.save(model, tmp_path / "net.onnx")
    made, *_ = prepare(tmp_path / "net.onnx")
    rgb = np.random.default_rng(3).random((1, 3, 64, 96), np.float32)
    assert agree(run(made, rgb)[1], foreign.probabilities(rgb), "float32")
