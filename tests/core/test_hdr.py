import warnings

import pytest
import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st

from vs_sac.core.errors import SacWarning
from vs_sac.core.hdr import _LIGHT, _MASTERING, HdrMetadata, side_data_props

from ..encoders.test_colour import HDR, props_of

half = st.integers(0, 2**16 - 1)
METADATA = st.builds(
    HdrMetadata,
    chromaticities=st.none() | st.tuples(*[half] * 8),
    luminances=st.none() | st.tuples(*[st.integers(0, 2**32 - 1)] * 2),
    light=st.none() | st.tuples(half, half),
)


@given(METADATA)
def test_frame_properties_hold_it_exactly(hdr):
    assert HdrMetadata.of(props_of(hdr)) == (None if hdr == HdrMetadata() else hdr)


def test_vapoursynth_keeps_the_properties():
    clip = vs.core.std.BlankClip(None, 16, 16, vs.YUV420P8, 1).std.SetFrameProps(**props_of(HDR))
    assert HdrMetadata.of(clip.get_frame(0).props) == HDR


@given(METADATA)
def test_side_data_of_ffmpeg(hdr):
    ratios = [n for value in hdr.chromaticities or (0,) * 8 for n in (value, 50000)]
    highest, lowest = hdr.luminances or (0, 0)
    if max(highest, lowest) >= 2**31:
        return
    ratios += [lowest, 10000, highest, 10000]
    display = _MASTERING.pack(*ratios, hdr.chromaticities is not None, hdr.luminances is not None)
    light = _LIGHT.pack(*hdr.light) if hdr.light else None
    assert HdrMetadata.of(side_data_props(display, light)) == (None if hdr == HdrMetadata() else hdr)


def test_as_x264_and_x265_read_it():
    assert HDR.mastering == "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    assert HDR.light_level == "1000,400"
    assert HdrMetadata(luminances=(3, 2)).mastering == "G(0,0)B(0,0)R(0,0)WP(0,0)L(3,2)"
    assert (HdrMetadata().mastering, HdrMetadata().light_level) == (None, None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ContentLightLevelMax": 70000}, "content light level"),
        ({"MasteringDisplayMinLuminance": -0.5}, "luminances"),
        ({"MasteringDisplayPrimariesX": [0.6, -0.1, 0.1]}, "chromaticities"),
    ],
)
def test_what_cannot_be_coded_is_left_out_with_a_warning(wrong, said):
    with pytest.warns(SacWarning, match=f"{said}.* cannot be coded"):
        assert HdrMetadata.of(props_of(HDR) | wrong) != HDR


def test_part_of_a_group_is_no_metadata():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert HdrMetadata.of({"ContentLightLevelMax": 1000, "MasteringDisplayPrimariesX": [0.1, 0.2, 0.3]}) is None
