"""Checksums of coded frames, and the attachment that holds them."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_sac import SacError
from vs_sac.container.manifest import GROUP, Manifest, TrackSum


@given(frames=st.integers(1, 70), cut=st.integers(0, 70), wrong=st.integers(0, 5))
def test_intact_frames_end_with_the_group_before_the_first_difference(frames, cut, wrong):
    groups = tuple(range(-(-frames // GROUP)))
    stored = TrackSum(frames, 7, groups)
    assert stored.intact(stored) == frames
    assert stored.intact(replace(stored, setup=8)) == 0
    changed = tuple(g + 100 * (g == wrong) for g in groups)
    if changed != groups:
        assert stored.intact(replace(stored, groups=changed)) == wrong * GROUP
    left = min(cut, frames)
    short = TrackSum(left, 7, (*groups[: left // GROUP], *([999] if left % GROUP else [])))
    assert stored.intact(short) == (frames if short == stored else left // GROUP * GROUP)


@pytest.mark.slow
@settings(max_examples=30)
@given(
    st.dictionaries(st.text(), st.text()),
    st.dictionaries(st.text(), st.lists(st.integers(0, 2**32 - 1)).map(lambda g: TrackSum(len(g), 3, tuple(g)))),
)
def test_a_manifest_survives_its_file(tags, tracks):
    manifest = Manifest(tags, tracks)
    assert Manifest.load(manifest.dump(), Path("a")) == manifest


@given(st.binary(max_size=200) | st.sampled_from([b"{}", b"[]", b"null", b'{"crc":1}', b"[" * 100_000]))
def test_what_is_no_manifest_is_an_error(data):
    with pytest.raises(SacError, match=r"its attachment sac\.json cannot be read"):
        Manifest.load(data, Path("a"))
