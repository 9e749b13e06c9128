"""Cards beside models that say what no model can have."""

import json

import pytest

from vs_sac.core.errors import SacFileError, SacValueError
from vs_sac.segmentation.registry import Model, find_model, list_models


@pytest.fixture
def card(tmp_path):
    """Write a card beside a model; gives the model's path."""

    def written(content):
        (tmp_path / "model.onnx").touch()
        (tmp_path / "model.json").write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / "model.onnx"

    return written


@pytest.mark.parametrize("value", ["abc", "0.5", None, True, [0.5], {}, 0, -1, 1.01, 10**400, float("nan")])
def test_a_threshold_is_a_probability(card, value):
    path = card(json.dumps({"threshold": value}))
    with pytest.raises(SacFileError) as raised:
        find_model(path)
    message = str(raised.value)
    assert "\n" not in message
    assert f"{path.with_suffix('.json')} is wrong: threshold is {value!r}; accepted: a number above 0" in message


@pytest.mark.parametrize("value", ["abc", None, True, [1], {}, 0, -1, 1023, 8192**2 + 1, 10**400, 230400.0])
def test_a_working_area_is_a_number_of_pixels(card, value):
    with pytest.raises(SacFileError, match=r"working_area is .*; accepted: a whole number of pixels from 1024 to"):
        find_model(card(json.dumps({"working_area": value})))


@pytest.mark.parametrize(
    "value",
    [
        "high", None, 5, [0.1, 0.2, 0.3], {"low": 0.1}, {"low": 0.1, "normal": 0.2, "high": 2},
        {"low": 0.5, "normal": 0.4, "high": 0.6}, {"low": 0.1, "normal": 0.2, "high": 0.3, "extreme": 0.4},
    ],
)  # fmt: skip
def test_points_of_caution_are_three_rising_thresholds(card, value):
    with pytest.raises(SacFileError, match=r"caution is .*; accepted: the keys low, normal and high with numbers"):
        find_model(card(json.dumps({"caution": value})))


@pytest.mark.parametrize("content", ["[1]", "5", '"threshold"', "null", "", "{", b"\xff", "[" * 100_000])
def test_a_card_is_a_json_object(card, content):
    with pytest.raises(SacFileError, match=r"model card .*model\.json") as raised:
        find_model(card(content))
    assert "\n" not in str(raised.value)


def test_what_is_accepted(card):
    found = find_model(card('{"threshold": 1, "working_area": 1024, "other": null}'))
    assert (found.threshold, found.working_area) == (1, 1024)
    assert find_model(card("{}")).threshold == 0.5
    for name in list_models():
        assert 0 < find_model(name).threshold <= 1


def test_a_model_from_python_is_checked_as_well(tmp_path):
    with pytest.raises(SacValueError, match="threshold is 'abc'"):
        Model(name="x", path=tmp_path, threshold="abc")


@pytest.mark.parametrize("value", ["road", None, 5, {}, [1], ["road", ""], [["road"]]])
def test_classes_are_a_list_of_names(card, value):
    with pytest.raises(SacFileError, match=r"classes is .*; accepted: a list of different names"):
        find_model(card(json.dumps({"classes": value})))


def test_classes_of_a_card(card):
    found = find_model(card('{"classes": ["road", "sky"]}'))
    assert found.classes == ("road", "sky")
    # Runtimes keep sessions by model.
    assert hash(found) == hash(find_model(found.path))
    assert find_model(card("{}")).classes == ()
