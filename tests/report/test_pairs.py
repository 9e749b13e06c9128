"""What the report shows side by side has equal bytes, or says how many; its tables fit and its pictures have edges."""

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="needs the extra report")

from matplotlib.backends.backend_agg import FigureCanvasAgg

from vs_sac import cli, container
from vs_sac.core.choices import Codec, Mode
from vs_sac.experiments.compare import Study
from vs_sac.experiments.footage import find_footage
from vs_sac.experiments.methods import Method, matched, table_plan, uniform_anchors
from vs_sac.experiments.rows import flat_rows, gains, summary
from vs_sac.report import figures
from vs_sac.report.pictures import Scene, _chosen
from vs_sac.report.style import look_of

from .test_page import browser, page  # noqa: F401

CODECS, MODES = (Codec.X264, Codec.X265), tuple(Mode)


def result(method: Method, size: int) -> dict:
    return {
        "clip": {"name": "a"}, "bytes": {"total": size},
        "method": {"label": method.label, "slug": method.slug, "uniform": method.uniform, "matched": method.match_crf,
                   "baseline": method.baseline.slug, "mode": None if method.uniform else method.mode,
                   "encoder_of": method.mode, "codec": method.codec},
    }  # fmt: skip


@pytest.fixture
def both_modes() -> Study:
    """Every method; the uniform encodes of the two modes differ in bytes, as two builds of an encoder do."""
    study = Study()
    for method in dict.fromkeys([*table_plan(CODECS), *uniform_anchors(CODECS), *matched(CODECS)]):
        study.results.append(result(method, 186_372 if method.mode is Mode.TWO_STREAM else 201_184))
    return study


def test_every_byte_matched_encode_stands_beside_the_one_it_was_matched_with(both_modes):
    chosen = list(_chosen(both_modes, "a").values())
    assert len(chosen) == 8
    for base, aware in zip(chosen[::2], chosen[1::2], strict=True):
        assert base["method"]["slug"] == aware["method"]["baseline"]
        assert base["bytes"] == aware["bytes"]


def test_the_first_two_pictures_are_such_a_pair(both_modes):
    scene = Scene(SimpleNamespace(), 0, _chosen(both_modes, "a"), {}, SimpleNamespace())
    base, aware = scene.pair
    assert (base, aware) == ("H.264 (as in single-stream) 23",
                             "SA-X264 single-stream, bytes of H.264 (as in single-stream) 23")  # fmt: skip
    assert scene.described(base) == "H.264 (as in single-stream) 23, 201,184 bytes"
    assert scene.described("original") == "original"


def test_without_a_byte_matched_encode_a_uniform_and_an_aware_one_are_shown(both_modes):
    both_modes.results = [r for r in both_modes.results if r["method"]["matched"] is None][:3]
    scene = Scene(SimpleNamespace(), 0, _chosen(both_modes, "a"), {}, SimpleNamespace())
    assert [scene.results[label]["method"]["uniform"] for label in scene.pair] == [True, False]


def test_the_two_uniform_encodes_look_different(both_modes):
    looks = {r["method"]["label"]: look_of(r["method"]) for r in both_modes.results if r["method"]["uniform"]}
    assert looks["H.264 23"] != looks["H.264 (as in single-stream) 23"]
    assert looks["H.265 28"] != looks["H.265 (as in single-stream) 28"]


def test_pictures_have_an_edge():
    white = np.full((48, 64, 3), 255, np.uint8)
    figure = figures._sheet([("class map", [white])], ["frame 0"])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    box = figure.axes[0].get_window_extent()
    middle, left = drawn.shape[0] - int(box.y0 + box.height / 2), round(box.x0)
    assert drawn[middle, left - 2 : left + 3].min() < 200
    assert drawn[middle, left + 10].min() == 255


@pytest.mark.encoder
def test_the_summary_names_the_encode_that_was_matched(study):
    held = Study([json.loads(path.read_text()) for path in sorted((study / "results").iterdir())])
    rows = flat_rows(held)
    (gain,) = gains(rows)
    assert gain["against"] == "H.264 (as in single-stream) 23"
    assert "At the bytes of uniform H.264 (as in single-stream) 23" in summary(rows)


@pytest.mark.slow
@pytest.mark.encoder
def test_the_page_shows_that_pair_with_its_bytes(page):  # noqa: F811
    tags = [page.find_element("css selector", f".tag-{side}").text for side in ("left", "right")]
    assert [tag.rpartition(", ")[0] for tag in tags] == [
        "H.264 (as in single-stream) 23", "SA-X264 single-stream, bytes of H.264 (as in single-stream) 23"
    ]  # fmt: skip
    sizes = [int(re.search(r"([\d,]+) bytes$", tag)[1].replace(",", "")) for tag in tags]
    assert abs(sizes[1] / sizes[0] - 1) < 0.1
    names = [button.text for button in page.find_elements("css selector", "#curve-chart .legend button")]
    assert "H.264 (as in single-stream)" in names


@pytest.mark.encoder
@pytest.mark.parametrize("width", [1280, 1300])
def test_the_first_table_fits(page, width):  # noqa: F811
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                         {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})  # fmt: skip
    held, needed = page.execute_script(
        "const s = document.querySelector('#gain .scroll'); return [s.clientWidth, s.scrollWidth]"
    )
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert needed <= held


@pytest.mark.slow
@pytest.mark.encoder
def test_the_printed_command_line_encodes_the_same(study, tmp_path, monkeypatch):
    """Down to the bytes of every track: for given CRFs and for those that were found."""
    results = [json.loads(path.read_text()) for path in (study / "results").iterdir()]
    aware = [r for r in results if not r["method"]["uniform"]]
    chosen = [next(r for r in aware if r["method"]["matched"]), next(r for r in aware if not r["method"]["matched"])]
    monkeypatch.chdir(tmp_path)
    for made in chosen:
        words = shlex.split(made["command"])
        assert words[:2] == ["vs-sac", "encode"]
        assert "--frames" not in words
        assert cli.run(words[1:]) == 0
        again = container.probe(Path(words[words.index("-o") + 1]))
        assert again.sums == container.probe(study / made["file"]).sums


def test_the_command_line_names_all_frames_that_were_coded_and_no_others(tmp_path):
    from ..experiments.test_footage import save

    for n in range(1, 5):
        save(tmp_path / f"images/frame{n}.png", 90, "RGB")
        save(tmp_path / f"val/0016E5_{n:05d}.png", 90, "RGB")
        save(tmp_path / f"valannot/0016E5_{n:05d}.png", 3)
    folder, pattern = str(tmp_path / "images"), str(tmp_path / "val" / "0016E5_%05d.png")
    video = tmp_path / "a.mp4"
    video.touch()
    cases = [
        (folder, None, [folder, "--fps", "25"]), (folder, 3, [folder, "--fps", "25", "--frames", "3"]),
        (pattern, 2, [pattern, "--fps", "25", "--frames", "2"]),
        (f"camvid:{tmp_path}:val", None, [pattern, "--fps", "30"]),
        (f"camvid:{tmp_path}:val", 2, [pattern, "--fps", "30", "--frames", "2"]),
        (str(video), None, [str(video)]), (str(video), 3, [str(video), "--frames", "3"]),
    ]  # fmt: skip
    for text, frames, words in cases:
        (footage,) = find_footage(text, frames=frames)
        assert footage.encode_words(frames or 4) == words
    (footage,) = find_footage(f"camvid:{tmp_path}:val")
    labels = str(tmp_path / "valannot" / "0016E5_%05d.png")
    assert footage.mask_words() == ["--masks", labels, "--labels", "camvid"]


def test_a_part_of_a_folder_that_no_pattern_names_has_no_command_line(tmp_path):
    from ..experiments.test_footage import save

    for n in (1, 2, 3, 50, 51, 52):
        save(tmp_path / f"val/0016E5_{n:05d}.png", 90, "RGB")
    first, second = find_footage(f"camvid:{tmp_path}:val")
    assert first.encode_words(3)[-2:] == ["--frames", "3"]
    assert second.encode_words(3) is None
