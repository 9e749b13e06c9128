"""What is said of a network that is given to `segment` as it is, and where models are looked for."""

import json

import pytest

from vs_sac.core.errors import SacFileError
from vs_sac.segmentation import find_model, list_models, segment
from vs_sac.segmentation.registry import Decision, added_models, shipped_models, user_models_folder, working_size
from vs_sac.segmentation.requirements import TensorInfo, misfits
from vs_sac.source.synthetic import street_scene

RGB = TensorInfo("rgb", "float32", (1, 3, "h", "w"))
PLANES = TensorInfo("non_roi", "float32", (1, 3, "h", "w"))


def test_the_shipped_models_fit():
    from vs_sac.core.inference import open_session

    for name in shipped_models():
        session = open_session(find_model(name).path, "test")
        assert not misfits(*(list(map(TensorInfo.of, got)) for got in (session.get_inputs(), session.get_outputs())))


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        ([RGB, RGB], [PLANES], "it has 2 inputs (rgb, rgb), not 1"),
        (
            [TensorInfo("x", "uint8", (1, 3, 4, 4))],
            [PLANES],
            "its input is uint8 from 0 to 255, not float32 from 0 to 1",
        ),
        ([TensorInfo("x", "float16", (1, 3, "h", "w"))], [PLANES], "its input is float16, not float32"),
        ([TensorInfo("x", "float32", (1, None, "w", 3))], [PLANES], "its layout is NHWC (1x?xwx3), not NCHW"),
        ([TensorInfo("x", "float32", (3, 4, 4))], [PLANES], "its input has 3 dimensions (3x4x4), not 4"),
        ([TensorInfo("x", "float32", (1, 1, "h", "w"))], [PLANES], "its input has 1 planes (1x1xhxw), not 3"),
        ([TensorInfo("x", "float32", (1, 3, 48, 64))], [PLANES], "its size is fixed at 64x48, and the card does not"),
        ([RGB], [PLANES, PLANES], "it has 2 outputs (non_roi, non_roi), not 1"),
        ([RGB], [TensorInfo("y", "float32", (1, 19, "h", "w"))], "its first output has 19 planes (1x19xhxw), not 3"),
        ([RGB], [TensorInfo("y", "int64", (1, "h", "w"))], "its first output is int64 (1xhxw), not float32"),
        ([RGB], [TensorInfo("y", "float32", (1, "h", "w"))], "its first output has 3 dimensions (1xhxw), not 4"),
    ],
)
def test_what_is_missed(inputs, outputs, said):
    assert any(found.startswith(said) for found in misfits(inputs, outputs))


def test_the_size_of_the_card_must_be_that_of_the_file():
    fixed = TensorInfo("x", "float32", (1, 3, 48, 64))
    assert not misfits([fixed], [PLANES], (64, 48))
    assert misfits([fixed], [PLANES], (48, 64)) == ["its size is fixed at 64x48, and the card states 48x64"]


@pytest.mark.parametrize("backend", ["python", "ort"])
def test_a_network_as_it_is_names_the_command(tmp_path, backend):
    pytest.importorskip("onnx", reason="needs the extra models")
    from .foreign import Foreign

    clip = street_scene(96, 64, 1)[0]
    path = Foreign(dtype="uint8", layout="nhwc", kind="argmax", size=(64, 96)).write(tmp_path / "net.onnx")
    with pytest.raises(SacFileError) as raised:
        segment(clip, model=path, backend=backend)
    message = str(raised.value)
    assert "\n" not in message
    for part in ("input is uint8", "layout is NHWC", "first output is int64", "range and normalisation it expects",
                 "vs-sac add-model net.onnx --classes"):  # fmt: skip
        assert part in message
    Foreign().write(path)
    with pytest.raises(SacFileError, match=r"vs-sac add-model net\.onnx"):
        segment(clip, model=path, backend=backend)


def test_values_that_are_no_probabilities(tmp_path):
    """The shape alone of three planes of scores would fit."""
    pytest.importorskip("onnx", reason="needs the extra models")
    from .foreign import Foreign

    path = Foreign(count=3, stride=1).write(tmp_path / "net.onnx")
    with pytest.raises(
        SacFileError, match=r"gives values from .* to 3.*; accepted: probabilities, from 0 to 1; .* add-model"
    ):
        segment(street_scene(96, 64, 1)[0], model=path, backend="python")


HOMES = [
    ({"VS_SAC_MODELS": "/a/b"}, "/a/b"),
    ({"XDG_DATA_HOME": "/data", "HOME": "/home/x"}, "/data/vs_sac/models"),
    ({"HOME": "/home/x"}, "/home/x/.local/share/vs_sac/models"),
    ({"HOME": ""}, "None"),
]


@pytest.mark.parametrize(("variables", "expected"), HOMES)
def test_the_folder_of_the_user(monkeypatch, variables, expected):
    for name in ("VS_SAC_MODELS", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(user_models_folder()) == expected
    assert added_models() == []


def test_models_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("VS_SAC_MODELS", str(tmp_path))
    for name in ("mine.onnx", "ccnet-lite.onnx", "mine.txt"):
        (tmp_path / name).touch()
    (tmp_path / "mine.json").write_text(json.dumps({"input_size": [1024, 512], "decision": "argmax", "classes": ["a"]}))
    assert added_models() == ["mine"]
    assert list_models() == [*shipped_models(), "mine"]
    mine = find_model("mine")
    assert (mine.path, mine.input_size, mine.classes) == (tmp_path / "mine.onnx", (1024, 512), ("a",))
    assert mine.decision is Decision.ARGMAX
    assert mine.working_size(640, 360) == (1024, 512)
    assert find_model("ccnet-lite").path.parent != tmp_path
    with pytest.raises(SacFileError, match=r"no model 'yours'; shipped: ccnet-lite.*; added: mine; or give"):
        find_model("yours")


@pytest.mark.parametrize(
    ("key", "value", "accepted"),
    [
        ("classes", "road", "a list of different names"),
        ("classes", ["road", "road"], "a list of different names"),
        ("classes", [1], "a list of different names"),
        ("input_size", 512, r"\[width, height\], whole numbers of pixels from 16 to 8192"),
        ("input_size", [512, 8], r"\[width, height\]"),
        ("input_size", [512.0, 512], r"\[width, height\]"),
        ("multiple_of", 0, "a whole number of pixels from 1 to 512"),
        ("multiple_of", True, "a whole number of pixels from 1 to 512"),
        ("decision", "softmax", "threshold or argmax"),
        ("decision", ["argmax"], "threshold or argmax"),
    ],
)
def test_keys_of_a_card(tmp_path, key, value, accepted):
    (tmp_path / "m.onnx").touch()
    (tmp_path / "m.json").write_text(json.dumps({key: value}))
    with pytest.raises(SacFileError, match=rf"m\.json is wrong: {key} is .*; accepted: {accepted}"):
        find_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("multiple", [1, 8, 16, 32, 48, 128])
def test_the_working_size_is_a_multiple(multiple):
    for size in ((1280, 720), (333, 97), (16, 16)):
        width, height = working_size(*size, 230400, multiple)
        assert width % multiple == height % multiple == 0
        assert min(width, height) >= 32
