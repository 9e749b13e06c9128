"""``vs-sac encode -``, FIFOs and process substitution."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from vs_sac.encoders import find_ffmpeg

from .runs import street, vs_sac

pytestmark = pytest.mark.encoder


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return street(tmp_path_factory.mktemp("film") / "a.mp4")


@pytest.fixture(scope="module")
def y4m(film):
    command = [find_ffmpeg(), "-v", "error", "-i", str(film), "-f", "yuv4mpegpipe", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def piped(content, *arguments):
    """Run the program with bytes on its standard input."""
    command = [sys.executable, "-m", "vs_sac", *map(str, arguments)]
    return subprocess.run(command, input=content, capture_output=True, timeout=120, check=False)


def frames(path):
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:v", "-f", "framemd5", "-"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if not line.startswith("#")]


@pytest.mark.slow
def test_a_pipe_is_coded_as_the_file_is(film, y4m, tmp_path):
    done = piped(y4m, "encode", "-", "-o", tmp_path / "pipe.mkv", "--json", tmp_path / "pipe.json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads((tmp_path / "pipe.json").read_text())["frames"] == "20"
    assert vs_sac("encode", film, "-o", tmp_path / "file.mkv").returncode == 0
    assert frames(tmp_path / "pipe.mkv") == frames(tmp_path / "file.mkv")
    assert vs_sac("verify", tmp_path / "pipe.mkv").returncode == 0


@pytest.mark.slow
def test_a_process_substitution_and_a_fifo(film, tmp_path):
    program = shlex.join([sys.executable, "-m", "vs_sac"])
    feed = f"{find_ffmpeg()} -v error -i {film} -f yuv4mpegpipe -"
    script = (
        f"{program} encode <({feed}) -o {tmp_path}/a.mkv && mkfifo {tmp_path}/fifo &&"
        f" {{ {feed} >{tmp_path}/fifo & {program} segment {tmp_path}/fifo -o {tmp_path}/m.mkv; }}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "a.mkv: 20 frames" in done.stdout
    assert "m.mkv: 20 class maps" in done.stdout


@pytest.mark.slow
def test_masks_for_a_pipe(y4m, tmp_path):
    masks = tmp_path / "m.mkv"
    assert piped(y4m, "segment", "-", "-o", masks, "--overlay", tmp_path / "o.mp4").returncode == 0
    assert piped(y4m, "encode", "-", "-o", tmp_path / "a.mkv", "--masks", masks).returncode == 0
    done = piped(y4m, "encode", "-", "-o", tmp_path / "b.mkv", "--masks", masks, "--frames", "3")
    assert (done.returncode, done.stderr) == (1, b"vs-sac: (encode) there are 20 masks for 3 frames\n")
    assert not (tmp_path / "b.mkv").exists()


@pytest.mark.slow
def test_a_part_of_a_pipe(y4m, tmp_path):
    done = piped(y4m, "encode", "-", "-o", tmp_path / "a.mkv", "--start", "0.2", "--end", "0.6")
    assert b"10 frames" in done.stdout, done.stderr
    done = piped(y4m, "encode", "-", "-o", tmp_path / "b.mkv", "--start", "0.2", "--frames", "99")
    assert b"15 frames" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_truncated_pipe_is_coded_with_a_warning_and_exit_code_1(y4m, tmp_path):
    for command, what in (("encode", b"19 frames"), ("segment", b"19 class maps")):
        done = piped(y4m[:-5000], command, "-", "-o", tmp_path / f"{command}.mkv")
        assert done.returncode == 1
        assert what in done.stdout
        assert done.stderr.count(b"\n") == 1
        assert b"warning: standard input is damaged: it ends within frame 19" in done.stderr
    done = piped(y4m[:-5000], "encode", "-", "-o", tmp_path / "strict.mkv", "--strict")
    assert done.returncode == 1
    assert b"is damaged" in done.stderr
    assert not (tmp_path / "strict.mkv").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "option", ["--jobs 2", "--chunk 1", "--resume", "--match-crf 23", "--target-kbps 99", "--fill hold", "--track 1"]
)
def test_what_needs_a_file_is_refused_before_anything_is_read(y4m, tmp_path, option):
    done = piped(y4m, "encode", "-", "-o", tmp_path / "a.mkv", *option.split())
    assert done.returncode == 2
    name = option[2:].partition(" ")[0].replace("-", "_").encode()
    assert name in done.stderr
    assert b"cannot be used with a pipe" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"), [(b"", b"is empty"), (b"\0\0\0 ftypisom", b"is not y4m"), (b"YUV4MPEG2 W9\n", b"header")]
)
def test_what_is_no_y4m_is_refused_in_one_line(tmp_path, content, message):
    done = piped(content, "encode", "-", "-o", tmp_path / "a.mkv")
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_closed_standard_input_and_a_dry_run(y4m, tmp_path):
    program = shlex.join([sys.executable, "-m", "vs_sac", "encode", "-", "-o", str(tmp_path / "a.mkv")])
    done = subprocess.run(["bash", "-c", f"{program} <&-"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "vs-sac: (encode) standard input is empty; accepted: a y4m stream\n")
    done = piped(y4m, "encode", "-", "-o", tmp_path / "a.mkv", "--dry-run", "--json", tmp_path / "plan.json")
    assert b"an unknown number of frames of 96x64" in done.stdout
    assert json.loads((tmp_path / "plan.json").read_text())["source"]["frames"] is None


@pytest.mark.slow
def test_a_file_named_like_standard_input(film, tmp_path):
    os.link(film, tmp_path / "-")
    done = vs_sac("encode", "./-", "-o", "a.mkv", cwd=tmp_path)
    # `Path` makes "-" of "./-", and a program cannot tell them apart; the absolute name is another.
    assert done.returncode == 1
    assert vs_sac("encode", tmp_path / "-", "-o", "a.mkv", cwd=tmp_path).returncode == 0
