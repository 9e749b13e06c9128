"""Class map to ROI mask and grey tones."""

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import SacError, grey_tones, macroblock_mask, roi_mask

from ..helpers import arrays_of, clip_of, noise_clip


def test_roi_mask_and_grey_tones_of_every_value():
    classes = clip_of([[np.arange(256, dtype=np.uint8).reshape(16, 16)]], vs.GRAY8)
    assert arrays_of(roi_mask(classes))[0][0].ravel().tolist() == [255, 0, 0, 0] + [255] * 252
    tones = arrays_of(grey_tones(classes))[0][0].ravel()
    assert tones[:4].tolist() == [255, 170, 85, 0]
    # A rendered class map is at the same time a mask: 255 exactly where the ROI is.
    np.testing.assert_array_equal(tones == 255, arrays_of(roi_mask(classes))[0][0].ravel() == 255)


@pytest.mark.parametrize("function", [roi_mask, grey_tones, macroblock_mask])
def test_masks_of_another_format_are_refused(function):
    with pytest.raises(SacError, match=r"accepted: GRAY8") as caught:
        function(noise_clip(32, 32, 1))
    assert isinstance(caught.value, TypeError)
