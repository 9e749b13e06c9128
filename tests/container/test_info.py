"""What a SAC file says about itself, as tags."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_sac.container import TRACKS, RateGoal, SacInfo
from vs_sac.core.choices import Fill, Mode

goals = st.builds(
    RateGoal,
    st.integers(1, 10**12),
    match_crf=st.none() | st.integers(0, 5100).map(lambda crf: crf / 100),
    kbps=st.none() | st.integers(1, 99999).map(float),
)


def info(**changed):
    given_ = {
        "path": Path("a.mkv"), "version": "1", "mode": Mode.TWO_STREAM, "block": 16, "width": 82, "height": 66,
        "codec": "x264", "crf_roi": 18.0, "crf_non_roi": 27.5, "fill": Fill.GREY, "model": "ccnet-lite",
        "fps": Fraction(30000, 1001), "frames": 5,
    }  # fmt: skip
    return SacInfo(**{**given_, **changed})


@given(goals)
def test_a_size_that_was_asked_for_is_read_as_it_was_written(goal):
    tags = goal.tags()
    assert all(name.startswith("SAC_") and isinstance(value, str) for name, value in tags.items())
    assert RateGoal.read(tags) == goal
    assert RateGoal.read({**info().tags(), **tags}) == goal


def test_without_a_size_there_is_none():
    assert RateGoal.read(info().tags()) is None
    with pytest.raises(ValueError, match="many"):
        RateGoal.read({"SAC_TARGET_BYTES": "many"})


def test_tags_of_a_file():
    tags = info(goal=RateGoal(1000, match_crf=23)).tags()
    assert tags == {
        "SAC_VERSION": "1", "SAC_MODE": "two-stream", "SAC_BLOCK": "16", "SAC_WIDTH": "82", "SAC_HEIGHT": "66",
        "SAC_CODEC": "x264", "SAC_CRF_ROI": "18", "SAC_CRF_NON_ROI": "27.5", "SAC_FILL": "grey",
        "SAC_MODEL": "ccnet-lite", "SAC_FPS": "30000/1001", "SAC_FRAMES": "5", "SAC_TARGET_BYTES": "1000",
        "SAC_MATCH_CRF": "23",
    }  # fmt: skip
    assert info(mode=Mode.SINGLE_STREAM, fill=None).tags()["SAC_FILL"] == "none"
    assert info(non_roi_scale=2).tags()["SAC_NON_ROI_SCALE"] == "2"
    scaled = info(source_size=(164, 132)).tags()
    assert (scaled["SAC_WIDTH"], scaled["SAC_SOURCE_WIDTH"], scaled["SAC_SOURCE_HEIGHT"]) == ("82", "164", "132")
    assert info(model="masks:a\x00b\n.mkv").tags()["SAC_MODEL"] == "masks:a?b?.mkv"


def test_the_mask_is_the_last_track_of_every_mode():
    assert set(TRACKS) == set(Mode)
    assert {names[-1] for names in TRACKS.values()} == {"mask"}
