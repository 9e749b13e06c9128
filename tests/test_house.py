"""Rules of the house that no linter checks: the length of modules and functions, and the number of parameters."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vs_sac"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 450, 80, 12

#: The flat front of the options, by its place: (parameters and lines are free).
FRONT = "pipeline/encoding.py:encode"


def functions(path):
    """(place, node) of all functions of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(PACKAGE)}:{node.name}", node


def parameters(node):
    words = node.args
    return [*words.posonlyargs, *words.args, *words.kwonlyargs, *filter(None, [words.vararg, words.kwarg])]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES
    long = {
        place: node.end_lineno - node.lineno + 1
        for place, node in functions(path)
        if place != FRONT and node.end_lineno - node.lineno >= MOST_FUNCTION_LINES
    }
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_have_few_parameters(path):
    many = {
        place: len(parameters(node))
        for place, node in functions(path)
        if place != FRONT and len([p for p in parameters(node) if p.arg not in ("self", "cls")]) > MOST_PARAMETERS
    }
    assert not many


def test_the_exception_is_there():
    (front,) = [node for place, node in functions(PACKAGE / "pipeline/encoding.py") if place == FRONT]
    assert len(parameters(front)) > MOST_PARAMETERS


def test_every_module_says_what_it_is():
    assert not [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]


def test_the_folders_of_the_tests_are_those_of_the_package():
    """Besides folders for what goes over the whole product, and the benchmarks."""
    tests = Path(__file__).resolve().parent
    ours = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"nn"}
    theirs = {path.parent.name for path in tests.glob("*/__init__.py")} - {"product", "benchmarks"}
    assert ours - {"models"} == theirs
    for folder in theirs:
        assert list((tests / folder).glob("test_*.py")), folder


def test_test_modules_are_short():
    tests = Path(__file__).resolve().parent
    assert not [path for path in tests.rglob("*.py") if len(path.read_text().splitlines()) > MOST_LINES]
