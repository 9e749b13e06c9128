"""Outputs whose names leave no room for an ending."""

import pytest

from vs_sac.cli import run
from vs_sac.core.errors import SacFileError
from vs_sac.pipeline.chunks import open_store

from ..cli.machine import write_video


@pytest.mark.parametrize("letter", ["n", "ü", "視"])
def test_the_folder_of_chunks_fits_next_to_every_name(tmp_path, letter):
    stem = letter * ((255 - len(".mkv")) // len(letter.encode()))
    store = open_store(tmp_path / f"{stem}.mkv", {"a": 1}, resume=False, force=False)
    assert store.is_dir()
    assert len(store.name.encode()) <= 255
    # The same output finds it again; another one of the same beginning has its own.
    assert open_store(tmp_path / f"{stem}.mkv", {"a": 1}, resume=True, force=False) == store
    other = open_store(tmp_path / f"{stem[:-1]}x.mkv", {"a": 1}, resume=False, force=False)
    assert other != store


def test_usual_names_keep_theirs(tmp_path):
    store = open_store(tmp_path / "a.mkv", {}, resume=False, force=False)
    assert store.name == "a.mkv.chunks"


def test_the_store_of_another_job_is_refused(tmp_path):
    out = tmp_path / f"{'n' * 247}.mkv"
    open_store(out, {"a": 1}, resume=False, force=False)
    with pytest.raises(SacFileError, match="another a"):
        open_store(out, {"a": 2}, resume=True, force=False)


@pytest.mark.slow
@pytest.mark.encoder
@pytest.mark.parametrize("chunks", [[], ["--chunk", "0.1"]])
def test_an_output_of_255_bytes(tmp_path, chunks):
    write_video(tmp_path / "scene.y4m")
    out = tmp_path / f"{'n' * 251}.mkv"
    assert run(["encode", str(tmp_path / "scene.y4m"), "-o", str(out), "--preset", "ultrafast", *chunks]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "scene.y4m"]


@pytest.mark.parametrize("command", [["encode"], ["segment"], ["encode", "--chunk", "0.1"]])
def test_longer_names_are_one_line(tmp_path, capsys, command):
    write_video(tmp_path / "scene.y4m")
    out = tmp_path / f"{'n' * 252}.mkv"
    assert run([command[0], str(tmp_path / "scene.y4m"), "-o", str(out), *command[1:]]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "File name too long" in said
