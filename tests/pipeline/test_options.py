"""The options of an encode: one list for the dataclasses, `vs_sac.encode` and the command line."""

import importlib
import inspect
import shlex
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import vs_sac
from vs_sac import EncodeOptions, MaskOptions, RateControl, RunOptions, SacError, SourceOptions, StreamOptions
from vs_sac.cli import app, program
from vs_sac.core.choices import AudioMode, BlockMap, Caution, Codec, Fill, Mode
from vs_sac.core.errors import SacValueError
from vs_sac.core.labels import LabelSet
from vs_sac.encoders.base import PRESETS
from vs_sac.segmentation.runtimes import Backend

KINDS = (RateControl, StreamOptions, MaskOptions, SourceOptions, RunOptions)
#: Parameters of `vs_sac.encode`, and options of ``vs-sac encode``, that decide nothing about the encode itself.
NO_OPTIONS = {"source", "out", "force", "progress", "on_trial"}
OWN_OPTIONS = {"--output", "--dry-run", "--json", "--force", "--no-audio", "--profile"}

#: Values of every option, most of which may be combined.
VALUES = {
    "crf_roi": st.none() | st.floats(0, 51),
    "crf_non_roi": st.none() | st.floats(0, 51),
    "crf_gap": st.none() | st.floats(-51, 51),
    "match_crf": st.none() | st.floats(0, 51),
    "target_kbps": st.none() | st.floats(1, 1e6),
    "crf": st.none() | st.floats(0, 51),
    "codec": st.sampled_from([*Codec, "x264", "x265"]),
    "mode": st.sampled_from([*Mode, "two-stream", "single-stream"]),
    "preset": st.sampled_from(PRESETS),
    "fill": st.sampled_from([None, *Fill, "black"]),
    "non_roi_filter": st.floats(0, 4),
    "non_roi_scale": st.sampled_from([None, 1, 2]),
    "coded_size": st.sampled_from([None, "native", "1/2", "3/4", "640x360", (640, 360)]),
    "task_model": st.sampled_from([None, "ccnet-lite", Path("a.onnx")]),
    "encoder_args": st.sampled_from(["", "--keyint 50", ("--ref", "2"), "--tune grain"]),
    "encoder_args_roi": st.sampled_from(["", "--ref 3"]),
    "encoder_args_non_roi": st.sampled_from(["", "--no-mbtree"]),
    "masks": st.sampled_from([None, "m.mkv", Path("m.mkv")]),
    "labels": st.sampled_from([None, "camvid", LabelSet.CITYSCAPES]),
    "model": st.sampled_from(["ccnet-lite", Path("a.onnx")]),
    "threshold": st.none() | st.floats(0.01, 1),
    "caution": st.none() | st.sampled_from([*Caution, "low"]),
    "backend": st.sampled_from([*Backend, "python"]),
    "every": st.none() | st.integers(1, 32),
    "roi_hold": st.integers(0, 16),
    "roi_close": st.none() | st.integers(0, 8),
    "map": st.sampled_from([*BlockMap, "task"]),
    "tiers": st.sampled_from(["driving", "person=-3", Path("tiers.toml"), {"road": -1.0}]),
    "map_strength": st.floats(0, 2),
    "importance": st.sampled_from([None, Path("a.npz")]),
    "fps": st.sampled_from([None, "17", Fraction(30000, 1001)]),
    "track": st.integers(0, 3),
    "start": st.none() | st.floats(0, 10),
    "end": st.none() | st.floats(11, 20),
    "frames": st.none() | st.integers(1, 999),
    "audio": st.sampled_from([*AudioMode, "flac"]),
    "strict": st.booleans(),
    "chunk": st.none() | st.floats(0.1, 60),
    "resume": st.booleans(),
    "jobs": st.integers(1, 9),
    "threads": st.none() | st.integers(1, 99),
    "low_latency": st.booleans(),
}


def test_the_flat_front_has_exactly_the_fields_of_the_dataclasses():
    declared = {option.name: option.default for kind in KINDS for option in fields(kind)}
    assert len(declared) == sum(len(fields(kind)) for kind in KINDS), "a name occurs twice"
    assert EncodeOptions.flat_defaults() == declared
    parameters = inspect.signature(vs_sac.encode).parameters
    flat = {name: parameter for name, parameter in parameters.items() if name not in NO_OPTIONS}
    assert {name: parameter.default for name, parameter in flat.items()} == declared
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in flat.values())
    assert set(VALUES) == set(declared)


def test_every_parameter_of_the_flat_front_is_annotated_as_the_dataclasses_are():
    """Where the dataclass holds an enum member, the front takes its string as well."""

    def kinds(annotation):
        text = getattr(annotation, "__name__", None) if inspect.isclass(annotation) else str(annotation)
        for module in ("vs_sac.core.choices.", "vs_sac.core.labels.", "vs_sac.segmentation.runtimes.", "pathlib.",
                       "fractions.", "collections.abc.", "vapoursynth."):  # fmt: skip
            text = text.replace(module, "")
        return set(text.replace("vs.", "").split(" | "))

    front = {name: p.annotation for name, p in inspect.signature(vs_sac.encode).parameters.items()}
    declared = {option.name: kinds(option.type) for kind in KINDS for option in fields(kind)}
    for name, expected in declared.items():
        assert expected <= kinds(front[name]) <= expected | {"str"} | ({"bool"} if name == "audio" else set()), name


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_flat_keywords_and_back(values):
    try:
        options = EncodeOptions.from_flat(**values)
    except SacValueError:
        assume(False)
    flat = options.to_flat()
    assert list(flat) == list(EncodeOptions.flat_defaults())
    assert EncodeOptions.from_flat(**flat) == options
    # Values arrive as they were given; strings have become members of their enums, which equal them.
    assert {name: flat[name] for name in values} == values
    assert all(flat[name] == default for name, default in EncodeOptions.flat_defaults().items() if name not in values)
    assert type(flat["codec"]) is Codec
    assert type(flat["mode"]) is Mode
    assert type(flat["backend"]) is Backend


@pytest.mark.parametrize(("given_audio", "means"), [(True, AudioMode.COPY), (False, AudioMode.NONE)])
def test_audio_is_a_switch_too(given_audio, means):
    assert EncodeOptions.from_flat(audio=given_audio).to_flat()["audio"] is means


def test_no_audio_is_audio_none(planned):
    assert planned("--no-audio")["audio"] is AudioMode.NONE


def test_options_are_frozen_and_keyword_only():
    for kind in (*KINDS, EncodeOptions):
        assert kind() == kind()
        with pytest.raises(TypeError):
            kind(1)
        with pytest.raises(FrozenInstanceError):
            setattr(kind(), fields(kind)[0].name, None)
    # Values are checked again in a changed copy.
    with pytest.raises(SacValueError, match="outside 0-51"):
        replace(RateControl(crf_roi=20), crf_roi=99)


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [("crf_rio", "crf_roi"), ("encoder_arg", "encoder_args"), ("thread", "threads"), ("treshold", "threshold")],
)
def test_an_unknown_keyword_names_the_nearest(unknown, nearest):
    with pytest.raises(TypeError, match=f"no option '{unknown}'; did you mean {nearest}\\?"):
        EncodeOptions.from_flat(codec="x265", **{unknown: 1})


def test_an_unknown_keyword_like_no_other():
    with pytest.raises(TypeError, match=r"no option 'qqqq'$"):
        EncodeOptions.from_flat(qqqq=1)
    with pytest.raises(TypeError, match="crf_rio"):
        vs_sac.encode("a.mkv", "b.mkv", crf_rio=20)


WRONG = [
    (MaskOptions, {"threshold": 0.5, "caution": "low"}, "threshold and caution both choose"),
    (RateControl, {"crf_roi": -1}, "crf_roi -1"),
    (RateControl, {"crf_non_roi": 51.5}, "crf_non_roi 51.5"),
    (RateControl, {"crf_gap": 52}, "crf_gap 52"),
    (RateControl, {"match_crf": 60}, "match_crf 60"),
    (RateControl, {"target_kbps": 0}, "target_kbps 0"),
    (RateControl, {"target_kbps": float("inf")}, "target_kbps inf"),
    (RateControl, {"match_crf": 20, "target_kbps": 9}, "one of them"),
    (RateControl, {"crf_roi": float("nan")}, "crf_roi nan"),
    (StreamOptions, {"codec": "av1"}, "av1"),
    (StreamOptions, {"mode": "three-stream"}, "three-stream"),
    (StreamOptions, {"preset": "fastest"}, "fastest"),
    (StreamOptions, {"fill": "white"}, "white"),
    (StreamOptions, {"non_roi_filter": 5}, "non_roi_filter 5"),
    (StreamOptions, {"non_roi_filter": float("nan")}, "non_roi_filter nan"),
    (StreamOptions, {"encoder_args": "keyint 5"}, "keyint"),
    (StreamOptions, {"encoder_args_roi": "--output x"}, "--output"),
    (StreamOptions, {"encoder_args_non_roi": "-q"}, "-q"),
    (StreamOptions, {"mode": "single-stream", "fill": "grey"}, "fill"),
    (StreamOptions, {"mode": "single-stream", "non_roi_scale": 1}, "non_roi_scale"),
    (StreamOptions, {"coded_size": "half"}, "coded_size 'half' is not accepted; accepted: native, WxH"),
    (StreamOptions, {"coded_size": "8x64"}, "coded_size 8x64; accepted: 16x16 and up"),
    (StreamOptions, {"coded_size": "auto"}, "give task_model"),
    (MaskOptions, {"backend": "tpu"}, "tpu"),
    (MaskOptions, {"every": 0}, "every 0"),
    (MaskOptions, {"every": 33}, "every 33"),
    (MaskOptions, {"roi_hold": 17}, "roi_hold 17"),
    (MaskOptions, {"roi_close": -1}, "roi_close -1"),
    (MaskOptions, {"masks": "m.mkv", "every": 2}, "every"),
    (MaskOptions, {"map": "saliency"}, "saliency"),
    (MaskOptions, {"map_strength": 2.5}, "map_strength 2.5"),
    (MaskOptions, {"importance": Path("a.npz")}, "give --map task"),
    (RateControl, {"crf": 23, "crf_roi": 20}, "give no other CRF"),
    (RateControl, {"crf": 52}, "crf 52"),
    (RunOptions, {"threads": 0}, "threads 0"),
    (RunOptions, {"jobs": 0}, "jobs 0"),
]


@pytest.mark.parametrize(("kind", "values", "said"), WRONG, ids=lambda value: str(value) if value else "")
def test_values_that_are_not_accepted_are_refused_when_the_options_are_made(kind, values, said):
    with pytest.raises(SacValueError, match=said):
        kind(**values)
    with pytest.raises(SacValueError, match=said):
        EncodeOptions.from_flat(**values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"low_latency": True, "encoder_args": "--tune film"}, "leave out --tune"),
        ({"chunk": 2.0, "match_crf": 23}, "search for a size"),
        ({"jobs": 2, "target_kbps": 900}, "search for a size"),
        ({"resume": True, "target_kbps": 900}, "search for a size"),
        ({"crf": 23}, "crf is for a single stream"),
        ({"crf": 23, "map": "task"}, "crf is for a single stream"),
        ({"crf_roi": 23, "map": "task", "mode": "single-stream"}, "give crf in place"),
    ],
)
def test_options_that_contradict_each_other_across_groups(values, said):
    with pytest.raises(SacValueError, match=said):
        EncodeOptions.from_flat(**values)


@pytest.fixture
def planned(monkeypatch):
    """The options that ``vs-sac encode`` asks a plan for; no plan is made."""
    module = importlib.import_module("vs_sac.cli.encode")
    seen = []

    def stop(source, options, **named):
        seen.append(options)
        raise SacError("seen", "test")

    monkeypatch.setattr(module, "plan", stop)

    def asked(*words):
        assert program.run(["encode", "in.mkv", "-o", "no/such/out.mkv", *words]) == 1
        return seen[-1].to_flat()

    # The output is checked before the plan; here it need not be writable.
    monkeypatch.setattr(module, "check_sac_output", lambda *_, **__: None)
    return asked


def test_every_option_of_the_command_line_is_a_field_and_every_field_an_option(planned):
    arguments = app["encode"].assemble_argument_collection()
    names = {name for argument in arguments for name in argument.names if name.startswith("--")}
    negative = {name for argument in arguments for name in argument.negatives}
    assert negative == set()
    flat = {f"--{name.replace('_', '-')}" for name in EncodeOptions.flat_defaults()}
    assert names - negative == flat | OWN_OPTIONS
    assert planned() == EncodeOptions.flat_defaults()


def test_the_help_shows_every_option(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert program.run(["encode", "--help"]) == 0
    shown = capsys.readouterr().out.split()
    flat = {f"--{name.replace('_', '-')}" for name in EncodeOptions.flat_defaults()}
    # --no-audio is an old spelling of --audio none.
    assert flat | OWN_OPTIONS - {"--no-audio", "--profile"} <= set(shown)


def test_what_the_command_line_is_given_arrives(planned):
    words = shlex.split(
        "--crf-roi 20 --crf-gap 4.5 --codec x265 --preset fast --fill hold --non-roi-filter 1.5 --non-roi-scale 2"
        " --encoder-args '--keyint 9' --encoder-args-roi --ref=2 --encoder-args-non-roi --ref=1"
        " --model ccnet-lite --threshold 0.4 --backend ort --every 3 --roi-hold 2 --roi-close 1 --fps 30000/1001"
        " --coded-size 3/4 --task-model net.onnx --map task --tiers person=-3 --map-strength 0.5 --importance own.npz"
        " --audio none --track 1 --start 1.5 --end 9 --frames 20 --strict --chunk 5 --resume"
        " --jobs 2 --threads 4 --low-latency"
    )
    wanted = {
        "crf_roi": 20, "crf_gap": 4.5, "codec": Codec.X265, "preset": "fast", "fill": Fill.HOLD,
        "non_roi_filter": 1.5, "non_roi_scale": 2,
        "encoder_args": "--keyint 9", "encoder_args_roi": "--ref=2",
        "encoder_args_non_roi": "--ref=1", "model": "ccnet-lite",
        "threshold": 0.4, "backend": Backend.ORT,
        "every": 3, "roi_hold": 2, "roi_close": 1, "fps": "30000/1001", "audio": AudioMode.NONE,
        "track": 1, "start": 1.5, "end": 9, "frames": 20, "strict": True, "chunk": 5, "resume": True,
        "jobs": 2, "threads": 4, "low_latency": True, "coded_size": "3/4", "task_model": "net.onnx",
        "map": BlockMap.TASK, "tiers": "person=-3", "map_strength": 0.5, "importance": Path("own.npz"),
    }  # fmt: skip
    assert planned(*words) == {**EncodeOptions.flat_defaults(), **wanted}
    others = {"mode": ("--mode", "single-stream"), "crf_non_roi": ("--crf-non-roi", "40"),
              "match_crf": ("--match-crf", "23"), "target_kbps": ("--target-kbps", "900"),
              "masks": ("--masks", "m.mkv"), "caution": ("--caution", "high")}  # fmt: skip
    given_values = {"mode": Mode.SINGLE_STREAM, "crf_non_roi": 40, "match_crf": 23, "target_kbps": 900,
                    "masks": Path("m.mkv"), "caution": Caution.HIGH}  # fmt: skip
    for name, argument in others.items():
        assert planned(*argument) == {**EncodeOptions.flat_defaults(), name: given_values[name]}
    mapped = planned("--mode", "single-stream", "--map", "none", "--crf", "30")
    one = {"mode": Mode.SINGLE_STREAM, "map": BlockMap.NONE, "crf": 30}
    assert mapped == {**EncodeOptions.flat_defaults(), **one}
    labelled = planned("--masks", "labels", "--labels", "camvid")
    assert labelled == {**EncodeOptions.flat_defaults(), "masks": Path("labels"), "labels": LabelSet.CAMVID}
    # No option is left out here.
    assert wanted.keys() | others.keys() | {"labels", "crf"} == EncodeOptions.flat_defaults().keys()


def test_the_groups_of_the_help_are_those_of_the_dataclasses():
    """So that options that belong together stand together."""
    order = [argument.name for argument in app["encode"].assemble_argument_collection()]
    for kind in KINDS:
        places = [order.index(f"--{option.name.replace('_', '-')}") for option in fields(kind)]
        assert all(b - a == 1 for a, b in pairwise(places)), kind
