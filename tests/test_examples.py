"""The examples in the docstrings of the package give what they say."""

import doctest
import importlib

import pytest

from .test_house import MODULES, PACKAGE

EXAMPLES = sorted(path for path in MODULES if ">>>" in path.read_text())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_examples(path):
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed


def test_there_are_examples():
    assert len(EXAMPLES) > 5
