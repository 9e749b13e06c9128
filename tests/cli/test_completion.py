"""--install-completion: for every shell, and nothing outside the home folder."""

import os
import subprocess

import pytest

from vs_sac.cli.program import COMMANDS

from .runs import vs_sac

PLACES = {
    "bash": ".local/share/bash-completion/completions/vs-sac",
    "zsh": ".zsh/completions/_cyclopts_vs-sac",
    "fish": ".config/fish/completions/vs-sac.fish",
}
STARTED = {"bash": [".bashrc"], "zsh": [".zshrc"], "fish": []}


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("ZSH", "ZSH_CUSTOM", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("shell", PLACES)
def test_a_shell(home, shell):
    for _ in range(2):
        done = vs_sac("--install-completion", "--shell", shell, env={"HOME": str(home)})
        assert done.returncode == 0, done.stderr
    script = (home / PLACES[shell]).read_text()
    assert all(command in script for command in COMMANDS)
    assert "quiet" in script
    # Libraries keep caches of their own; apart from these there is only the configuration of the shell.
    files = {str(p.relative_to(home)) for p in home.rglob("*") if p.is_file() and ".cache" not in p.parts}
    assert files == {PLACES[shell], *STARTED[shell]}
    for name in STARTED[shell]:
        assert (home / name).read_text().count("completions") in (1, 2)  # once, although it was installed twice


def test_bash_completes(home):
    assert vs_sac("--install-completion", "--shell", "bash", env={"HOME": str(home)}).returncode == 0
    script = home / PLACES["bash"]
    ask = f". {script}; COMP_WORDS=(vs-sac enc); COMP_CWORD=1; _vs_sac; echo ${{COMPREPLY[@]}}"
    shown = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["encode"]


@pytest.mark.slow
def test_a_file_of_choice_and_no_home(home, tmp_path):
    done = vs_sac("--install-completion", "--shell", "zsh", "-o", tmp_path / "script", env={"HOME": str(home)})
    assert done.returncode == 0
    assert (tmp_path / "script").read_text().startswith("#compdef")
    assert not [p for p in home.rglob("*") if p.is_file() and ".cache" not in p.parts]
    (tmp_path / "file").write_text("")
    done = vs_sac("--install-completion", "--shell", "zsh", env={"HOME": str(tmp_path / "file"), "MPLCONFIGDIR":
                  str(tmp_path / "mpl"), "XDG_CACHE_HOME": str(tmp_path / "cache")})  # fmt: skip
    assert done.returncode == 1
    assert "cannot install the completion" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_help_says_where_it_writes(home):
    done = vs_sac("--install-completion", "--help", env={"HOME": str(home)})
    assert ".bashrc" in done.stdout
    assert not list(home.iterdir())
    assert os.linesep in done.stdout
