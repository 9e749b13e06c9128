"""A damaged source: what can be decoded is coded, a warning says how much is missing, the exit code is 1."""

import subprocess

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import SacError, encode
from vs_sac.cli import run
from vs_sac.core.errors import SacDamageWarning
from vs_sac.encoders import find_ffmpeg
from vs_sac.pipeline import write_masks
from vs_sac.source import open_raw

from ..helpers import mask_clip

pytestmark = pytest.mark.encoder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    make = [find_ffmpeg(), "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=2", "-c:v",
            "libx264", "-g", "10", "-pix_fmt", "yuv420p"]  # fmt: skip
    subprocess.run([*make, "-movflags", "+faststart", folder / "whole.mp4"], check=True)
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", "-i", folder / "whole.mp4", "-c", "copy", folder / "whole.mkv"],
                   check=True)  # fmt: skip
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", "-i", folder / "whole.mp4", "-c", "copy", folder / "whole.ts"],
                   check=True)  # fmt: skip
    for name in ("whole.mp4", "whole.mkv"):
        content = (folder / name).read_bytes()
        (folder / name.replace("whole", "cut")).write_bytes(content[: len(content) * 3 // 5])
    packets = (folder / "whole.ts").read_bytes()
    kept = [packets[n : n + 188] for n in range(0, len(packets), 188) if n // 188 % 40 != 39]
    (folder / "lost.ts").write_bytes(b"".join(kept))
    noisy = bytearray((folder / "whole.mkv").read_bytes())
    for place in np.random.default_rng(1).integers(len(noisy) // 3, len(noisy) - 1000, 20):
        noisy[place] ^= 0x5A
    (folder / "noisy.mkv").write_bytes(noisy)
    return folder


def masks_for(path):
    return mask_clip(np.ones((open_raw(path, strict=False, sequential=True).num_frames, 4, 6), np.bool_))


DAMAGED = ["cut.mp4", "cut.mkv", "lost.ts", "noisy.mkv"]


@pytest.mark.parametrize("name", DAMAGED)
def test_what_can_be_decoded_is_coded_and_reported(clips, tmp_path, name):
    with pytest.warns(SacDamageWarning, match=name):
        result = encode(clips / name, tmp_path / "a.mkv", masks=masks_for(clips / name), preset="ultrafast")
    assert 10 < result.info.frames <= 50
    assert name in result.damage
    assert result.to_dict()["damage"] == result.damage


@pytest.mark.parametrize("name", DAMAGED)
def test_jobs_code_the_same_frames(clips, tmp_path, name):
    how = {"masks": tmp_path / "masks.mkv", "preset": "ultrafast"}
    with pytest.warns(SacDamageWarning):
        count = write_masks(clips / name, how["masks"])
    with pytest.warns(SacDamageWarning):
        one = encode(clips / name, tmp_path / "a.mkv", **how)
    with pytest.warns(SacDamageWarning):
        two = encode(clips / name, tmp_path / "b.mkv", jobs=2, chunk=0.4, **how)
    assert one.info.frames == two.info.frames == count


@pytest.mark.parametrize("name", DAMAGED)
def test_strict_refuses(clips, tmp_path, name):
    with pytest.raises((SacError, vs.Error), match=name):
        encode(clips / name, tmp_path / "a.mkv", masks=masks_for(clips / name), preset="ultrafast", strict=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["whole.mp4", "whole.mkv", "whole.ts"])
def test_a_whole_file_is_not_called_damaged(clips, tmp_path, recwarn, name):
    result = encode(clips / name, tmp_path / "a.mkv", masks=masks_for(clips / name), preset="ultrafast", strict=True)
    assert result.info.frames == 50
    assert not result.damage
    assert not [w for w in recwarn if issubclass(w.category, SacDamageWarning)]


def test_the_command_line_exits_with_1_and_keeps_the_output(clips, tmp_path, capsys):
    out = tmp_path / "a.mkv"
    assert run(["encode", str(clips / "cut.mp4"), "-o", str(out), "--preset", "ultrafast"]) == 1
    said = capsys.readouterr()
    assert "truncated" in said.err
    assert out.is_file()
    assert str(out) in said.out
    assert run(["segment", str(clips / "cut.mp4"), "-o", str(tmp_path / "m.mkv")]) == 1
    assert run(["evaluate", str(clips / "cut.mp4"), str(out)]) == 1
    assert run(["encode", str(clips / "whole.mp4"), "-o", str(out), "--preset", "ultrafast", "--force"]) == 0
