import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_sac import SacError, container, encode, encode_uniform, open_clip, open_sac
from vs_sac.core.choices import Codec, Mode
from vs_sac.pipeline.crf_search import MOST_TRIALS, TOLERANCE, search_crf
from vs_sac.pipeline.decoding import write_y4m
from vs_sac.pipeline.options import RateControl
from vs_sac.pipeline.rate_control import find_crfs
from vs_sac.source.synthetic import street_scene

from ..helpers import count_network_runs, mask_clip, same, vs_sac


@st.composite
def curves(draw):
    """Bytes over CRF as encoders make them: falling exponentials of two regions."""
    first, second = (draw(st.floats(0.08, 0.2)) for _ in range(2))
    total, share = draw(st.integers(10**5, 10**9)), draw(st.floats(0, 1))
    return lambda crf: round(total * (share * math.exp(-first * crf) + (1 - share) * math.exp(-second * crf)))


@given(curves(), st.floats(5, 46), st.floats(0, 51))
def test_smooth_curves_are_matched_within_one_per_cent_in_five_encodes(curve, wanted, start):
    target = curve(wanted)
    if target < 1000:
        return
    found = search_crf(curve, target, start=start)
    assert abs(found.error) <= TOLERANCE
    assert len(found.trials) <= MOST_TRIALS
    assert found.bytes == curve(found.crf)


@given(curves(), st.floats(5, 46), st.floats(0, 51), st.floats(0.1, 3), st.integers(0, 99))
def test_steps_and_noise_lead_nowhere_outside_of_the_range(curve, wanted, start, step, seed):
    """Bytes that stand still over a stretch of CRFs and jump, and 3 % of noise: the closest trial comes out."""
    noise = np.random.default_rng(seed).uniform(0.97, 1.03, 5200)

    def stepped(crf):
        assert 0 <= crf <= 51
        return max(1, round(curve(math.floor(crf / step) * step) * noise[round(crf * 100)]))

    target = max(1, curve(wanted))
    found = search_crf(stepped, target, start=start)
    assert len({trial.crf for trial in found.trials}) == len(found.trials) <= MOST_TRIALS
    assert abs(found.bytes - target) == min(abs(trial.bytes - target) for trial in found.trials)


@given(curves(), st.floats(0, 51), st.floats(10, 40))
def test_what_cannot_be_reached_ends_at_the_edge(curve, start, edge):
    light, heavy = round(curve(edge) / 3), curve(0) * 2
    if light < 1000:
        return
    assert search_crf(curve, light, start=start, highest=edge).crf == pytest.approx(edge, abs=0.01)
    assert search_crf(curve, heavy, start=start).crf == 0


@pytest.mark.parametrize("bad", [{"target": 0}, {"tolerance": 0}, {"most": 0}, {"lowest": 9, "highest": 8}])
def test_searches_that_make_no_sense_are_refused(bad):
    with pytest.raises(SacError, match="search_crf"):
        search_crf(lambda crf: 100, **{"target": 100, "start": 20, **bad})


@pytest.mark.parametrize(
    ("given_", "start"),
    [
        ({}, (18, 27)),
        ({"crf_roi": 20}, (20, 27)),
        ({"crf_non_roi": 40}, (18, 40)),
        ({"crf_gap": 4}, (18, 22)),
        ({"crf_gap": 4, "crf_roi": 30}, (30, 34)),
        ({"crf_gap": 4, "crf_non_roi": 30}, (26, 30)),
        ({"crf_gap": 40, "crf_roi": 30}, (30, 51)),
        ({"match_crf": 23}, (20.3, 29.3)),
        ({"match_crf": 23, "crf_gap": 0}, (23, 23)),
        ({"match_crf": 23, "crf_roi": 20}, (20, 27)),
        ({"target_kbps": 1000}, (18, 27)),
    ],
)
def test_crfs_follow_from_what_is_given(given_, start):
    assert RateControl(**given_).start(Codec.X264) == pytest.approx(start)


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"crf_roi": 52}, "crf_roi 52 is outside"),
        ({"match_crf": -1}, "match_crf -1 is outside"),
        ({"crf_gap": 60}, "crf_gap 60"),
        ({"target_kbps": 0}, "target_kbps 0"),
        ({"match_crf": 20, "target_kbps": 100}, "one of them"),
        ({"crf_gap": 5, "crf_roi": 18, "crf_non_roi": 30}, "at most one"),
        ({"match_crf": 20, "crf_roi": 18, "crf_non_roi": 30}, "at most one"),
        ({"match_crf": 20, "crf_roi": 18, "crf_gap": 3}, "at most one"),
    ],
)
def test_contradictions_are_refused(given_, said):
    with pytest.raises(SacError, match=said) as caught:
        RateControl(**given_)
    assert isinstance(caught.value, ValueError)


def weight(pair):
    return round(1e7 * (0.6 * math.exp(-0.14 * pair[0]) + 0.4 * math.exp(-0.14 * pair[1])))


@given(st.floats(10, 40), st.sampled_from([{}, {"crf_roi": 30}, {"crf_non_roi": 30}, {"crf_gap": 3}, {"crf_gap": -3}]))
def test_the_wanted_region_moves_or_both_do(crf, given_):
    choice = RateControl(match_crf=crf, **given_)
    target = weight(choice.pair(crf, Codec.X264))
    shown = []
    pair, trials = find_crfs(choice, Codec.X264, target, weight, shown.append)
    assert list(trials) == shown
    assert weight(pair) == pytest.approx(target, rel=TOLERANCE)
    for region, value in zip(("crf_roi", "crf_non_roi"), pair, strict=True):
        assert given_.get(region, value) == value
    if not {"crf_roi", "crf_non_roi"} & given_.keys():
        assert pair[1] - pair[0] == pytest.approx(given_.get("crf_gap", 9))


@pytest.mark.parametrize(("fixed", "size"), [({"crf_roi": 10}, 1e5), ({"crf_roi": 30}, 1e7), ({"crf_non_roi": 0}, 1e5)])
def test_a_size_that_one_region_alone_exceeds_says_what_to_give(fixed, size):
    with pytest.raises(SacError, match="or neither so that both move"):
        find_crfs(RateControl(target_kbps=1, **fixed), Codec.X264, round(size), weight)


def scene(frames=20):
    clip, _ = street_scene(192, 112, frames)
    return clip, mask_clip(np.arange(7 * 12).reshape(1, 7, 12).repeat(frames, 0) % 12 < 6)


@pytest.mark.slow
@pytest.mark.encoder
@pytest.mark.parametrize("codec", ["x264", "x265"])
@pytest.mark.parametrize("mode", Mode)
def test_a_file_weighs_what_a_uniform_encode_weighs(tmp_path, codec, mode):
    clip, masks = scene()
    out, seen = tmp_path / "a.mkv", []
    result = encode(
        clip, out, codec=codec, mode=mode, masks=masks, match_crf=26, preset="veryfast", on_trial=seen.append
    )
    # As the preset has it, whatever a single stream adds.
    uniform = encode_uniform(clip, tmp_path / "u.mkv", codec=codec, mode="two-stream", crf=26, preset="veryfast")
    info = container.probe(out)
    assert info.goal == container.RateGoal(uniform.bytes, match_crf=26)
    assert seen[0].crf_non_roi is None
    assert tuple(seen[1:]) == result.trials
    best = min(result.trials, key=lambda trial: abs(trial.error))
    assert (best.crf_roi, best.crf_non_roi) == pytest.approx((info.crf_roi, info.crf_non_roi))
    assert best.bytes == result.bytes["file"] == out.stat().st_size
    assert info.crf_non_roi - info.crf_roi == pytest.approx(9)
    # So small a file moves in steps; on real clips the search ends within the tolerance.
    assert abs(best.error) <= TOLERANCE or len(result.trials) == MOST_TRIALS
    assert abs(best.error) < 0.05
    # The same file comes from the CRFs that were found.
    again = tmp_path / "b.mkv"
    encode(clip, again, codec=codec, mode=mode, masks=masks, crf_roi=info.crf_roi, crf_non_roi=info.crf_non_roi,
           preset="veryfast")  # fmt: skip
    assert same(open_sac(out), open_sac(again))


@pytest.mark.slow
@pytest.mark.encoder
def test_a_bitrate_is_met_with_the_network_run_once(tmp_path, monkeypatch):
    clip, asked = street_scene(192, 112, 20)[0], count_network_runs(monkeypatch)
    result = encode(clip, tmp_path / "a.mkv", target_kbps=180, crf_roi=26, preset="veryfast")
    assert sorted(asked) == list(range(0, 20, 8))
    assert result.info.crf_roi == 26
    assert result.to_dict()["target_kbps"] == "180"
    assert result.to_dict()["bitrate_kbps"] == pytest.approx(180, rel=0.05)


@pytest.mark.slow
@pytest.mark.encoder
def test_the_size_is_found_on_the_command_line(tmp_path):
    clip, masks = scene()
    with (tmp_path / "a.y4m").open("wb") as file:
        write_y4m(clip, file)
    encode(clip, tmp_path / "m.mkv", masks=masks, preset="ultrafast")
    arguments = ["encode", tmp_path / "a.y4m", "-o", tmp_path / "a.mkv", "--masks", tmp_path / "m.mkv"]
    arguments += ["--match-crf", "26", "--preset", "veryfast"]
    done = vs_sac(*arguments, "--crf-gap", "6", "--json", tmp_path / "a.json")
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["match_crf"] == "26"
    first, *trials = done.stderr.splitlines()
    assert first.startswith(f"uniform encode at CRF 26: {int(values['target_bytes']):,} bytes")
    assert len(trials) == len(values["trials"])
    done = vs_sac(*arguments, "--crf-roi", "2", "--force")
    assert done.returncode == 2
    assert "neither so that both move" in done.stderr.splitlines()[-1]
    assert container.probe(tmp_path / "a.mkv").goal.match_crf == 26  # as it was


@pytest.mark.encoder
@pytest.mark.parametrize("mode", Mode)
def test_a_uniform_encode_is_an_ordinary_video(tmp_path, mode):
    clip, _ = scene(4)
    result = encode_uniform(clip, tmp_path / "u.mkv", codec="x264", mode=mode, crf=0, encoder_args="--qp 0")
    assert (result.frames, result.bytes) == (4, (tmp_path / "u.mkv").stat().st_size)
    assert same(open_clip(tmp_path / "u.mkv"), clip)
    assert not container.is_sac(tmp_path / "u.mkv")
    with pytest.raises(SacError, match="exists"):
        encode_uniform(clip, tmp_path / "u.mkv", codec="x264", crf=20)
    with pytest.raises(SacError, match="must end in"):
        encode_uniform(clip, tmp_path / "u.mp4", codec="x264", crf=20)
