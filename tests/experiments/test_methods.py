"""Names of methods, and the plan of a comparison with maps and coded sizes."""

from types import SimpleNamespace

import pytest

from vs_sac import pipeline
from vs_sac.core.choices import BlockMap, Codec, Mode
from vs_sac.core.errors import SacValueError
from vs_sac.experiments.method_run import MethodRun, Settings
from vs_sac.experiments.methods import GAP, LADDER, Method, Variants, compare_plan, ladder, uniform

SINGLE = (Mode.SINGLE_STREAM,)
BOTH = Variants.of([BlockMap.ROI, BlockMap.TASK], ["native", "1/2", "1024x512"])


def test_names_say_the_map_and_the_size():
    task = Method(codec=Codec.X264, mode=Mode.SINGLE_STREAM, crf_roi=30, crf_non_roi=30, map=BlockMap.TASK,
                  coded_size="1/2")  # fmt: skip
    assert task.family == "SA-X264 single-stream, task map at 1/2"
    assert task.label == "SA-X264 single-stream, task map at 1/2, CRF 30"
    assert task.slug == "sa-x264-single-stream-task-1of2-30"
    half = uniform(Codec.X265, 30, coded_size="1024x512")
    assert (half.family, half.label) == ("H.265 at 1024x512", "H.265 at 1024x512, CRF 30")
    assert half.slug == "uniform-x265-two-stream-1024x512-30"
    assert half.baseline == uniform(Codec.X265, 28)
    plain = Method(codec=Codec.X264, crf_roi=18, crf_non_roi=27)
    assert (plain.label, plain.slug) == ("SA-X264 two-stream 18/27", "sa-x264-two-stream-18-27")


def test_what_makes_no_sense_is_refused():
    with pytest.raises(SacValueError, match="map task for two-stream; accepted: roi"):
        Method(codec=Codec.X264, crf_roi=30, crf_non_roi=30, map=BlockMap.TASK)
    with pytest.raises(SacValueError, match="map tiers for a uniform encode"):
        Method(codec=Codec.X264, mode=Mode.SINGLE_STREAM, crf_roi=30, uniform=True, map=BlockMap.TIERS)
    with pytest.raises(SacValueError, match="coded_size 'half'; accepted: native"):
        Variants.of(None, ["half"])
    with pytest.raises(SacValueError, match="needs the mode single-stream"):
        compare_plan((Codec.X264,), (Mode.TWO_STREAM,), Variants.of([BlockMap.TASK], None), curves=False)
    with pytest.raises(SacValueError, match="judge_frames 0; accepted: from 1"):
        Settings(masks=None, models=(), judge_frames=0)


def test_the_plan_without_options_is_that_of_the_paper():
    plan = compare_plan(tuple(Codec), tuple(Mode), Variants.of(None, None), curves=True)
    assert {(m.map, m.coded_size) for m in plan} == {(BlockMap.ROI, None)}


@pytest.mark.parametrize("codec", Codec)
def test_the_ladder_reaches_low_rates_at_every_size(codec):
    plan = ladder((codec,), tuple(Mode), BOTH)
    assert len({m.slug for m in plan}) == len({m.label for m in plan}) == len(plan)
    assert all(0 < m.crf_roi <= m.crf_non_roi <= 51 for m in plan)
    curves: dict[str, list[Method]] = {}
    for method in plan:
        curves.setdefault(method.family, []).append(method)
    assert len(curves) == 3 * (1 + 2 + 1)
    assert min(len(points) for points in curves.values()) >= 5
    native, half = curves[plan[0].family], curves[f"{plan[0].family} at 1/2"]
    assert [m.crf_roi for m in native] == list(LADDER[codec])
    assert [m.crf_roi for m in half] == [crf - 4 for crf in LADDER[codec]]
    assert {m.crf_non_roi - m.crf_roi for m in plan if not (m.uniform or m.mapped)} == {GAP}
    # The uniform encode of the source's size is always there, as the others are compared with it.
    only = ladder((codec,), SINGLE, Variants.of([BlockMap.TIERS], ["1/2"]))
    assert {m.family for m in only if m.uniform} == {plan[0].family, f"{plan[0].family} at 1/2"}


def single(**more) -> Method:
    return Method(codec=Codec.X264, mode=Mode.SINGLE_STREAM, **more)


@pytest.mark.parametrize(("method", "masks", "given"), [
    (uniform(Codec.X264, 30), "net", {"crf": 30}),
    (uniform(Codec.X264, 30, coded_size="1/2"), "net", {"crf": 30, "coded_size": "1/2"}),
    (single(crf_roi=20, crf_non_roi=29), "net",
     {"crf_roi": 20, "crf_non_roi": 29, "crf_gap": None, "masks": "grid"}),
    (single(crf_roi=20, crf_non_roi=29, coded_size="1/2"), "net",
     {"crf_roi": 20, "crf_non_roi": 29, "crf_gap": None, "coded_size": "1/2", "model": "net", "every": 1,
      "roi_close": 0}),
    (single(crf_roi=30, crf_non_roi=30, map=BlockMap.TASK), "net", {"map": "task", "crf": 30, "model": "net"}),
    (single(crf_roi=30, crf_non_roi=30, map=BlockMap.TIERS), None,
     {"map": "tiers", "crf": 30, "model": "ccnet-lite-int8", "masks": "grid"}),
    (single(match_crf=23, map=BlockMap.TASK), "net", {"map": "task", "model": "net"}),
])  # fmt: skip
def test_what_the_pipeline_is_asked_for(method, masks, given, monkeypatch, tmp_path):
    asked = {}

    def encode(clip, path, **words):
        asked.update(words)
        return SimpleNamespace(info=SimpleNamespace(crf_roi=1, crf_non_roi=2), trials=(), encoder="e")

    monkeypatch.setattr(pipeline, "encode", encode)
    monkeypatch.setattr(pipeline, "encode_uniform", encode)
    clip = SimpleNamespace(fps=25, num_frames=25)
    prepared = SimpleNamespace(clip=clip, grid="grid", settings=Settings(masks=masks, models=()), class_map=None)
    MethodRun(prepared, method, 1000 if method.match_crf else None)._encode(tmp_path / "a.mkv", lambda share: None)
    assert asked.pop("target_kbps", None) == (8 if method.match_crf else None)
    always = {"codec", "mode", "preset", "encoder_args", "force", "progress", "fill"}
    assert {name: value for name, value in asked.items() if name not in always} == given
