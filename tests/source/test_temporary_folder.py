"""Image sequences where the temporary folder has a name that printf would read."""

import subprocess

import pytest

from vs_sac.core.clips import frames
from vs_sac.encoders.registry import find_ffmpeg
from vs_sac.source.opening import open_clip, open_raw

from ..cli.machine import write_video


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    video = write_video(folder.parent / "scene.y4m")
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", video, folder / "%03d.png"], check=True)
    return folder


@pytest.mark.parametrize("name", ["%", "%d", "%05d", "100%", "%%", "a%d%s%n"])
@pytest.mark.parametrize("sequential", [False, True])
def test_percent_signs_stand_for_themselves(images, tmp_path, monkeypatch, name, sequential):
    (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
    clip = open_raw(images, sequential=sequential)
    assert clip.num_frames == 6
    assert sum(1 for _ in frames(open_clip(images, sequential=sequential))) == 6
