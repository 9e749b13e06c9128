"""`add_model`: what it writes and finds, and every message of what does not fit."""

import json
import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vs_sac.core.errors import SacError, SacFileError, SacValueError
from vs_sac.core.labels import CLASS_LISTS, SemanticClass
from vs_sac.segmentation import find_model, segment
from vs_sac.segmentation.adding import NetworkOptions, add_model, read_classes
from vs_sac.source.synthetic import street_scene

from ..helpers import arrays_of
from .foreign import Foreign


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The user's folder of models, which does not exist yet."""
    monkeypatch.setenv("VS_SAC_MODELS", str(tmp_path / "data/models"))
    return tmp_path / "data/models"


def test_what_is_written(tmp_path, folder):
    network = Foreign(stride=32, dtype="float16").write(tmp_path / "street.onnx")
    added = add_model(network, "cityscapes19", threshold=0.8)
    assert added.path == folder / "street.onnx"
    assert sorted(path.name for path in folder.iterdir()) == ["street.json", "street.onnx"]
    card = json.loads(added.path.with_suffix(".json").read_text())
    assert card["classes"] == list(CLASS_LISTS["cityscapes19"])
    assert (card["threshold"], card["multiple_of"]) == (0.8, 32)
    assert "input_size" not in card
    assert sum(card["test_frame"]["shares"].values()) == pytest.approx(1)
    model = find_model("street")
    assert (model.path, model.threshold, model.multiple_of) == (added.path, 0.8, 32)
    assert model.classes == CLASS_LISTS["cityscapes19"]


@pytest.mark.parametrize("stride", [1, 8])
def test_a_fixed_argmax_network_in_every_backend(tmp_path, stride):
    foreign = Foreign(kind="argmax", layout="nhwc", size=(96, 160), stride=stride)
    added = add_model(foreign.write(tmp_path / "street.onnx"), "cityscapes19")
    assert {"python", "ort"} <= set(added.check.backends)
    model = find_model("street")
    assert (model.input_size, model.decision) == ((160, 96), "argmax")
    clip = street_scene(320, 180, 1)[0]
    maps = [arrays_of(segment(clip, model=model, backend=name))[0][0] for name in ("python", "ort")]
    assert (maps[0] == maps[1]).all()
    assert len(np.unique(maps[0])) > 1
    with pytest.raises(SacValueError, match=r"threshold 0\.9 has no meaning for street, whose output is argmax"):
        segment(clip, model=model, threshold=0.9)
    with pytest.raises(SacValueError, match=r"threshold 0\.9 has no meaning for street"):
        add_model(tmp_path / "street.onnx", "cityscapes19", threshold=0.9, force=True)


def origins(findings):
    return {finding.name: (finding.value, str(finding.origin)) for finding in findings}


def test_what_is_read_guessed_and_given(tmp_path):
    network = Foreign(layout="nhwc", kind="softmax", normalised=True, size=(64, 96)).write(tmp_path / "a.onnx")
    found = origins(add_model(network, "cityscapes19").findings)
    assert found == {
        "input type": ("float32", "read"),
        "layout": ("nhwc", "read"),
        "input size": ("64x96", "read"),
        "channels": ("rgb", "guessed"),
        "input range": ("0 to 255", "guessed"),
        "mean, std": ("none", "read"),
        "output name": ("scores", "read"),
        "output": ("softmax", "guessed"),
        "output stride": ("4", "guessed"),
    }
    options = NetworkOptions(channels="bgr", input="64x96", input_range=1, mean=(0, 0, 0), output="logits",
                             output_name="scores", layout="nhwc")  # fmt: skip
    found = origins(add_model(network, "cityscapes19", options=options, force=True).findings)
    given = {"channels", "input size", "input range", "mean, std", "output", "output name", "layout"}
    assert {name for name, (_, origin) in found.items() if origin == "given"} == given


def test_an_implausible_result_is_a_warning(tmp_path):
    """All pixels are one class."""
    (tmp_path / "list").write_text("a: sky\nb: roi\n")
    model = Foreign(count=2).model()
    for weight in model.graph.initializer:
        if weight.name == "w":
            weight.CopyFrom(numpy_helper.from_array(np.zeros((2, 3, 1, 1), np.float32), "w"))
        if weight.name == "b":
            weight.CopyFrom(numpy_helper.from_array(np.array([5, 0], np.float32), "b"))
    onnx.save(model, tmp_path / "a.onnx")
    added = add_model(tmp_path / "a.onnx", str(tmp_path / "list"))
    assert added.check.shares["sky"] == 1
    assert "100% of the frame is sky" in added.check.warnings[0]


@pytest.mark.parametrize(
    ("foreign", "options", "said"),
    [
        (Foreign(count=21), {}, r"network gives scores 1x21x36x52 float32; accepted: 19 planes, one for each class"),
        (Foreign(size=(64, 96)), {"input": "96x64"}, r"does not fit the file, which has 64x96; the order is HEIGHTx"),
        (Foreign(), {"input": "64"}, r"input '64'; accepted: HEIGHTxWIDTH with sides from 16 to 8192, or dynamic"),
        (Foreign(size=(64, 96)), {"layout": "nhwc"}, r"layout nhwc does not fit the input image, which is 1x3x64x96"),
        (Foreign(dtype="uint8"), {"mean": (1, 2, 3)}, r"mean and std have no meaning for an input of type uint8"),
        (Foreign(dtype="uint8"), {"input_range": 1}, r"input_range 1 does not fit"),
        (Foreign(), {"std": (1, 0, 1)}, r"std is 1,0,1; accepted: three numbers above 0"),
        (Foreign(), {"std": (1, 1, math.inf)}, r"std is 1,1,inf; accepted: three numbers above 0, from 1e-06 to"),
        (Foreign(), {"mean": (math.nan, 0, 0)}, r"mean is nan,0,0; accepted: three numbers from -1e\+06 to 1e\+06"),
        (Foreign(), {"output": "softmax"}, r"output softmax does not fit the output scores: values from .* not from 0"),
        (Foreign(size=(8, 8)), {}, r"the input has the fixed size 8x8 \(rows x columns\); accepted: sides from 16"),
        (Foreign(), {"output": "argmax"}, r"output argmax does not fit the output scores: values from"),
        (Foreign(kind="argmax"), {"output": "logits"}, r"no output fits the class list"),
        (Foreign(), {"output_name": "logits"}, r"output_name 'logits'; the network has scores"),
        (Foreign(stride=256), {}, r"the size of no output follows that of the input; give .* --input HEIGHTxWIDTH"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(tmp_path, folder, foreign, options, said):
    network = foreign.write(tmp_path / "net.onnx")
    with pytest.raises(SacError, match=said) as raised:
        add_model(network, "cityscapes19", options=NetworkOptions(**options))
    assert "\n" not in str(raised.value)
    assert not list(folder.glob("*"))


def network_of(inputs, path):
    """A network without sense, with inputs of these types and shapes."""
    names = [f"in{number}" for number in range(len(inputs))]
    values = [helper.make_tensor_value_info(name, *each) for name, each in zip(names, inputs, strict=True)]
    nodes = [helper.make_node("Shape", [name], [f"out{name}"]) for name in names] or [
        helper.make_node("Constant", [], ["out"], value_float=1.0)
    ]
    outputs = [helper.make_tensor_value_info(node.output[0], TensorProto.INT64, None) for node in nodes]
    graph = helper.make_graph(nodes, "none", values, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


FLOAT = TensorProto.FLOAT


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "has 0 inputs (none); accepted: one, the image"),
        ([(FLOAT, [1, 3, 8, 8]), (FLOAT, [1])], "has 2 inputs (in0, in1); accepted: one"),
        ([(TensorProto.INT32, [1, 3, 64, 64])], "in0 is int32; accepted: float32, float16, float64, uint8"),
        ([(FLOAT, [3, 64, 64])], "has 3 dimensions (3x64x64); accepted: 4"),
        ([(FLOAT, [1, 4, 64, 64])], "is 1x4x64x64; accepted: 3 planes"),
        ([(FLOAT, [8, 3, 64, 64])], "takes 8 images at once (8x3x64x64); accepted: 1"),
        ([(FLOAT, [1, 3, 64, "w"])], "has one free side (64x?); give its size with --input"),
        ([(FLOAT, [1, 3, 64, 64])], "no output fits the class list: the network gives outin0 4 int64"),
    ],
)
def test_an_input_that_is_no_image(tmp_path, inputs, said):
    with pytest.raises(SacError) as raised:
        add_model(network_of(inputs, tmp_path / "net.onnx"), "cityscapes19")
    assert said in str(raised.value)


def test_files_that_are_no_networks(tmp_path):
    with pytest.raises(SacFileError, match=r"none\.onnx does not exist"):
        add_model(tmp_path / "none.onnx", "cityscapes19")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(SacFileError, match=r"bad\.onnx"):
        add_model(tmp_path / "bad.onnx", "cityscapes19")
    path = tmp_path / "net.onnx"
    onnx.save(Foreign().model(), path, save_as_external_data=True, location="net.data", size_threshold=0)
    (tmp_path / "net.data").unlink()
    with pytest.raises(SacFileError, match=r"cannot read the network .*net\.data"):
        add_model(path, "cityscapes19")


def test_values_that_are_no_numbers(tmp_path):
    model = Foreign().model()
    for weight in model.graph.initializer:
        if weight.name == "b":
            weight.CopyFrom(numpy_helper.from_array(np.full(19, np.nan, np.float32), "b"))
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(SacFileError, match=r"the output scores has values that are no numbers \(NaN or infinite\)"):
        add_model(tmp_path / "net.onnx", "cityscapes19")


def test_names_and_places(tmp_path, folder, monkeypatch):
    network = Foreign().write(tmp_path / "net.onnx")
    with pytest.raises(SacValueError, match="is that of a shipped model"):
        add_model(network, "cityscapes19", name="ccnet-lite")
    with pytest.raises(SacValueError, match=r"name '\.\./x'; accepted"):
        add_model(network, "cityscapes19", name="../x")
    with pytest.raises(SacValueError, match=r"name 'x\.onnx'; accepted: a name without \.onnx"):
        add_model(network, "cityscapes19", name="x.onnx")
    with pytest.raises(SacValueError, match=r"name 'my net'; accepted: .*; give another with --name"):
        add_model(network.rename(tmp_path / "my net.onnx"), "cityscapes19")
    network = Foreign().write(tmp_path / "net.onnx")
    with pytest.raises(SacValueError, match="name and out are both given"):
        add_model(network, "cityscapes19", name="x", out=tmp_path / "x.onnx")
    with pytest.raises(SacValueError, match=r"must end in \.onnx"):
        add_model(network, "cityscapes19", out=tmp_path / "x")
    with pytest.raises(SacValueError, match="both network and out"):
        add_model(network, "cityscapes19", out=network, force=True)
    add_model(network, "cityscapes19", out=tmp_path / "x.onnx")
    assert find_model(tmp_path / "x.onnx").classes == CLASS_LISTS["cityscapes19"]
    with pytest.raises(SacFileError, match="exists; use --force"):
        add_model(network, "cityscapes19", out=tmp_path / "x.onnx")
    monkeypatch.delenv("VS_SAC_MODELS")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    with pytest.raises(SacFileError, match="no home folder for models; set VS_SAC_MODELS, or give a file with -o"):
        add_model(network, "cityscapes19")
    (tmp_path / "file").touch()
    monkeypatch.setenv("VS_SAC_MODELS", str(tmp_path / "file/models"))
    with pytest.raises(SacFileError, match="cannot make the folder of models"):
        add_model(network, "cityscapes19")


ROI, CONSTRUCTION, NATURE, SKY = SemanticClass


@pytest.mark.parametrize(
    ("content", "names", "groups", "unknown"),
    [
        (
            "road\nbuilding\n\n# trees\nvegetation\n",
            ("road", "building", "vegetation"),
            (ROI, CONSTRUCTION, NATURE),
            (),
        ),
        ("hut: construction\ntree : NATURE\nkiosk", ("hut", "tree", "kiosk"), (CONSTRUCTION, NATURE, ROI), ("kiosk",)),
        ('["sky", "wall: roi"]', ("sky", "wall"), (SKY, ROI), ()),
        ('{"b": "sky", "a": "roi"}', ("b", "a"), (SKY, ROI), ()),
    ],
)
def test_class_lists_in_files(tmp_path, content, names, groups, unknown):
    (tmp_path / "list").write_text(content)
    got = read_classes(str(tmp_path / "list"))
    assert (got.names, got.groups, got.unknown) == (names, groups, unknown)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("road\nroad\nsky", "has the class 'road' twice"),
        ('{"a": "sky", "a": "roi"}', "has the class 'a' twice"),
        ("sky", "has 1 classes; accepted: from 2"),
        ("a\nb: water", "gives 'b' the group 'water'; accepted: roi, construction, nature, sky"),
        ("road\ncar", "has no class that is construction, nature, sky"),
        ("[1, 2]", "is not accepted; accepted: a list of names, or an object"),
        ('["a", ', "cannot read the class list"),
        (b"\xff\xfe\x00", "cannot read the class list"),
    ],
)
def test_class_lists_that_are_not_accepted(tmp_path, content, said):
    (tmp_path / "list").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SacError) as raised:
        read_classes(str(tmp_path / "list"))
    assert said in str(raised.value)
    with pytest.raises(SacFileError, match="no class list 'coco'; known: cityscapes19, camvid11, mapillary66"):
        read_classes("coco")


@pytest.mark.parametrize(("name", "count"), [("cityscapes19", 19), ("camvid11", 11), ("mapillary66", 66)])
def test_known_class_lists(name, count):
    got = read_classes(name)
    assert len(set(got.names)) == count
    assert {"building", "fence"} <= set(got.members(CONSTRUCTION))
    assert got.members(SKY) == ["sky"]
    assert {"car", "person", "road", "pole", "traffic sign"} <= set(got.members(ROI))
