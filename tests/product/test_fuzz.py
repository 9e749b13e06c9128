"""A small share of `tests.fuzz`; its counts are in docs/reliability.md."""

import pytest

from .. import fuzz

pytestmark = pytest.mark.encoder


def test_no_mutated_file_crashes_hangs_or_shows_a_wrong_frame(tmp_path):
    result = fuzz.run(200, 7, tmp_path)
    assert not result.failures
    assert sum(result.outcomes.values()) == 200
    # The fuzzer gets past the front door and learns.
    assert result.outcomes["decoded"] >= 12
    assert result.outcomes["decoded in part"]
    assert result.corpus > 12


def test_the_fuzzer_sees_a_wrong_frame(tmp_path, monkeypatch):
    """A seed with checksums of other frames stands for a decoder that is wrong."""
    seed = fuzz.make_seeds(tmp_path)[0]
    seed.frames[5] ^= 1
    monkeypatch.setattr(fuzz, "make_seeds", lambda folder: [seed])
    result = fuzz.run(1, 7, tmp_path)
    assert len(result.failures) == 1
    assert "wrong frames" in result.failures[0][0]
