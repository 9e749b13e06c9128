"""Judges in a study of a rendered street scene, with encoders."""

from dataclasses import replace

import pytest

from vs_sac import cli, pipeline
from vs_sac.core.choices import Codec
from vs_sac.core.errors import SacValueError, SacWarning
from vs_sac.experiments import method_run
from vs_sac.experiments.compare import compare
from vs_sac.experiments.footage import find_footage
from vs_sac.experiments.judging import find_judges
from vs_sac.experiments.method_run import Settings
from vs_sac.experiments.methods import uniform
from vs_sac.experiments.perception_tables import perception_tables
from vs_sac.experiments.store import Store

from .scenes import make_sequence

SETTINGS = Settings(preset="ultrafast", masks=None, models=())


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return find_footage(make_sequence(tmp_path_factory.mktemp("scene"), 4, 96, 64))[0]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    pytest.importorskip("onnx", reason="onnx (extra 'report') is not installed")
    from ..class_networks import class_network

    return str(class_network(tmp_path_factory.mktemp("network") / "net.onnx"))


@pytest.mark.slow
@pytest.mark.encoder
def test_a_judge_needs_no_further_encode(tmp_path, scene, network, monkeypatch):
    """Small pictures are judged in the size of the source, and what is judged is not judged again."""
    real = pipeline.encode_uniform

    def encode_uniform(clip, path, *, coded_size=None, **words):
        small = clip.resize.Bilinear(clip.width // 2, clip.height // 2) if coded_size else clip
        return real(small, path, **words)

    monkeypatch.setattr(pipeline, "encode_uniform", encode_uniform)
    plan = [uniform(Codec.X264, 23), uniform(Codec.X264, 23, coded_size="1/2")]
    first = compare([scene], plan, SETTINGS, Store(tmp_path))
    assert not first.failures
    assert "judges" not in first.results[0]
    monkeypatch.setattr(pipeline, "encode_uniform", None)
    settings = replace(SETTINGS, judges=(network,), judge_frames=3)
    judged = compare([scene], plan, settings, Store(tmp_path))
    assert not judged.failures
    for result in judged.results:
        seen = result["judges"]["net"]
        assert seen["numbers"] == [0, 1, 2]
        assert seen["agreement"]["frames"] == seen["labels"]["frames"] == 3
        assert 0 < seen["agreement"]["all"] <= 1
        assert 0 <= seen["labels"]["all"] <= 1
        assert not seen["made_map"]
    native, half = (result["judges"]["net"]["agreement"]["all"] for result in judged.results)
    assert native > half
    monkeypatch.setattr(method_run, "judge", None)
    assert compare([scene], plan, settings, Store(tmp_path)).results == judged.results
    assert list(perception_tables(judged.results)) == ["perception-scores"]


def test_a_judge_of_its_own_masks_gives_a_warning(tmp_path, network):
    with pytest.warns(SacWarning, match="the judge net is the network that makes the masks or maps"):
        compare([], [*uniform_and_aware()], replace(SETTINGS, masks=network, judges=(network,)), Store(tmp_path))
    # Uniform encodes have no masks.
    compare([], [uniform(Codec.X264, 23)], replace(SETTINGS, masks=network, judges=(network,)), Store(tmp_path))


def uniform_and_aware():
    return [uniform(Codec.X264, 23), method_run.Method(codec=Codec.X264, crf_roi=18, crf_non_roi=27)]


def test_judges_are_checked_before_anything_is_coded(tmp_path, network, capsys):
    from ..class_networks import class_network

    (tmp_path / "other").mkdir()
    other = str(class_network(tmp_path / "other" / "net.onnx"))
    with pytest.raises(SacValueError, match="two judges have the name net"):
        find_judges([network, other])
    plain = class_network(tmp_path / "plain.onnx", card={})
    with pytest.raises(SacValueError, match="names 0 classes"):
        find_judges([str(plain)])
    common = ["--dataset", "camvid", "--root", str(tmp_path), "-o", str(tmp_path / "o")]
    assert cli.run(["reproduce", "table2", "--judge", network, *common]) == 2
    assert "belong to table4, not to table2" in capsys.readouterr().err
    assert cli.run(["compare", "a.mp4", "--report", str(tmp_path / "r"), "--coded-size", "half"]) == 2
    assert "accepted: native" in capsys.readouterr().err
