"""The program without a writable home, and from an installation that cannot be written to."""

import os
import re
import shutil
import subprocess

import pytest

from .machine import copy_package, vs_sac, write_video

pytestmark = [pytest.mark.encoder, pytest.mark.slow]


@pytest.fixture(scope="module")
def powerless():
    """Start of a command line whose process may not write where permissions forbid it; root may."""
    if os.geteuid():
        return []
    start = [shutil.which("setpriv") or "", "--inh-caps=-all", "--bounding-set=-all"]
    if not start[0]:
        pytest.skip("the tests run as root and setpriv is not installed")
    if subprocess.run([*start, "true"], capture_output=True, check=False).returncode:
        pytest.skip("the tests run as root and may not give that up")
    return start


@pytest.fixture(scope="module")
def machine(powerless, tmp_path_factory):
    """A read-only installation and home, and a folder to work in."""
    folder = tmp_path_factory.mktemp("machine")
    (folder / "home").mkdir()
    (folder / "work").mkdir()
    copy_package(folder / "site")
    write_video(folder / "work/scene.y4m")
    for path in (folder / "site", *(folder / "site").rglob("*"), folder / "home"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    probe = subprocess.run([*powerless, "touch", str(folder / "home/x")], capture_output=True, check=False)
    if not probe.returncode:
        pytest.skip("this file system does not heed permissions")
    yield folder
    for path in (folder / "site", *(folder / "site").rglob("*"), folder / "home"):
        path.chmod(0o755)


HOMES = {"unwritable": "{machine}/home", "missing": "{machine}/nowhere", "empty": "", "unset": None}

COMMANDS = [
    ["encode", "scene.y4m", "-o", "{tag}.mkv", "--preset", "ultrafast"],
    ["segment", "scene.y4m", "-o", "{tag}.masks.mkv"],
    ["decode", "{tag}.mkv", "-o", "{tag}.y4m"],
    ["evaluate", "scene.y4m", "{tag}.mkv", "--xpsnr"],
    ["verify", "{tag}.mkv"],
    ["info", "{tag}.mkv"],
    ["doctor"],
    ["demo", "-o", "{tag}.demo", "--frames", "4", "--size", "96x64"],
]


@pytest.mark.parametrize("home", HOMES)
def test_every_command_runs(powerless, machine, home):
    place = HOMES[home]
    env = {"PYTHONPATH": str(machine / "site")}
    if place is not None:
        env["HOME"] = place.format(machine=machine)
    before = {path.name for path in (machine / "work").iterdir()}
    for command in COMMANDS if home in ("unwritable", "unset") else COMMANDS[:4]:
        words = [word.format(tag=home) for word in command]
        done = vs_sac(*words, env=env, unset=["HOME"], before=powerless, cwd=machine / "work")
        assert done.returncode == 0, (words, done.stderr)
        # On a busy machine a command takes long enough for a line of progress.
        assert [line for line in done.stderr.splitlines() if not re.match(r"\w+: \d+/\d+ frames", line)] == []
    made = {path.name for path in (machine / "work").iterdir()} - before
    assert made - {f"{home}.demo"} == {f"{home}{ending}" for ending in (".mkv", ".masks.mkv", ".y4m")}
    assert list((machine / "home").iterdir()) == []


def test_compare_runs(powerless, machine):
    pytest.importorskip("matplotlib", reason="needs the extra report")
    env = {"PYTHONPATH": str(machine / "site"), "HOME": str(machine / "home")}
    done = vs_sac("compare", "scene.y4m", "--codec", "x264", "--mode", "single-stream", "--preset", "ultrafast",
                  "--report", "study", env=env, before=powerless, cwd=machine / "work")  # fmt: skip
    # So small a clip has no encode of every size that is looked for, which is said and no matter here.
    assert (machine / "work/study/report.html").is_file(), done.stderr
    assert "atplotlib" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_compiled_kernels_are_kept_where_that_is_possible(powerless, machine, tmp_path):
    """In the user's cache, which a service is given with XDG_CACHE_HOME or NUMBA_CACHE_DIR."""
    env = {"PYTHONPATH": str(machine / "site"), "XDG_CACHE_HOME": str(tmp_path), "HOME": str(machine / "home")}
    done = vs_sac("demo", "-o", "kept.demo", "--frames", "2", "--size", "96x64", env=env, before=powerless,
                  cwd=machine / "work")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*.nbc"))


def test_a_user_without_an_entry_gets_no_folder_named_tilde(machine, powerless, tmp_path):
    """As in a container that runs under a bare number: no HOME, and no entry that would name one."""
    code = "import pwd\ndef getpwuid(uid): raise KeyError(uid)\npwd.getpwuid = getpwuid\n"
    (tmp_path / "sitecustomize.py").write_text(code)
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(machine / "site")])}
    done = vs_sac("demo", "-o", "bare.demo", "--frames", "2", "--size", "96x64", env=env, unset=["HOME"],
                  before=powerless, cwd=machine / "work")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (machine / "work/~").exists()
