import numpy as np
import pytest
import vapoursynth as vs

from vs_sac.core.rgb import convertible

from ..encoders.test_colour import LABELS, black


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_every_clip_can_be_looked_at(labels):
    clip = black(*labels)
    rgb = convertible(clip).resize.Bilinear(32, 32, format=vs.RGBS)
    with rgb.get_frame(1) as frame:
        assert np.isfinite(np.asarray(frame[0])).all()


@pytest.mark.parametrize("matrix", [1, 5, 6, 9, 14])
def test_what_can_be_converted_stays(matrix):
    clip = black(matrix, 9, 16)
    assert convertible(clip) is clip


@pytest.mark.parametrize(("primaries", "matrix"), [(9, 9), (1, 1), (12, 1)])
def test_the_stand_in_follows_the_primaries(primaries, matrix):
    assert convertible(black(11, primaries, 16)).get_frame(0).props["_Matrix"] == matrix
