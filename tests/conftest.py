"""Shared fixtures. Real data lies beside the checkout and is not part of it."""

import gc
import os
import re
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.register_profile("fast", parent=settings.get_profile("ci"), max_examples=25)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# A shell starts what runs in the background deaf to Ctrl-C, and so would be every command that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow_except(pattern): slow, but for the cases whose names match the pattern")
    if "not slow" in config.option.markexpr:
        settings.load_profile("fast")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tests with many cases some stay in the two-minute run; tests over the whole product do not."""
    for item in items:
        if "product" in item.path.parts:
            item.add_marker(pytest.mark.slow)
        for marker in item.iter_markers("slow_except"):
            if not re.search(marker.args[0], item.callspec.id):  # type: ignore[attr-defined]
                item.add_marker(pytest.mark.slow)


DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real driving data."""
    if not DATA.is_dir():
        pytest.skip(f"real driving data is not there: {DATA}")
    return DATA


@pytest.fixture(autouse=True, scope="module")
def _cheap_collections() -> None:
    """VapourSynth collects garbage whenever a clip was read to its end: keep torch and its like out of that."""
    gc.freeze()


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `vs-sac compare` makes of a rendered street scene with x264: a folder with report.html and all the rest."""
    from vs_sac import cli

    from .experiments.scenes import make_sequence

    pytest.importorskip("matplotlib", reason="needs the extra report")
    folder = tmp_path_factory.mktemp("study")
    name = make_sequence(folder / "scene", 4, 112, 80)
    code = cli.run(["compare", name, str(folder / "missing.mp4"), "--codec", "x264", "--mode", "single-stream",
                     "--preset", "veryfast", "--report", str(folder / "out")])  # fmt: skip
    # The file that is not there does not lose the other clip, and is not passed over.
    assert code == 1
    return folder / "out"
