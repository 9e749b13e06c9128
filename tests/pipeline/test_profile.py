"""Profiles: what is written is read again, and mistakes in a file are named."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vs_sac
from vs_sac import cli
from vs_sac.core.errors import SacFileError, SacValueError
from vs_sac.pipeline.profile import profile_text, read_profile, write_profile

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


NUMBERS = st.integers(-99, 99) | st.floats(allow_nan=False, allow_infinity=False)
OPTIONS = st.dictionaries(st.from_regex(r"\A[a-z_]{1,9}\Z"), TEXTS | st.booleans() | NUMBERS, max_size=4)


@given(OPTIONS, st.lists(TEXTS, max_size=3))
def test_what_is_written_is_toml_with_the_same_values(options, comments):
    assert tomllib.loads(profile_text(options, comments)) == {"encode": options}


def test_round_trip(tmp_path):
    path = tmp_path / "front.toml"
    options = {"codec": "x265", "mode": "single-stream", "crf_roi": 21.5, "every": 3, "strict": True}
    write_profile(path, {**options, "start": None}, ["for the front camera"])
    assert read_profile(path) == options
    assert vs_sac.EncodeOptions.from_flat(**read_profile(path)).rate.crf_roi == 21.5
    with pytest.raises(SacFileError, match="exists"):
        write_profile(path, options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[encode]\ncodecs = 'x264'", "did you mean codec?"), ("[encode]\nzzz = 1", "unknown option 'zzz'"),
        ("codec = 'x264'", r"one table, \[encode\]; it has 'codec'"), ("", r"one table, \[encode\]"),
        ("[encode]\n[other]", "it has 'other'"), ("[encode]\ncrf_roi = 'fine'", "crf_roi = 'fine'"),
        ("[encode]\nstrict = 1", "strict = 1"), ("[encode]\ncrf_roi = true", "crf_roi = True"),
        ("[encode]\nencoder_args = ['a']", "encoder_args"), ("[encode]\ncrf_roi = 99", "crf_roi 99 is outside"),
        ("[encode]\ncrf_roi=1\ncrf_gap=2\nmatch_crf=3", "find a CRF"), ("[encode]\ncodec = 'av2'", "unknown codec"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path, text, said):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(SacValueError, match=said) as caught:
        read_profile(path)
    assert "p.toml" in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "p.toml"
    with pytest.raises(SacFileError, match="No such file"):
        read_profile(path)
    for content in (b"\xff\xfe", b"[encode\n"):
        path.write_bytes(content)
        with pytest.raises(SacFileError, match="is not TOML"):
            read_profile(path)


@pytest.fixture
def planned(tmp_path, capsys):
    """Function (options) → the plan of an encode with a profile, as printed."""
    from vs_sac.source.synthetic import street_scene

    with (tmp_path / "in.y4m").open("wb") as file:
        street_scene(64, 48, 2)[0].output(file, y4m=True)
    (tmp_path / "p.toml").write_text(
        '[encode]\ncodec = "x265"\npreset = "fast"\ncrf_roi = 20\ncrf_gap = 5\nstrict = true'
    )

    def run(*words, profile="p.toml"):
        code = cli.run(["encode", str(tmp_path / "in.y4m"), "-o", str(tmp_path / "out.mkv"), "--dry-run",
                        "--profile", str(tmp_path / profile), *words])  # fmt: skip
        return code, capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["CRF 20 for the ROI, 25 for", "preset=fast", "two-stream, x265"]),
        (["--preset", "medium"], ["preset=medium", "CRF 20 for"]),
        # One figure of the rate replaces all of the profile's.
        (["--crf-non-roi", "40"], ["CRF 23 for the ROI, 40 for"]),
        (["--mode", "single-stream"], ["single-stream, x265"]),
    ],
)
def test_options_on_the_command_line_override_a_profile(planned, words, expected):
    code, said = planned(*words)
    assert code == 0, said.err
    assert not [text for text in expected if text not in said.out]


def test_a_profile_that_is_missing_is_one_line(planned):
    code, said = planned(profile="other.toml")
    assert code == 1
    assert len(said.err.strip().splitlines()) == 1
