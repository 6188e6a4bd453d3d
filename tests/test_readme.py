"""Commands and Python that README and docs show are the real ones."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PYTHON_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def documents(repository: Path) -> list[Path]:
    return [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]


def test_every_verb_that_the_docs_name_exists(repository: Path) -> None:
    from typer.main import get_command

    from prerelax.cli import app

    verbs = set(get_command(app).commands)  # type: ignore[attr-defined]
    for document in documents(repository):
        named = set(re.findall(r"(?:`|bin/)prerelax ([a-z0-9-]+)", document.read_text()))
        assert named <= verbs, f"{document.name} names {named - verbs}"


@pytest.mark.slow
def test_python_of_the_docs_runs(repository: Path) -> None:
    for block in PYTHON_BLOCK.findall((repository / "docs/guide/python.md").read_text()):
        subprocess.run([sys.executable, "-c", block], check=True, capture_output=True)


def test_files_that_the_docs_name_exist(repository: Path) -> None:
    for document in documents(repository):
        for name in re.findall(
            r"`((?:docs|config|src|slurm|models|examples|benchmarks|envs|tests)/[\w./-]+)`",
            document.read_text(),
        ):
            assert (repository / name).exists(), f"{document.name} names {name}"
