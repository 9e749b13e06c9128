import json
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from vs_sac import cli, container, pipeline
from vs_sac.cli import program
from vs_sac.core.choices import Codec, Fill, Mode
from vs_sac.core.errors import SacValueError
from vs_sac.experiments import compare as module
from vs_sac.experiments.compare import compare
from vs_sac.experiments.footage import Footage, find_footage
from vs_sac.experiments.method_run import MethodRun, Settings
from vs_sac.experiments.methods import ANCHOR, TABLE_CRFS, Method, ladder, matched, table_plan, uniform
from vs_sac.experiments.paper import TABLE_II
from vs_sac.experiments.rows import comparison, flat_rows
from vs_sac.experiments.store import Store, digest
from vs_sac.segmentation.registry import DEFAULT_MODEL, find_model

from .scenes import make_sequence

SETTINGS = Settings(preset="ultrafast", masks=None, models=())


def test_the_plan_is_table_ii():
    plan = table_plan(modes=(Mode.TWO_STREAM,))
    printed = [(row.method, row.crf_roi, row.crf_non_roi) for row in TABLE_II]
    assert [(m.name, m.crf_roi, m.crf_non_roi) for m in plan] == printed
    assert all(TABLE_CRFS[codec].count((ANCHOR[codec], ANCHOR[codec])) == 1 for codec in Codec)


def test_names_of_files_and_curves_tell_methods_apart():
    plan = [*table_plan(), *table_plan(fill=Fill.BLACK), *matched(), *ladder()]
    distinct = list(dict.fromkeys(plan))
    assert len({m.slug for m in distinct}) == len({m.label for m in distinct}) == len(distinct)
    assert all(m.baseline.uniform and m.baseline.codec is m.codec and m.baseline.mode is m.mode for m in plan)


def test_the_ladder_keeps_its_distance():
    aware = [m for m in ladder() if not m.uniform]
    assert {m.crf_non_roi - m.crf_roi for m in aware} == {9}
    assert max(m.crf_non_roi for m in aware) <= 51


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return find_footage(make_sequence(tmp_path_factory.mktemp("scene"), 4, 96, 64))[0]


PLAN = [uniform(Codec.X264, 30), Method(codec=Codec.X264, crf_roi=28, crf_non_roi=34)]


@pytest.mark.slow
@pytest.mark.encoder
def test_what_is_done_is_not_done_again(tmp_path, scene, monkeypatch):
    first = compare([scene], PLAN, SETTINGS, Store(tmp_path))
    assert not first.failures
    assert [r["method"]["label"] for r in first.results] == ["H.264 30", "SA-X264 two-stream 28/34", "H.264 23"]
    # A result whose file is gone, and one that was cut short, are made anew; nothing else is.
    (tmp_path / first.results[0]["file"]).unlink()
    cut = next((tmp_path / "results").glob("*uniform-x264-two-stream-23-*.json"))
    cut.write_text(cut.read_text()[:100])
    asked = []
    real = pipeline.encode_uniform
    monkeypatch.setattr(pipeline, "encode_uniform", lambda *a, **k: asked.append(k["crf"]) or real(*a, **k))
    monkeypatch.setattr(pipeline, "encode", None)
    again = compare([scene], PLAN, SETTINGS, Store(tmp_path))
    assert not again.failures
    assert sorted(asked) == [23, 30]

    def figures(study):
        return [{k: v for k, v in result.items() if k != "seconds"} for result in study.results]

    assert figures(again) == figures(first)


@pytest.mark.slow
@pytest.mark.encoder
def test_force_makes_everything_anew(tmp_path, scene, monkeypatch):
    compare([scene], PLAN[:1], SETTINGS, Store(tmp_path))
    calls = []
    real = pipeline.encode_uniform
    monkeypatch.setattr(pipeline, "encode_uniform", lambda *a, **k: calls.append(1) or real(*a, **k))
    compare([scene], PLAN[:1], SETTINGS, Store(tmp_path))
    assert calls == []
    compare([scene], PLAN[:1], SETTINGS, Store(tmp_path, force=True))
    assert len(calls) == 2


@pytest.mark.slow
@pytest.mark.encoder
def test_a_failure_does_not_lose_the_others(tmp_path, scene, monkeypatch):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all" * 99)
    real = pipeline.encode_uniform

    def fails_at_30(*args, crf, **rest):
        if crf == 30:
            raise SacValueError("no thirty", "encode_uniform")
        return real(*args, crf=crf, **rest)

    monkeypatch.setattr(pipeline, "encode_uniform", fails_at_30)
    found = compare([Footage("broken", broken), scene], PLAN, SETTINGS, Store(tmp_path / "out"))
    assert {(f.clip, f.method) for f in found.failures} == {("broken", None), (scene.name, "H.264 30")}
    assert [r["method"]["label"] for r in found.results] == ["SA-X264 two-stream 28/34", "H.264 23"]
    assert not list((tmp_path / "out").rglob("*.part"))


@pytest.mark.slow
@pytest.mark.encoder
def test_bytes_are_matched_and_count_everything(tmp_path, scene):
    methods = [Method(codec=Codec.X264, mode=mode, match_crf=20) for mode in Mode]
    found = compare([scene], methods, SETTINGS, Store(tmp_path))
    assert not found.failures
    for result in found.results:
        path = tmp_path / result["file"]
        assert result["bytes"]["total"] == path.stat().st_size
        if result["method"]["uniform"]:
            continue
        baseline = found.of(scene.name, result["method"]["baseline"])
        assert result["method"]["target_bytes"] == baseline["bytes"]["total"]
        gap = container.probe(path).crf_non_roi - container.probe(path).crf_roi
        assert gap == pytest.approx(9, abs=0.011)
        assert result["bytes"]["mask"] > 0
        parts = [v for k, v in result["bytes"].items() if k != "total" and v is not None]
        assert sum(parts) <= result["bytes"]["total"]


@pytest.mark.slow
@pytest.mark.encoder
def test_an_interrupt_keeps_what_is_finished(tmp_path, scene, monkeypatch):
    """The second encode is interrupted in its middle; its encoder is gone, the first one's result is there."""
    real, started = MethodRun.run, threading.Event()

    def run(trial, store, progress):
        if trial.method.crf_roi == 30:
            started.wait(20)

            def stop(share):
                progress(share)
                if share > 0.1:
                    raise KeyboardInterrupt

            return real(trial, store, stop)
        result = real(trial, store, progress)
        started.set()
        return result

    monkeypatch.setattr(module.MethodRun, "run", run)
    with pytest.raises(KeyboardInterrupt):
        compare([scene], PLAN, SETTINGS, Store(tmp_path))
    assert [p.name.rpartition("-")[0] for p in (tmp_path / "results").iterdir()] == [
        f"{scene.name}-uniform-x264-two-stream-23"
    ]
    assert not list(tmp_path.rglob("*.part"))


def test_clips_of_one_name_are_told_apart(tmp_path, scene, monkeypatch):
    names = []
    monkeypatch.setattr(
        module, "PreparedClip", lambda item, *_: names.append(item.name) or (_ for _ in ()).throw(OSError("x"))
    )
    found = compare([scene, scene], [], SETTINGS, Store(tmp_path))
    assert len(set(names)) == 2
    assert len(found.failures) == 2


def test_keys_change_with_what_decides_the_result(tmp_path):
    contents = [[1, "a"], [1, "b"], [2, "a"], [[1], "a"], {"a": 1}]
    assert len({digest(c) for c in contents}) == len(contents)
    store = Store(tmp_path)
    assert store.load("a", "key") is None
    store.save("a", "key", {"file": "results/a-key.json"})
    assert store.load("a", "key") == {"file": "results/a-key.json"}
    assert store.load("a", "other") is None
    assert Store(tmp_path, force=True).load("a", "key") is None


@pytest.mark.encoder
def test_compare_on_the_command_line(study, capsys):
    results = [json.loads(path.read_text()) for path in (study / "results").iterdir()]
    labels = {result["method"]["label"] for result in results}
    for roi, non_roi in TABLE_CRFS[Codec.X264]:
        assert (f"H.264 {roi}" if roi == non_roi else f"SA-X264 single-stream {roi}/{non_roi}") in labels
    assert "SA-X264 single-stream, bytes of H.264 (as in single-stream) 23" in labels
    for result in results:
        assert result["perception_truth"] == "labels"
        assert 0 < result["perception"][DEFAULT_MODEL]["miou"] <= 1
        assert len(result["frame_psnr"]["roi"]) == result["frames"] == 4
        command = result["command"]
        assert (command is None) == result["method"]["uniform"]
    for name in ("pooled", "clips"):
        for suffix in (".md", ".csv", ".json"):
            assert (study / f"{name}{suffix}").stat().st_size > 100
    header, *rows = (study / "clips.csv").read_text().splitlines()
    assert header.startswith("method,crf,bytes,ratio")
    assert len(rows) == len(results)


def test_bad_arguments(tmp_path, capsys):
    assert cli.run(["compare", "camvid:", "--report", str(tmp_path / "a")]) == 2
    assert cli.run(["compare", str(tmp_path), "--report", str(tmp_path / "a"), "--jobs", "0"]) == 2
    root = tmp_path / "cityscapes"
    (root / "gtFine").mkdir(parents=True)
    command = [
        "reproduce",
        "table2",
        "--dataset",
        "cityscapes-sequence",
        "--root",
        str(root),
        "-o",
        str(tmp_path / "o"),
    ]
    assert cli.run(command) == 1
    said = capsys.readouterr().err
    assert "expected leftImg8bit_sequence/{split}/{city}/" in said
    assert "which holds gtFine/" in said


@pytest.mark.slow
@pytest.mark.encoder
def test_reproduce_prints_the_papers_rows_beside_ours(tmp_path, capsys):
    root = make_sequence(tmp_path / "scene", 3, 96, 64).split(":")[1]
    common = ["--dataset", "camvid", "--root", root, "--split", "val", "--codec", "x264", "-o", str(tmp_path / "o")]
    assert cli.run(["reproduce", "table4", "--no-curves", "--preset", "ultrafast", "--masks", "labels", *common]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    printed = {line.split("|")[1].strip(): line for line in lines if "87.86" in line or "90.56" in line}
    assert set(printed) == {"H.264", "SA-X264"}
    content = json.loads((tmp_path / "o/table4.json").read_text())
    row = next(r for r in content["rows"] if r["method"] == "SA-X264" and r["crf"] == "18/27")
    assert (row["printed_miou"], row["printed_roi_iou"]) == (90.56, 92.45)
    assert np.isfinite([row["bytes"], row["ratio"], row["sa_psnr"], row["paper_sa_psnr"], row["miou"]]).all()
    assert cli.run(["reproduce", "timing", *common]) == 0
    steps = {row["step"]: row for row in json.loads((tmp_path / "o/timing.json").read_text())["rows"]}
    assert {"SA-X264 two-stream, decode", "H.264 (encoder of single-stream), encode"} <= set(steps)
    assert steps["segmentation"]["paper"] == "0.081"


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch, capsys, missing):
    for name in [name for name in sys.modules if name.startswith(("vs_sac.report", "vs_sac.cli.compare"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    app = program.App(name="vs-sac")
    app.command("vs_sac.cli.compare:compare", name="compare")
    monkeypatch.setattr(program, "app", app)
    assert cli.run(["compare", "a.mp4", "--report", str(tmp_path)]) == 1
    assert f"{missing} is not installed; get it with: pip install 'vs-sac[report]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.encoder
def test_a_network_with_classes_is_scored_at_these_too(tmp_path, scene):
    pytest.importorskip("onnx", reason="onnx (extra 'report') is not installed")
    from ..class_networks import class_network

    network = str(class_network(tmp_path / "net.onnx"))
    # The default network, with a card that names no classes.
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(find_model().path.read_bytes())
    settings = replace(SETTINGS, models=(str(plain), network))
    study = compare([scene], [uniform(Codec.X264, 30)], settings, Store(tmp_path / "store"))
    assert not study.failures
    seen = study.results[0]["perception"]
    assert "classes" not in seen["plain"]
    own = seen["net"]["classes"]
    assert set(seen["net"]) == {*seen["plain"], "classes"}
    assert {"road", "building", "vegetation", "sky"} <= set(own["iou"])
    assert own["thing_classes"] is None or 0 <= own["thing_classes"] <= 1
    # A table shows the first network by default, and the further columns only for one with classes.
    assert flat_rows(study)[0]["classes_miou"] is None
    row = flat_rows(study, "net")[0]
    assert row["classes_miou"] == own["miou"]
    assert row["class_iou"] == own["iou"]
    assert "class mIoU" in comparison([row], "t").to_markdown()
    # The class list is a part of what decides the result.
    key = MethodRun(study.prepared_clips[0], uniform(Codec.X264, 30)).key
    (tmp_path / "net.json").write_text(json.dumps({"classes": [f"class {n}" for n in range(19)]}))
    assert MethodRun(study.prepared_clips[0], uniform(Codec.X264, 30)).key != key
