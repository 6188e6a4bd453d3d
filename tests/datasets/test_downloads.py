"""Downloads checked against what is published."""

import hashlib
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prerelax.cli import app
from prerelax.datasets import downloads
from prerelax.datasets.downloads import DOWNLOADS, Download, PublishedFile, check_downloads
from prerelax.errors import UserError

CONTENT = b"what was published"
FILE = PublishedFile(
    "a.txt",
    "a file",
    len(CONTENT),
    hashlib.md5(CONTENT).hexdigest(),
    hashlib.sha256(CONTENT).hexdigest(),
)


@pytest.fixture(autouse=True)
def one_download(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Download("A", "a paper", "an archive", "10.1/a", "a loader", (FILE,))
    monkeypatch.setattr(downloads, "DOWNLOADS", (made,))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CONTENT, ""),
        (CONTENT[:-1], "cut short: 17 of 18 bytes"),
        (CONTENT + b"!", "19 bytes, 18 are published"),
        (CONTENT[::-1], "MD5 "),
    ],
)
def test_a_file_is_known_by_its_name_size_and_digest(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    ((_, complaint),) = check_downloads([path])
    assert complaint.startswith(words) and bool(complaint) == bool(words)


def test_files_that_are_not_there_or_not_known_are_named(tmp_path: Path) -> None:
    ((_, complaint),) = check_downloads([tmp_path / "a.txt"])
    assert complaint == "cannot be read (No such file or directory)"
    with pytest.raises(UserError, match=re.escape("b.txt: not among the published files; those are a.txt")):
        list(check_downloads([tmp_path / "b.txt"]))


def test_the_verb_says_each_file_and_fails_where_one_differs(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(CONTENT)
    assert CliRunner().invoke(app, ["data", "check", str(path)]).output == f"{path}: as published\n"
    path.write_bytes(CONTENT[::-1])
    failed = CliRunner().invoke(app, ["data", "check", str(path)])
    assert (
        isinstance(failed.exception, UserError) and str(failed.exception) == "not as published: 1 of 1 file"
    )
    assert "10.1/a" in CliRunner().invoke(app, ["data", "check"]).output


def test_what_is_published_is_whole(repository: Path) -> None:
    """Digests of the right length, and the page has them all."""
    page = (repository / "docs/guide/data.md").read_text()
    for download in DOWNLOADS:
        assert download.doi in page
        for file in download.files:
            assert re.fullmatch(r"[0-9a-f]{32}", file.md5) and file.md5 in page
            assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
