"""VapourSynth scripts as sources."""

import subprocess
import sys
from pathlib import Path

import pytest
import vapoursynth as vs

from vs_sac import encode, open_clip
from vs_sac.core.errors import SacFileError, SacValueError

HEAD = "import vapoursynth as vs\nclip = vs.core.std.BlankClip(width=64, height=48, format=vs.YUV420P8, length=7)\n"


@pytest.fixture
def script(tmp_path):
    """Returns a function text → path of the script."""

    def make(text):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        path = tmp_path / "scripts" / "a.vpy"
        path.write_text(HEAD + text)
        return path

    return make


def test_output_0_is_taken_and_other_outputs_are_ignored(script):
    path = script("vs.core.std.BlankAudio().set_output(1)\nclip[:3].set_output(2)\nclip.set_output()\n")
    assert open_clip(path).num_frames == 7
    assert vs.get_outputs() == {}


def test_a_script_runs_in_its_folder_as_in_vspipe(script, tmp_path, monkeypatch):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "beside.py").write_text("LENGTH = 5\n")
    monkeypatch.chdir(tmp_path)
    path = script(
        "import beside, os, pathlib\nassert pathlib.Path('beside.py').exists() and __name__ == '__vapoursynth__'\n"
        "assert os.path.samefile(os.path.dirname(__file__), os.getcwd())\nclip[: beside.LENGTH].set_output()\n"
    )
    before = list(sys.path)
    assert open_clip(path.relative_to(tmp_path)).num_frames == 5
    assert (Path.cwd(), sys.path) == (tmp_path, before)
    sys.modules.pop("beside")


def test_outputs_of_the_caller_stay(script):
    own = vs.core.std.BlankClip(length=2)
    own.set_output(3)
    try:
        open_clip(script("clip.set_output()"))
        assert vs.get_outputs()[3].clip == own
    finally:
        vs.clear_outputs()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n1 / 0\n", r"a\.vpy, line 4: ZeroDivisionError: division by zero"),
        ("x = (\n", r"a\.vpy, line 3: SyntaxError"),
        ("raise RuntimeError('one\\ntwo')\n", "line 3: RuntimeError: one two"),
        ("vs.core.std.Crop(clip, left=99)\n", "line 3: Error: Crop"),
        ("import sys; sys.exit(3)\n", "ended itself with exit code 3"),
        ("", "sets no output 0"),
        ("clip.set_output(1)\n", "sets no output 0"),
        ("vs.core.std.BlankAudio().set_output()\n", "is audio"),
    ],
)
def test_errors_of_a_script_are_one_line(script, text, message):
    with pytest.raises(SacFileError, match=message) as raised:
        open_clip(script(text))
    assert "\n" not in str(raised.value)


def test_a_variable_rate_needs_fps(script):
    path = script("(clip + clip.std.AssumeFPS(fpsnum=30)).set_output()\n")
    with pytest.raises(SacValueError, match="--fps"):
        open_clip(path)
    assert open_clip(path, fps="30000/1001").fps_num == 30000


@pytest.mark.slow
@pytest.mark.encoder
def test_a_script_is_encoded(script, tmp_path):
    path = script("clip.set_output()\n")
    result = encode(path, tmp_path / "a.mkv", end=0.2)
    assert result.info.frames == 5
    chunked = encode(path, tmp_path / "b.mkv", jobs=2, chunk=0.1)
    assert chunked.info.frames == 7
    command = [sys.executable, "-m", "vs_sac", "encode", str(path), "-o", str(tmp_path / "c.mkv"), "--dry-run"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "7 frames of 64x48 at 24 fps" in shown
