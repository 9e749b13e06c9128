"""Outputs: never an input, through links, with the permissions of what they replace."""

import os
import stat

import pytest

from vs_sac.core.errors import SacFileError, SacValueError
from vs_sac.core.outputs import check_output, check_outputs, workspace


def written(out, content="new", **how):
    with workspace(out, force=True, func="test") as work:
        work.result.write_text(content)
    return out


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.mkv"
    path.write_text("the source")
    return path


@pytest.mark.parametrize("how", ["itself", "hard link", "symbolic link", "link to the input", "another spelling"])
def test_an_output_that_is_the_input_is_refused(source, tmp_path, how):
    given, out = source, tmp_path / "out.mkv"
    if how == "itself":
        out = source
    elif how == "hard link":
        os.link(source, out)
    elif how == "symbolic link":
        out.symlink_to(source)
    elif how == "link to the input":
        given = tmp_path / "link.mkv"
        given.symlink_to(source)
        out = source
    else:
        (tmp_path / "a").mkdir()
        out = tmp_path / "a" / ".." / source.name
    for force in (False, True):
        with pytest.raises(SacValueError, match=r"both source and output; give output another name"):
            check_outputs({"output": out}, {"masks": None, "source": given}, force=force, func="test")
    assert source.read_text() == "the source"


def test_an_image_of_an_input_sequence_is_refused(tmp_path):
    files = [tmp_path / f"{n}.png" for n in range(3)]
    for file in files:
        file.touch()
    with pytest.raises(SacValueError, match="both source and --json"):
        check_outputs({"--json": files[2]}, {"source": files}, force=True, func="test")
    check_outputs({"--json": tmp_path / "3.png"}, {"source": files}, force=True, func="test")


def test_standard_input_may_be_a_file(source, tmp_path, monkeypatch):
    saved = os.dup(0)
    with source.open("rb") as file:
        os.dup2(file.fileno(), 0)
    try:
        with pytest.raises(SacValueError, match="one file, both source and output"):
            check_outputs({"output": source}, {"source": "-"}, force=True, func="test")
    finally:
        os.dup2(saved, 0)
        os.close(saved)


def test_two_outputs_of_one_name_are_refused(tmp_path):
    (tmp_path / "link.mkv").symlink_to(tmp_path / "a.mkv")
    with pytest.raises(SacValueError, match="both output and overlay"):
        check_outputs({"output": tmp_path / "a.mkv", "overlay": tmp_path / "link.mkv"}, {}, force=True, func="test")


def test_clips_and_missing_inputs_are_no_files(tmp_path):
    check_outputs({"out": tmp_path / "a.mkv", "json": None}, {"source": object(), "masks": tmp_path / "none"},
                  force=False, func="test")  # fmt: skip


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path):
    target, link = tmp_path / "folder" / "target.mkv", tmp_path / "link.mkv"
    target.parent.mkdir()
    link.symlink_to("folder/target.mkv")
    # Of a target that does not exist yet, and of one that does.
    for content in ("first", "second"):
        written(link, content)
        assert link.is_symlink()
        assert target.read_text() == content
        assert not target.is_symlink()
    with pytest.raises(SacFileError, match=r"a link to .*target.mkv, exists; use --force"):
        check_output(link, force=False, func="test")
    assert [path.name for path in target.parent.iterdir()] == ["target.mkv"]


@pytest.mark.parametrize(("name", "said"), [("loop", "points to itself"), ("null", "is a device or pipe")])
def test_links_that_lead_to_no_file_are_refused(tmp_path, name, said):
    link = tmp_path / name
    link.symlink_to(link if name == "loop" else "/dev/null")
    with pytest.raises(SacFileError, match=said):
        check_output(link, force=True, func="test")


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o444, 0o755])
def test_an_overwritten_file_keeps_its_permissions(tmp_path, mode):
    out = tmp_path / "a.json"
    out.write_text("old")
    out.chmod(mode)
    assert stat.S_IMODE(written(out).stat().st_mode) == mode
    assert out.read_text() == "new"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_gets_what_the_umask_leaves(tmp_path, mask):
    before = os.umask(mask)
    try:
        out = written(tmp_path / "a.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(os.getuid() != 0, reason="only the superuser may give files away")
def test_an_overwritten_file_keeps_its_owner(tmp_path):
    out = tmp_path / "a.json"
    out.write_text("old")
    os.chown(out, 1234, 5678)
    found = written(out).stat()
    assert (found.st_uid, found.st_gid) == (1234, 5678)
