"""Wrong arguments: every public function names the argument, what arrived and what is accepted."""

import re

import pytest
import vapoursynth as vs

import vs_sac
from vs_sac import metrics
from vs_sac.core.clips import frames
from vs_sac.core.errors import SacDamageError, SacFileError, SacValueError, error_of_filter


def blank(fmt=vs.YUV420P8, width=64, height=48):
    return vs.core.std.BlankClip(format=fmt, width=width, height=height, length=3)


def good():
    return blank().std.SetFrameProps(_Matrix=1)


CLIP = "accepted: a clip (vapoursynth.VideoNode)"
PATH = "accepted: a path (str or pathlib.Path)"
EITHER = f"{PATH} or a clip (vapoursynth.VideoNode)"
CALLS = {
    "encode source": (lambda tmp: vs_sac.encode(None, tmp / "a.mkv"), f"(encode) source is None; {EITHER}"),
    "encode number": (lambda tmp: vs_sac.encode(7, tmp / "a.mkv"), f"(encode) source is the int 7; {EITHER}"),
    "encode out": (lambda tmp: vs_sac.encode(good(), None), f"(encode) out is None; {PATH}"),
    "encode masks": (lambda tmp: vs_sac.encode(good(), tmp / "a.mkv", masks=3), "masks is the int 3; " + EITHER),
    "uniform out": (lambda tmp: vs_sac.encode_uniform(good(), None, crf=20), f"(encode_uniform) out is None; {PATH}"),
    "plan": (lambda tmp: vs_sac.plan(None), f"(plan) source is None; {EITHER}"),
    "segment": (
        lambda tmp: vs_sac.segment("a.mp4"),
        f"(segment) clip is the str 'a.mp4'; {CLIP}, as open_clip('a.mp4')",
    ),
    "model": (lambda tmp: vs_sac.segment(good(), model=None), f"model is None; {PATH}"),
    "roi_mask": (lambda tmp: vs_sac.roi_mask(None), f"(roi_mask) class_map is None; {CLIP}"),
    "grey_tones": (lambda tmp: vs_sac.grey_tones("m.png"), "(grey_tones) class_map is the str 'm.png'"),
    "macroblock_mask": (lambda tmp: vs_sac.macroblock_mask(None), f"mask is None; {CLIP}"),
    "split": (lambda tmp: vs_sac.split(good(), "m.mkv"), "(split) mask is the str 'm.mkv'"),
    "merge": (lambda tmp: vs_sac.merge(good(), None, blank(vs.GRAY8)), f"(merge) non_roi is None; {CLIP}"),
    "overlay": (lambda tmp: vs_sac.overlay(good(), None), f"(overlay) class_map is None; {CLIP}"),
    "low_pass": (lambda tmp: vs_sac.low_pass(None, blank(vs.GRAY8), 1.0), f"(low_pass) clip is None; {CLIP}"),
    "open_clip": (lambda tmp: vs_sac.open_clip(None), f"(open_clip) path is None; {PATH}"),
    "open_clip list": (lambda tmp: vs_sac.open_clip([None]), f"(open_clip) path is None; {PATH}"),
    "open_sac": (lambda tmp: vs_sac.open_sac(None), f"(open_sac) path is None; {PATH}"),
    "decode": (lambda tmp: vs_sac.decode(None, tmp / "a.y4m"), f"(decode) source is None; {PATH}"),
    "decode out": (lambda tmp: vs_sac.decode(tmp / "a.mkv", None), f"(decode) out is None; {PATH}"),
    "measure": (lambda tmp: metrics.measure("a.mp4", good()), "(measure) reference is the str 'a.mp4'"),
    "measure mask": (lambda tmp: metrics.measure(good(), good(), "m"), "(measure) mask is the str 'm'"),
    "flashes": (lambda tmp: metrics.flashes(good(), good(), None), f"(flashes) mask is None; {CLIP}"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_kind_of_argument_is_named(tmp_path, name):
    call, said = CALLS[name]
    with pytest.raises(vs_sac.SacError, match=re.escape(said)) as caught:
        call(tmp_path)
    assert isinstance(caught.value, TypeError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fmt", [vs.YUV420P16, vs.YUV420P12, vs.GRAY8, vs.GRAYS, vs.YUV444PS, vs.RGB24, vs.YUV410P8])
@pytest.mark.parametrize("uniform", [False, True])
def test_clips_that_no_encoder_takes_are_refused(tmp_path, fmt, uniform):
    clip = blank(fmt)
    with pytest.raises(TypeError, match=rf"source is {clip.format.name}; accepted: integer YUV of 8 or 10 bits"):
        if uniform:
            vs_sac.encode_uniform(clip, tmp_path / "a.mkv", crf=20)
        else:
            vs_sac.encode(clip, tmp_path / "a.mkv", masks=blank(vs.GRAY8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("props", "said"), [({}, "no frame property _Matrix"), ({"_Matrix": 2}, "no frame property"),
                                             ({"_Matrix": 18}, "_Matrix 18")])  # fmt: skip
def test_a_clip_without_a_matrix_is_not_segmented(props, said):
    clip = blank().std.SetFrameProps(**props) if props else blank().std.RemoveFrameProps("_Matrix")
    with pytest.raises(TypeError, match=rf"\(segment\) the clip has {said}.*SetFrameProps\(_Matrix=1\)"):
        vs_sac.segment(clip)


@pytest.mark.parametrize("matrix", [1, 4, 5, 6, 7, 8, 9, 10, 12, 13])
def test_every_other_matrix_is_segmented(matrix):
    assert vs_sac.segment(blank().std.SetFrameProps(_Matrix=matrix)).get_frame(0).format.id == vs.GRAY8


def failing(error):
    def fail(n, f):
        if n == 1:
            try:
                raise OSError("inner")
            except OSError as inner:
                raise error from inner
        return f

    clip = blank()
    return clip.std.ModifyFrame(clip, fail)


@pytest.mark.parametrize("error", [SacFileError("a.png: cannot be decoded", "open_clip"), SacValueError("two\nlines"),
                                   SacDamageError("damaged", "decode", frames=3)])  # fmt: skip
def test_an_error_in_a_filter_arrives_as_what_it_is(error):
    with pytest.raises(vs_sac.SacError) as caught:
        list(frames(failing(error)))
    assert type(caught.value) is type(error)
    assert str(caught.value) == " ".join(str(error).split())


def test_errors_of_others_stay_what_they_are():
    with pytest.raises(vs.Error, match="KeyError") as caught:
        list(frames(failing(KeyError("x"))))
    assert error_of_filter(caught.value) is None
    assert error_of_filter(vs.Error("Resize error 1026: vs_sac.core.errors.SacFileError")) is None
