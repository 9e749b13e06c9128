"""Scaling to the coded size and back."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.segmentation.registry import Model
from vs_sac.source.synthetic import street_scene
from vs_sac.streams.coded_size import choose_coded_size, parse_coded_size, scale_down, scale_up

from ..helpers import FORMATS, arrays_of, noise_clip, same


def blank(width, height, fmt=vs.YUV420P8, **props):
    return vs.core.std.BlankClip(None, width, height, fmt, 1).std.SetFrameProps(**props)


def aspect_of(clip):
    with clip.get_frame(0) as frame:
        return frame.props.get("_SARNum"), frame.props.get("_SARDen")


def area_weights(side, ratio, start):
    """Share of each sample in each mean, (side / ratio, side): a second implementation, by lengths of overlaps."""
    means = np.zeros((side // ratio, side))
    for number in range(side // ratio):
        for sample in range(side):
            first = number * ratio + start
            means[number, sample] = max(0, min(sample + 1, first + ratio) - max(sample, first))
    return means / ratio


@given(st.sampled_from(FORMATS), st.integers(1, 5), st.integers(1, 5), st.integers(0, 5), st.integers(0, 99))
@settings(max_examples=40)
def test_samples_are_the_means_of_the_areas_that_they_cover(fmt, across, down, location, seed):
    clip = noise_clip(16 * across, 18 * down, 1, fmt, seed=seed).std.SetFrameProps(_ChromaLocation=location)
    found, given_planes = arrays_of(scale_down(clip, 16, 18))[0], arrays_of(clip)[0]
    for plane in range(3):
        subsampled = plane and clip.format.subsampling_w, plane and clip.format.subsampling_h
        # Left, top and bottom of ITU-T H.273; a luma sample of the small picture lies (ratio - 1) / 2 samples further,
        # which is half as much in samples of the chroma.
        left = -(across - 1) / 4 if subsampled[0] and location in (0, 2, 4) else 0
        top = {2: -1, 3: -1, 4: 1, 5: 1}.get(location, 0) * (down - 1) / 4 if subsampled[1] else 0
        rows = area_weights(18 * down >> subsampled[1], down, top)
        columns = area_weights(16 * across >> subsampled[0], across, left)
        exact = rows @ given_planes[plane] @ columns.T
        # Areas that reach over the edge of the picture are judged by their other samples.
        inside = np.ix_(rows.sum(1) > 1 - 1e-9, columns.sum(1) > 1 - 1e-9)
        assert np.abs(found[plane] - exact)[inside].max() <= 0.5 + 1e-3


@given(st.integers(0, 99))
@settings(max_examples=10)
def test_half_the_sides_is_the_mean_of_four_samples(seed):
    clip = noise_clip(64, 32, 1, vs.YUV420P10, seed=seed).std.SetFrameProps(_ChromaLocation=1)
    for small, samples in zip(arrays_of(scale_down(clip, 32, 16))[0], arrays_of(clip)[0], strict=True):
        sums = samples.reshape(small.shape[0], 2, -1, 2).sum((1, 3))
        assert (np.abs(4 * small.astype(int) - sums) <= 2).all()


@pytest.mark.parametrize("location", range(6))
@pytest.mark.parametrize("size", [(80, 48), (64, 40), (102, 62)])
def test_nothing_moves_by_a_part_of_a_sample(size, location):
    """Luma and chroma of a smooth picture come back where they were, for whole ratios and for others."""
    clip = street_scene(160, 96, 1)[0].std.SetFrameProps(_ChromaLocation=location)
    smooth = clip.std.BoxBlur(hradius=6, hpasses=3, vradius=6, vpasses=3)
    back = scale_up(scale_down(smooth, *size), 160, 96)
    for ours, theirs in zip(arrays_of(back)[0], arrays_of(smooth)[0], strict=True):
        assert np.abs(ours[4:-4, 4:-4].astype(int) - theirs[4:-4, 4:-4]).max() <= 2


@pytest.mark.parametrize("size", [(32, 24), (48, 36)])
def test_frames_labelled_as_interlaced_are_scaled_as_whole_frames(size):
    clip = noise_clip(64, 48, 1)
    labelled = clip.std.SetFieldBased(2)
    for scale, sides in ((scale_down, size), (scale_up, (128, 96))):
        assert same(scale(labelled, *sides), scale(clip, *sides))
        with scale(labelled, *sides).get_frame(0) as frame:
            assert frame.props["_FieldBased"] == 2


def test_the_same_size_is_the_same_clip():
    clip = noise_clip(64, 48, 2)
    assert scale_down(clip, 64, 48) is clip
    assert scale_up(clip, 64, 48) is clip


def test_frame_properties_stay():
    clip = blank(128, 64, _Matrix=1, _Range=1, _ChromaLocation=2, Mine=7, _SARNum=4, _SARDen=3)
    for size in ((64, 32), (60, 30)):
        with scale_down(clip, *size).get_frame(0) as frame:
            props = frame.props
            assert [props[name] for name in ("_Matrix", "_Range", "_ChromaLocation", "Mine")] == [1, 1, 2, 7]
            assert (props["_SARNum"], props["_SARDen"]) == (4, 3)


@given(
    st.sampled_from([None, (1, 1), (4, 3), (12, 11), (40, 33), (160, 99), (1079, 1080)]),
    st.tuples(*[st.integers(100, 4096)] * 2),
    st.tuples(*[st.integers(8, 100)] * 2),
)
@settings(max_examples=50)
def test_the_picture_is_displayed_as_before_and_the_source_aspect_ratio_comes_back(aspect, size, coded):
    # One column and one row of chroma subsampling are enough for the properties.
    source = blank(*size, vs.YUV444P8, **({"_SARNum": aspect[0], "_SARDen": aspect[1]} if aspect else {}))
    small = scale_down(source, *coded)
    square = Fraction(*(aspect or (1, 1)))
    found = aspect_of(small)
    if Fraction(size[0], size[1]) == Fraction(*coded):
        assert found == (aspect or (None, None))
    else:
        assert max(found) <= 65535
        shown = Fraction(*found) * coded[0] / coded[1]
        assert math.isclose(shown, square * size[0] / size[1], rel_tol=1e-4)
        assert Fraction(*aspect_of(scale_up(small, *size))) == square


@pytest.mark.parametrize(
    ("asked", "means"),
    [
        (None, None), ("native", None), ("auto", "auto"), ("1/2", Fraction(1, 2)), ("1/4", Fraction(1, 4)),
        ("1024x512", (1024, 512)), ((64, 48), (64, 48)), ([16, 16], (16, 16)),
    ],
)  # fmt: skip
def test_what_a_coded_size_means(asked, means):
    assert parse_coded_size(asked) == means


@pytest.mark.parametrize(
    "asked", ["", "half", "1/1", "1/5", "5/4", "0x0", "15x64", "64x", "64x48x3", "-64x48", "999999x16", 64, (64,),
              (64.0, 48), (True, True), (64, 15), b"1/2"],
)  # fmt: skip
def test_other_coded_sizes_are_refused(asked):
    with pytest.raises(SacValueError, match=r"coded_size .*accepted: "):
        parse_coded_size(asked)


@pytest.mark.parametrize(
    ("asked", "size", "fmt", "coded"),
    [
        (None, (210, 114), vs.YUV420P8, (210, 114)),
        ("1/2", (2048, 1024), vs.YUV420P8, (1024, 512)),
        ("1/2", (210, 114), vs.YUV420P8, (106, 58)),
        ("1/2", (33, 35), vs.YUV444P8, (18, 18)),
        ("1/3", (1920, 1080), vs.YUV422P8, (640, 360)),
        ("100x101", (210, 114), vs.YUV422P8, (100, 101)),
        ("99x101", (210, 114), vs.YUV444P8, (99, 101)),
        ("210x114", (210, 114), vs.YUV420P8, (210, 114)),
    ],
)
def test_the_size_of_the_coded_picture(asked, size, fmt, coded):
    assert choose_coded_size(asked, blank(*size, fmt)) == coded


@pytest.mark.parametrize(
    ("asked", "size", "message"),
    [
        ("212x96", (210, 114), "212x96 is above the video's size; accepted: up to 210x114"),
        ("64x116", (210, 114), "64x116 is above"),
        ("65x48", (210, 114), "65x48; accepted: multiples of 2 and 2"),
        ("1/4", (56, 114), "1/4 of 56x114 is 14x30; accepted: 16x16"),
        ("1/5", (210, 114), "accepted: native"),
        ("auto", (210, 114), "give task_model"),
    ],
)
def test_sizes_that_do_not_fit_the_video_are_refused(asked, size, message):
    with pytest.raises((SacFormatError, SacValueError), match=message):
        choose_coded_size(asked, blank(*size))


def network(**settings):
    return Model(name="m", path=Path("m.onnx"), **settings)


@pytest.mark.parametrize(
    ("size", "settings_", "coded"),
    [
        ((2048, 1024), {"input_size": (1024, 512)}, (1024, 512)),
        ((1280, 720), {"input_size": (1024, 512)}, (1024, 512)),
        ((1280, 720), {"input_size": (641, 359)}, (642, 360)),
        ((640, 360), {"input_size": (1024, 512)}, (640, 360)),
        ((2000, 400), {"input_size": (1024, 512)}, (2000, 400)),
        ((1280, 720), {"working_area": 640 * 360}, (640, 360)),
        ((2048, 1024), {"working_area": 512 * 1024, "multiple_of": 32}, (1024, 512)),
        ((320, 192), {"working_area": 640 * 360}, (320, 192)),
    ],
)
def test_the_size_for_a_network(size, settings_, coded):
    assert choose_coded_size("auto", blank(*size), network(**settings_)) == coded


@given(st.tuples(*[st.integers(16, 2000).map(lambda n: 2 * n)] * 2), st.integers(2048, 2**21))
@settings(max_examples=60)
def test_the_size_for_a_network_keeps_aspect_ratio_and_area(size, area):
    model, clip = network(working_area=area), blank(*size, vs.GRAY8)
    coded = choose_coded_size("auto", clip, model)
    assert all(side % 2 == 0 and 16 <= side <= most for side, most in zip(coded, size, strict=True))
    if coded == size:
        return
    wanted = math.prod(model.working_size(*size))
    if min(coded) > 16:
        assert coded[0] * coded[1] == pytest.approx(wanted, rel=0.07 + 6 / min(coded))
        # Even sides leave at most one sample of error in the height.
        assert abs(coded[0] * size[1] / size[0] - coded[1]) <= 1


def test_sizes_that_a_clip_cannot_have_are_refused():
    clip = blank(64, 48)
    for scale, size, message in [
        (scale_down, (66, 48), "above that of the clip"),
        (scale_down, (33, 24), "multiples of 2 and 2"),
        (scale_up, (62, 48), "below that of the clip"),
        (scale_up, (129, 96), "multiples of 2 and 2"),
    ]:
        with pytest.raises(SacFormatError, match=message):
            scale(clip, *size)


def test_a_whole_ratio_above_five_is_scaled_too():
    clip = street_scene(192, 96, 1)[0]
    assert same(scale_down(clip, 24, 12), clip.resize.Bilinear(24, 12))
