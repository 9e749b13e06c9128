"""`add_model` with graphs that are seldom seen: branches, functions, sequences, and runs that fail."""

import numpy as np
import onnx
import pytest
import vapoursynth as vs
from onnx import TensorProto, helper, numpy_helper

from vs_sac.core.errors import SacFileError
from vs_sac.segmentation import Model, find_model, open_classes, segment, segment_classes
from vs_sac.segmentation.adding import add_model
from vs_sac.source.synthetic import street_scene

from ..helpers import arrays_of, same
from .foreign import Foreign

OV = pytest.mark.skipif(not hasattr(vs.core, "ov"), reason="vapoursynth-mlrt-ov is not installed")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VS_SAC_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def clip():
    return street_scene(160, 96, 1)[0]


def changed(change, path, **how):
    """Write the network of `Foreign` after a change of its graph. The scores of the convolution are ``before``."""
    model = Foreign(**how).model()
    model.graph.node[-1].output[0] = "before"
    change(model)
    onnx.save(model, path)
    return path


def branch(name, node):
    return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])


def with_branches(model):
    """Both branches use a weight or a tensor of the graph around them."""
    more = {"half": np.array(0.5, np.float32), "shift": np.full((1, 19, 1, 1), 7, np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in more.items())
    then = branch("then", helper.make_node("Add", ["before", "shift"], ["then"]))
    otherwise = branch("otherwise", helper.make_node("Neg", ["before"], ["otherwise"]))
    model.graph.node.extend([
        helper.make_node("ReduceMax", ["image"], ["top"], keepdims=0),
        helper.make_node("Greater", ["top", "half"], ["bright"]),
        helper.make_node("If", ["bright"], ["scores"], then_branch=then, else_branch=otherwise),
    ])  # fmt: skip


def with_function(model):
    opset = helper.make_opsetid("", 17)
    body = [helper.make_node("Identity", ["x"], ["y"])]
    model.functions.append(helper.make_function("own", "Same", ["x"], ["y"], body, [opset]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node.append(helper.make_node("Same", ["before"], ["scores"], domain="own"))


def with_sequence(model):
    model.graph.node.append(helper.make_node("Identity", ["before"], ["scores"]))
    model.graph.node.append(helper.make_node("SequenceConstruct", ["before"], ["list"]))
    model.graph.output.insert(0, helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, None))


@pytest.mark.parametrize("change", [with_branches, with_function, with_sequence])
def test_the_result_is_that_of_the_plain_network(tmp_path, clip, change):
    add_model(Foreign().write(tmp_path / "plain.onnx"), "cityscapes19")
    added = add_model(changed(change, tmp_path / "unusual.onnx"), "cityscapes19")
    assert not [warning for warning in added.check.warnings if "backend" in warning]
    plain, unusual = (arrays_of(segment(clip, model=name))[0][0] for name in ("plain", "unusual"))
    assert len(np.unique(plain)) > 1
    assert (plain == unusual).all()


def test_a_size_that_fails_prints_nothing_and_is_an_error_if_segment_needs_it(tmp_path, folder, capfd):
    def fails_if_large(model):
        """Look up an index that there is not for more than 60000 pixels."""
        more = {"limit": np.array(60000 * 19), "table": np.array([9, 0]), "one": np.ones(1, np.float32)}
        model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in more.items())
        model.graph.node.extend([
            helper.make_node("Size", ["before"], ["size"]),
            helper.make_node("Less", ["size", "limit"], ["small"]),
            helper.make_node("Cast", ["small"], ["number"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "number"], ["index"]),
            helper.make_node("Gather", ["one", "index"], ["factor"]),
            helper.make_node("Mul", ["before", "factor"], ["scores"]),
        ])  # fmt: skip

    network = changed(fails_if_large, tmp_path / "net.onnx", stride=1)
    with pytest.raises(SacFileError, match=r"the network does not run with 368x624 \(rows x columns\)"):
        add_model(network, "cityscapes19")
    assert not list(folder.glob("*"))
    assert capfd.readouterr().err == ""


def test_an_unknown_operator_is_named_without_the_temporary_file(tmp_path):
    def with_unknown(model):
        model.opset_import.append(helper.make_opsetid("own", 1))
        model.graph.node.append(helper.make_node("Unknown", ["before"], ["scores"], domain="own"))

    with pytest.raises(SacFileError, match=r"the network cannot be run: .*own:Unknown") as raised:
        add_model(changed(with_unknown, tmp_path / "net.onnx"), "cityscapes19")
    assert "vs-sac-" not in str(raised.value)


def test_class_numbers_outside_the_list_are_shown(tmp_path):
    network = Foreign(kind="argmax").write(tmp_path / "net.onnx")
    whole = {found.name: found.why for found in add_model(network, "cityscapes19").findings}["output"]
    numbers = whole.partition("numbers from ")[2]
    low, high = (int(number) for number in numbers.split(" to "))
    assert 0 <= low < high < 19
    (tmp_path / "short").write_text("\n".join(f"c{n}: sky" for n in range(high)))
    short = {found.name: found.why for found in add_model(network, str(tmp_path / "short"), force=True).findings}
    assert f", and {high} outside the class list, which are ROI" in short["output"]


@pytest.mark.parametrize("backend", ["python", "ort"])
def test_a_model_that_is_added_anew_is_loaded_anew(tmp_path, clip, backend):
    for seed in (0, 5):
        add_model(Foreign(seed=seed).write(tmp_path / "net.onnx"), "cityscapes19", force=True)
        add_model(Foreign(seed=seed).write(tmp_path / f"net{seed}.onnx"), "cityscapes19")
        maps = [arrays_of(segment(clip, model=name, backend=backend))[0][0] for name in ("net", f"net{seed}")]
        assert (maps[0] == maps[1]).all()
    assert (maps[0] != arrays_of(segment(clip, model="net0"))[0][0]).any()


def test_a_card_with_another_number_of_classes_is_an_error_before_the_first_frame(tmp_path, clip):
    added = add_model(Foreign().write(tmp_path / "net.onnx"), "cityscapes19")
    added.path.with_suffix(".json").write_text('{"classes": ["road", "sky"]}')
    with pytest.raises(SacFileError, match=r"has the shape 1x19x\?x\?; accepted for the 2 classes of its card"):
        segment_classes(clip, model="net")


def test_a_model_whose_path_is_a_string(tmp_path, clip):
    path = add_model(Foreign().write(tmp_path / "net.onnx"), "cityscapes19").path
    assert same(segment(clip, model=Model(name="own", path=str(path))), segment(clip, model="net"))


def test_a_folder_that_is_named_as_a_network_is_none(folder):
    (folder / "net.onnx").mkdir(parents=True)
    with pytest.raises(SacFileError, match="no model 'net'"):
        find_model("net")


@OV
@pytest.mark.parametrize(
    "foreign",
    [
        Foreign(),
        Foreign(size=(97, 161), stride=8),
        Foreign(dtype="float16", stride=32),
        Foreign(dtype="uint8", layout="nhwc"),
        Foreign(kind="argmax", stride=16),
        Foreign(kind="argmax", layout="nhwc", size=(96, 160), stride=8),
        Foreign(kind="softmax", stride=16),
    ],
    ids=str,
)  # fmt: skip
def test_openvino_gives_nearly_the_same_map_for_added_networks(tmp_path, clip, foreign):
    added = add_model(foreign.write(tmp_path / "net.onnx"), "cityscapes19")
    assert "ov" in added.check.backends
    ours, other = (arrays_of(segment(clip, model="net", backend=name))[0][0] for name in ("python", "ov"))
    assert (ours != other).mean() < 1e-2
    assert open_classes("net").classes == added.classes.names
