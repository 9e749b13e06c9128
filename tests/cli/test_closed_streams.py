"""Standard streams that are closed when the program starts (``>&-``)."""

import shlex
import subprocess
import sys

import pytest

from .machine import write_video

pytestmark = pytest.mark.encoder


def shell(arguments, redirections, cwd):
    line = f"{shlex.join([sys.executable, '-m', 'vs_sac', *arguments])} {redirections}"
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A video and its encode."""
    folder = tmp_path_factory.mktemp("closed")
    write_video(folder / "scene.y4m")
    done = shell(["encode", "scene.y4m", "-o", "a.mkv", "--preset", "ultrafast"], "", folder)
    assert done.returncode == 0, done.stderr
    return folder


COMMANDS = [
    (["--help"], 0),
    (["--version"], 0),
    (["info", "a.mkv"], 0),
    (["doctor"], 0),
    (["segment", "scene.y4m", "-o", "out.mkv", "--force"], 0),
    (["decode", "a.mkv", "-o", "out.y4m", "--force"], 0),
    (["evaluate", "scene.y4m", "a.mkv"], 0),
    (["info", "scene.y4m"], 1),
    (["encod"], 2),
]


@pytest.mark.slow
@pytest.mark.parametrize("redirections", [">&-", "2>&-"])
@pytest.mark.parametrize(("arguments", "code"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_a_closed_stream_leads_nowhere(folder, arguments, code, redirections):
    done = shell(arguments, redirections, folder)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == (1 if code and "2>" not in redirections else 0)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["two-stream", "single-stream"])
def test_the_output_is_what_it_is_with_open_streams(folder, mode):
    """Nothing that is meant for a stream gets into a file that was opened under its number."""
    words = ["encode", "scene.y4m", "--preset", "ultrafast", "--force", "--mode", mode, "-o"]
    assert shell([*words, "open.mkv"], "", folder).returncode == 0
    for redirections in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        assert shell([*words, "closed.mkv"], redirections, folder).returncode == 0
        assert (folder / "closed.mkv").read_bytes() == (folder / "open.mkv").read_bytes()


@pytest.mark.slow
def test_video_for_a_closed_stream_is_refused(folder):
    done = shell(["decode", "a.mkv", "-o", "-"], ">&-", folder)
    assert done.returncode == 1
    line = "vs-sac: (decode) standard output is closed; give a file name, or a pipe to write to\n"
    assert done.stderr == line
