"""The .vpy script, and the command lines of the README and the documentation, run as they stand there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import container, encode, open_clip, open_sac
from vs_sac.masks.grid import block_grid, expand_grid
from vs_sac.source.synthetic import street_scene
from vs_sac.streams.merging import merge

from .helpers import arrays_of, mask_clip, noise_clip, same, write_ffv1

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "sac.vpy"
README = (ROOT / "README.md").read_text()
VSPIPE = (ROOT / "docs" / "guides" / "vapoursynth.md").read_text()
FORMAT = (ROOT / "docs" / "sac-file.md").read_text()
pytestmark = pytest.mark.encoder


def line_of(page, start):
    """The command line of a page that starts with the words given."""
    (line,) = [line for line in page.splitlines() if line.startswith(start)]
    return line


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Runs a command line in a folder that holds drive.mkv, with vspipe set up for this environment."""
    for program in ("x264", "x265", "ffmpeg", "mkvmerge"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("scripts")
    bin_folder = str(Path(sys.executable).parent)
    env = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    (folder / "config").mkdir()
    subprocess.run([Path(bin_folder) / "vapoursynth", "config"], env=env, check=True, capture_output=True)
    (folder / "scripts").symlink_to(SCRIPT.parent)
    write_ffv1(street_scene(160, 96, 5)[0], folder / "source.mkv")
    (folder / "drive.mp4").symlink_to(folder / "source.mkv")

    def run(line):
        done = subprocess.run(
            ["bash", "-c", f"set -eo pipefail; {line}"],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return folder

    return run


@pytest.mark.slow_except(r"x264")
@pytest.mark.parametrize("codec", ["x264", "x265"])
def test_two_pipes(shell, codec):
    for output, name in ((0, "roi"), (1, "non-roi")):
        line = line_of(VSPIPE, f"vspipe -c y4m -a source=drive.mp4 -o {output} scripts/sac.vpy - | {codec}")
        folder = shell(line)
        made = folder / f"{name}.{'mkv' if codec == 'x264' else 'hevc'}"
        assert open_clip(made).num_frames == 5


def test_one_pass_and_putting_it_together_by_hand(shell):
    folder = shell(line_of(VSPIPE, "vspipe -c mkv"))
    made = folder / "streams.mkv"
    tracks = [open_clip(made, track=n) for n in range(3)]
    grid = vs.core.std.ShufflePlanes(tracks[2], 0, vs.GRAY)
    assert (grid.width, grid.height) == (10, 6)
    assert {int(v) for frame in arrays_of(grid) for v in np.unique(frame[0])} <= {0, 255}
    merged = merge(tracks[0], tracks[1], expand_grid(grid, 160, 96))
    error = np.mean([(a[0].astype(float) - b[0]) ** 2 for a, b in
                     zip(arrays_of(merged), arrays_of(open_clip(folder / "source.mkv")), strict=True)])  # fmt: skip
    assert 10 * np.log10(255**2 / error) > 30


@pytest.mark.slow
def test_the_script_takes_masks_and_fill_and_says_what_is_missing(shell):
    masks = mask_clip(np.ones((5, 6, 10), np.bool_))
    folder = shell("true")
    write_ffv1(masks, folder / "masks.mkv")
    shell("vspipe -c y4m -a source=drive.mp4 -a masks=masks.mkv -a fill=grey -o 0 scripts/sac.vpy roi.y4m")
    assert same(open_clip(folder / "roi.y4m"), open_clip(folder / "source.mkv"))
    with pytest.raises(AssertionError, match="give the video with -a source=FILE"):
        shell("vspipe --info scripts/sac.vpy -")


@pytest.mark.slow_except(r"size0")
@pytest.mark.parametrize("size", [(160, 96), (162, 90)])
def test_stock_ffmpeg_decodes_bit_for_bit(tmp_path, size):
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    clip = noise_clip(*size, 4, smooth=True)
    shape = block_grid(mask_clip(np.zeros((1, size[1], size[0]), np.bool_)))
    grid = np.random.default_rng(0).random((4, shape.height, shape.width)) < 0.5
    encode(clip, tmp_path / "drive.sac.mkv", masks=mask_clip(grid))
    command = line_of(FORMAT, "ffmpeg -i drive.sac.mkv -filter_complex")
    width, height = size
    command = command.replace("1280:720", f"{width}:{height}").replace("640:360", f"{width // 2}:{height // 2}")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True)
    assert same(open_clip(tmp_path / "drive.y4m"), open_sac(tmp_path / "drive.sac.mkv"))


def test_the_format_page_names_every_track():
    for name in (container.ROI_TRACK, container.NON_ROI_TRACK, container.VIDEO_TRACK, container.MASK_TRACK):
        assert f"`{name}`" in FORMAT


@pytest.mark.parametrize("page", [README, VSPIPE], ids=["readme", "guide"])
def test_the_example_script_runs(tmp_path, monkeypatch, page):
    _, _, rest = page.partition("```python\n")
    code = rest.partition("```")[0]
    write_ffv1(street_scene(160, 96, 3)[0], tmp_path / "drive.mkv")
    (tmp_path / "drive.mp4").symlink_to(tmp_path / "drive.mkv")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {})
    output = vs.get_output(0)
    assert output.clip.num_frames == 3
    vs.clear_outputs()
