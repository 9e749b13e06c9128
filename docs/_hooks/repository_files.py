"""MkDocs hook: files of the repository that lie outside of docs/ and belong to the site.

Pages link to such files as a reader of the repository needs it, for example ``../benchmarks/results/rate.md``. Every
linked file becomes part of the site at its path in the repository, and links are rewritten accordingly. CONTRIBUTING.md
and CHANGELOG.md become pages of their own, and the home page stands for README.md.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

#: File of the repository → page of the site; every other file keeps its path.
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "README.md": "index.md"}

#: Files that are in the navigation, linked or not.
ALWAYS = ["CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md"]

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file outside of docs/ that a page links to, and what those link to in turn."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir)
    wanted = [root / name for name in ALWAYS]
    for file in files.documentation_pages():
        if file.abs_src_path:
            wanted += _outside(Path(file.abs_src_path), docs)
    seen: set[Path] = set()
    while wanted:
        path = wanted.pop()
        if path in seen or not path.is_relative_to(root):
            continue
        seen.add(path)
        name = path.relative_to(root).as_posix()
        if files.get_file_from_path(PAGES.get(name, name)) is not None:
            continue
        files.append(File.generated(config, PAGES.get(name, name), abs_src_path=str(path)))
        if path.suffix == ".md":
            wanted += _outside(path, docs)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links from how they are in the repository to how they are in the site."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir)
    if not page.file.abs_src_path:
        return markdown
    here = Path(page.file.abs_src_path)

    def rewritten(target: Path) -> str | None:
        if target.is_relative_to(docs):
            name = target.relative_to(docs).as_posix()
        elif target.is_relative_to(root):
            name = target.relative_to(root).as_posix()
            name = PAGES.get(name, name)
        else:
            return None
        if files.get_file_from_path(name) is None:
            return None
        return os.path.relpath(name, Path(page.file.src_uri).parent)

    return _replace_links(markdown, here, rewritten)


def _outside(page: Path, docs: Path) -> list[Path]:
    """Files outside of docs/ that a page links to."""
    found: list[Path] = []

    def note(target: Path) -> None:
        if target.is_file() and not target.is_relative_to(docs):
            found.append(target)

    _replace_links(page.read_text(encoding="utf-8"), page, note)
    return found


def _replace_links(markdown: str, page: Path, change: Callable[[Path], str | None]) -> str:
    def replaced(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(page.parent / match[1]))
        return change(target) or match[1]

    return _LINK.sub(replaced, markdown)
