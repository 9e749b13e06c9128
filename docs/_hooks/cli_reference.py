"""MkDocs hook: the page cli.md is made from the program at build time, so it cannot become stale."""

import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

PAGE = "cli.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page to the site. A process of its own imports the program and whatever stands in for its extras."""
    command = [sys.executable, str(Path(__file__).with_name("cli_page.py"))]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise PluginError(f"the command line reference cannot be made:\n{made.stderr}")
    files.append(File.generated(config, PAGE, content=made.stdout))
    return files
