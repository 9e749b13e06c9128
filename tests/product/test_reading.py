"""Whatever the container, the GOP structure and the cut: both ways of reading show the frames that ffmpeg shows."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vs_sac.source import open_raw
from vs_sac.source.video import open_video, timeline_of

from .test_times import ffmpeg, hashes, own_hashes

pytestmark = pytest.mark.encoder


@st.composite
def recordings(draw):
    """Encoder, its options, the container, the frame before which the recording is cut, and whether its rate varies."""
    codec = draw(st.sampled_from(["libx264", "libx265"]))
    group, between, opened = draw(st.integers(1, 25)), draw(st.integers(0, 4)), draw(st.integers(0, 1))
    suffix = draw(st.sampled_from(["mp4", "mov", "mkv", "ts"]))
    options = f"keyint={group}:bframes={between}:open-gop={opened}"
    return codec, options, suffix, draw(st.none() | st.integers(1, 45)), draw(st.booleans())


@settings(max_examples=25)
@given(recordings())
@example(("libx264", "keyint=2:bframes=1:open-gop=1", "mkv", 6, False))
def test_sequential_indexed_and_ffmpeg_agree(tmp_path_factory, recording):
    codec, options, suffix, cut, varying = recording
    folder = tmp_path_factory.mktemp("reading")
    path = folder / f"whole.{suffix}"
    times = ["-vf", "setpts='if(lt(N,20),N/25,20/25+(N-20)/10)/TB'", "-fps_mode", "vfr"] if varying else []
    quiet = ":log-level=none" if codec == "libx265" else ""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=2", *times, "-c:v", codec, "-preset", "ultrafast",
           f"-{codec[3:]}-params", options + quiet, "-pix_fmt", "yuv420p", path)  # fmt: skip
    if cut is not None:
        whole, path = path, folder / f"cut.{suffix}"
        ffmpeg("-ss", cut / 25, "-i", whole, "-c", "copy", path)
    expected = hashes(path)
    assert open_video(path, 0, sequential=True) is not None
    first, second = open_raw(path, sequential=True), open_raw(path)
    assert first.num_frames == second.num_frames == len(expected)
    assert timeline_of(first) == timeline_of(second)
    assert own_hashes(first, range(len(expected))) == expected
    assert own_hashes(second, [int(n) for n in np.random.default_rng(0).permutation(len(expected))]) == expected
