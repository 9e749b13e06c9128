"""--quiet, --verbose, --log, and progress where stderr is no terminal."""

import io
import re

import pytest
from rich.console import Console

from vs_sac.cli import console, run
from vs_sac.encoders import find_ffmpeg

from .runs import street, vs_sac

pytestmark = pytest.mark.encoder


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return street(tmp_path_factory.mktemp("film") / "a.mp4")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_prints_errors_only(film, tmp_path, place):
    command = ["encode", film, "-o", tmp_path / "a.mkv"]
    words = ["--quiet", *command] if place == "before" else [*command, "--quiet"]
    done = vs_sac(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = vs_sac(*words)
    assert done.returncode == 1
    assert re.fullmatch(r"vs-sac: .*--force.*\n", done.stderr)


@pytest.mark.slow
def test_quiet_leaves_what_a_command_is_asked_to_print(film, tmp_path):
    assert vs_sac("--quiet", "encode", film, "-o", tmp_path / "a.mkv").returncode == 0
    assert "SAC_VERSION" in vs_sac("info", "--quiet", tmp_path / "a.mkv").stdout
    assert "PSNR" in vs_sac("evaluate", "--quiet", film, tmp_path / "a.mkv").stdout
    assert "source" in vs_sac("--quiet", "encode", film, "-o", tmp_path / "b.mkv", "--dry-run").stdout


@pytest.mark.slow
def test_quiet_hides_warnings_but_not_damage(tmp_path):
    film = street(tmp_path / "a.mp4", "-movflags", "+faststart")
    odd = street(tmp_path / "a.avi", "-bf", "0", "-c:a", "adpcm_ms")
    done = vs_sac("encode", odd, "-o", tmp_path / "odd.mkv", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    film.write_bytes(film.read_bytes()[:-4000])
    done = vs_sac("encode", film, "-o", tmp_path / "cut.mkv", "--quiet")
    assert done.returncode == 1
    assert "damaged" in done.stderr


@pytest.mark.slow
def test_verbose_prints_the_plan_and_every_command(film, tmp_path):
    done = vs_sac("encode", film, "-o", tmp_path / "a.mkv", "--verbose")
    assert done.returncode == 0
    assert "a.mkv: 20 frames" in done.stdout
    assert re.search(r"^source   .*20 frames of 96x64 at 25 fps", done.stderr, re.MULTILINE)
    for name in ("ROI", "non-ROI", "mask"):
        assert re.search(rf"^{name} encoder: /", done.stderr, re.MULTILINE)
    assert find_ffmpeg() in done.stderr


def test_a_log_has_everything_with_times(film, tmp_path):
    log = tmp_path / "a.log"
    done = vs_sac("encode", film, "-o", tmp_path / "a.mkv", "--log", log)
    assert (done.returncode, done.stderr) == (0, "")
    failed = vs_sac(f"--log={log}", "encode", film, "-o", tmp_path / "a.mkv")
    assert failed.returncode == 1
    lines = log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ vs_sac\.", line) for line in lines)
    text = "\n".join(lines)
    for part in (f"encode {film} -o", "mask encoder: ", "20 frames of 96x64", "a.mkv: 20 frames"):
        assert part in text
    assert " ERROR " in lines[-1]
    assert "--force" in lines[-1]


@pytest.mark.slow
def test_a_log_never_replaces_a_file_of_another_kind(film, tmp_path):
    before = film.read_bytes()
    done = vs_sac("encode", film, "-o", tmp_path / "a.mkv", "--log", film)
    assert done.returncode == 1
    assert re.fullmatch(r"vs-sac: \(--log\) .*is not a log of vs-sac.*\n", done.stderr)
    assert film.read_bytes() == before
    done = vs_sac("encode", film, "-o", tmp_path / "a.mkv", "--log", tmp_path / "no" / "a.log")
    assert re.fullmatch(r"vs-sac: \(--log\) cannot write .*\n", done.stderr)


@pytest.mark.slow
def test_quiet_and_verbose_contradict_each_other(capsys):
    assert run(["--quiet", "encode", "--verbose", "a", "-o", "b.mkv"]) == 2
    assert "contradict" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["encode", "decode", "segment", "evaluate", "compare", "doctor"])
def test_the_help_of_every_command_has_the_options(command, capsys):
    run([command, "--help"])
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--quiet", "--verbose", "--log"))


@pytest.mark.slow
def test_a_line_every_15_seconds_where_stderr_is_no_terminal(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.progress_bar("encode") as progress:
        for done in range(1, 61):
            progress(done, 100)
            now[0] += 1
    assert capsys.readouterr().err.splitlines() == [
        "encode: 16/100 frames, 1.0 fps, ETA 0:01:24", "encode: 31/100 frames, 1.0 fps, ETA 0:01:09",
        "encode: 46/100 frames, 1.0 fps, ETA 0:00:54",
    ]  # fmt: skip


@pytest.mark.slow
def test_an_unknown_total_has_no_eta(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.progress_bar("encode") as progress:
        for done in (1, 81):
            progress(done, 0)
            now[0] += 20
    assert capsys.readouterr().err == "encode: 81 frames, 4.0 fps\n"


@pytest.mark.slow
@pytest.mark.parametrize("total", [0, 200])
def test_the_bar_of_a_terminal_copes_with_an_unknown_total(monkeypatch, total):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100, _environ={"TERM": "xterm"})
    monkeypatch.setattr(console, "messages", terminal)
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.progress_bar("encode") as progress:
        for done in (1, 81, 91):
            progress(done, total)
            now[0] += 2
    shown = screen.getvalue()
    assert ("91/200" if total else "91 ") in shown
    assert ("ETA" in shown) == bool(total)
