"""No command replaces what it reads, by whatever name, and every output has the permissions it should have."""

import os
import shutil
import stat
import subprocess

import pytest

from vs_sac import cli
from vs_sac.encoders import find_ffmpeg

pytestmark = pytest.mark.encoder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A video, its masks, and a SAC file of both."""
    folder = tmp_path_factory.mktemp("made")
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=96x64:d=0.2", "-c:v", "ffv1",
                    folder / "in.mkv"], check=True)  # fmt: skip
    assert cli.run(["segment", str(folder / "in.mkv"), "-o", str(folder / "masks.mkv")]) == 0
    assert cli.run(["encode", str(folder / "in.mkv"), "--masks", str(folder / "masks.mkv"), "-o",
                    str(folder / "sac.mkv")]) == 0  # fmt: skip
    return folder


@pytest.fixture
def work(made, tmp_path):
    for path in made.iterdir():
        shutil.copy(path, tmp_path)
    os.link(tmp_path / "in.mkv", tmp_path / "hard.mkv")
    (tmp_path / "soft.mkv").symlink_to("in.mkv")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("encode in.mkv -o in.mkv", "in.mkv is both source and output"),
        ("encode in.mkv -o hard.mkv", "hard.mkv and in.mkv are one file, both source and output"),
        ("encode in.mkv -o soft.mkv", "soft.mkv and in.mkv are one file, both source and output"),
        ("encode soft.mkv -o in.mkv", "one file, both source and output"),
        ("encode in.mkv --masks masks.mkv -o masks.mkv", "masks.mkv is both masks and output"),
        ("encode in.mkv --masks masks.mkv -o out.mkv --json in.mkv", "in.mkv is both source and --json"),
        ("encode in.mkv --masks masks.mkv -o out.mkv --json masks.mkv", "masks.mkv is both masks and --json"),
        ("encode in.mkv --masks masks.mkv -o out.mkv --json out.mkv", "out.mkv is both output and --json"),
        ("encode in.mkv -o in.mkv --dry-run", "in.mkv is both source and output"),
        ("decode sac.mkv -o sac.mkv", "sac.mkv is both source and output"),
        ("segment in.mkv -o hard.mkv", "one file, both source and output"),
        ("segment in.mkv -o out.mkv --overlay soft.mkv", "one file, both source and overlay"),
        ("segment in.mkv -o out.mkv --overlay out.mkv", "out.mkv is both output and overlay"),
        ("evaluate in.mkv sac.mkv --json in.mkv", "in.mkv is both reference and --json"),
        ("evaluate in.mkv sac.mkv --json sac.mkv", "sac.mkv is both distorted and --json"),
        ("evaluate in.mkv sac.mkv --json a.json --per-frame a.json", "a.json is both --per-frame and --json"),
        ("info sac.mkv --json sac.mkv", "sac.mkv is both source and --json"),
    ],
)
@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
def test_an_input_is_never_replaced(work, monkeypatch, capsys, words, said, force):
    monkeypatch.chdir(work)
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in work.iterdir()}
    assert cli.run([*words.split(), *force]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "give" in error
    assert error.count("\n") == 1
    assert {path.name: (path.read_bytes(), path.stat().st_ino) for path in work.iterdir()} == before


@pytest.mark.slow
def test_a_folder_of_images_keeps_its_images(work, monkeypatch, capsys):
    monkeypatch.chdir(work)
    (work / "images").mkdir()
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", "in.mkv", "images/%d.png"], check=True)
    command = ["encode", "images", "--masks", "masks.mkv", "-o", "images/out.mkv", "--force", "--json"]
    assert cli.run([*command, "images/2.png"]) == 2
    assert "images/2.png is both source and --json" in capsys.readouterr().err
    assert cli.run([*command, "images/2.json"]) == 0
    assert cli.run([*command, "images/2.json"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    ["encode in.mkv --masks masks.mkv -o {out}.mkv --json {out}.json", "decode sac.mkv -o {out}.mkv",
     "decode sac.mkv -o {out}.y4m", "segment in.mkv -o {out}.mkv --overlay {out}.mp4",
     "evaluate in.mkv sac.mkv --json {out}.json --per-frame {out}.csv", "info sac.mkv --json {out}.json"],
)  # fmt: skip
def test_permissions_and_links_of_outputs(work, monkeypatch, words):
    """A new file has what the umask leaves; one that is overwritten keeps its own; a link stays a link."""
    monkeypatch.chdir(work)
    before = os.umask(0o027)
    try:
        assert cli.run(words.format(out="new").split()) == 0
        made = sorted(path.name for path in work.glob("new.*"))
        assert [stat.S_IMODE((work / name).stat().st_mode) for name in made] == [0o640] * len(made)
        (work / "far").mkdir()
        for name in made:
            other = work / "far" / name
            other.write_text("old")
            other.chmod(0o604)
            (work / f"link{other.suffix}").symlink_to(f"far/{name}")
        assert cli.run(words.format(out="link").split()) == 1
        assert cli.run([*words.format(out="link").split(), "--force"]) == 0
    finally:
        os.umask(before)
    for name in made:
        other = work / "far" / name
        assert (work / f"link{other.suffix}").is_symlink()
        assert other.stat().st_size > 10
        assert stat.S_IMODE(other.stat().st_mode) == 0o604
    assert {path.name for path in (work / "far").iterdir()} == set(made)
