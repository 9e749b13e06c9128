"""The frame rate and the times that a timeline finds, on numbers alone."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_sac.source.timeline import Timeline, _rate

rates = st.sampled_from(
    [Fraction(rate) for rate in ("25", "30", "30000/1001", "24000/1001", "17", "60", "10", "1", "1/2")]
)
bases = st.sampled_from([Fraction(1, 90000), Fraction(1, 12800), Fraction(1, 1000), Fraction(1, 600)])


def line(pts, time_base=Fraction(1, 1000), fps=Fraction(25), constant=False, keyframes=(0,)):
    return Timeline(pts=tuple(pts), time_base=time_base, fps=fps, constant=constant, keyframes=keyframes)


@given(rates, bases, st.integers(2, 400), st.integers(-100000, 100000), st.booleans())
def test_a_constant_rate_is_found_whatever_the_unit_and_the_start(fps, base, frames, start, stated):
    pts = [start + round(n / fps / base) for n in range(frames)]
    found, constant = _rate(pts, base, [fps] if stated else [])
    assert constant
    tolerance = max(Fraction(1, 1000), base)
    assert all(abs((time - pts[0]) * base - n / found) <= tolerance for n, time in enumerate(pts))


@given(rates, st.integers(3, 200), st.data())
def test_a_frame_that_is_2_ms_late_makes_the_rate_variable(fps, frames, data):
    late = data.draw(st.integers(1, frames - 2))
    pts = [round(n / fps * 90000) + (180 + 90 if n == late else 0) for n in range(frames)]
    found, constant = _rate(pts, Fraction(1, 90000), [fps])
    # A neighbouring rate may absorb it only within the tolerance.
    assert not constant or all(
        abs(Fraction(time, 90000) - n / found) <= Fraction(1, 1000) for n, time in enumerate(pts)
    )


def test_a_wrong_stated_rate_is_not_believed():
    # 79 frames in 3 s by the header, 25 per second by the timestamps.
    pts = [40 * n for n in range(79)]
    assert _rate(pts, Fraction(1, 1000), [Fraction(79, 3)]) == (Fraction(25), True)


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=50), st.integers(-5000, 5000))
def test_milliseconds_are_counted_from_the_first_frame(steps, start):
    pts = [start]
    for step in steps:
        pts.append(pts[-1] + step)
    made = line(pts)
    assert made.milliseconds() == tuple(time - start for time in pts)
    assert made.start == Fraction(start, 1000)


@given(st.integers(1, 60), st.integers(0, 59), st.integers(1, 60))
def test_a_part_keeps_its_times(frames, start, length):
    start = min(start, frames - 1)
    stop = min(frames, start + length)
    whole = line(range(0, 40 * frames, 40), keyframes=tuple(range(0, frames, 7)))
    part = whole.part(start, stop)
    assert part.seconds() == whole.seconds()[start:stop]
    assert all(key + start in whole.keyframes for key in part.keyframes)


@pytest.mark.parametrize(("number", "key"), [(0, 0), (6, 0), (7, 7), (8, 7), (30, 28)])
def test_decoding_starts_at_the_keyframe_before(number, key):
    assert line(range(40), keyframes=(0, 7, 14, 21, 28, 35)).keyframe_before(number) == key


def test_a_rate_that_is_set_replaces_the_times_but_not_the_start():
    made = line([500, 700, 701]).at_rate(Fraction(10))
    assert made.seconds() == [Fraction(1, 2), Fraction(6, 10), Fraction(7, 10)]
    assert made.constant
    assert made.milliseconds() == ()
