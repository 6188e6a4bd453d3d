"""What a filesystem refuses is one sentence that names the file, with exit status 2; nothing is lost."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prerelax import cli
from prerelax.records.shard import read_shard

REFUSALS = [
    "ESTALE",
    "EIO",
    "EXDEV",
    "ETIMEDOUT",
    "ENOSPC",
    "EDQUOT",
    "EROFS",
    "EACCES",
    "EBUSY",
    "ENAMETOOLONG",
]
WORDS = ["forcefield", "results/c/molecules/0000.extxyz", "out.extxyz"]


def refused(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["prerelax", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("prerelax: ") and "\n" not in said
    return said


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("call", ["replace", "chmod", "write_bytes", "mkstemp"])
def test_an_error_of_the_disk_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, call: str
) -> None:
    number = getattr(errno, name)

    def fail(*arguments: Any, **more: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as disk:
        disk.setattr("tempfile.mkstemp" if call == "mkstemp" else f"pathlib.Path.{call}", fail)
        said = refused(WORDS, monkeypatch, capsys)
    assert f"out.parquet: {os.strerror(number)}; nothing finished is lost" in said
    assert not (folder / "out.extxyz").exists()
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")] or call != "write_bytes"


def test_reading_that_fails_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert "0000.extxyz: Input/output error" in refused(WORDS, monkeypatch, capsys)


def test_a_full_disk_names_its_file_and_the_next_run_ends_well(folder: Path) -> None:
    command = [str(Path(sys.executable).parent / "prerelax"), *WORDS]
    limited = subprocess.run(
        ["bash", "-c", 'ulimit -f 2; trap "" XFSZ; exec "$@"', "bash", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 2, limited.stderr
    assert "out.parquet: File too large" in limited.stderr and "Traceback" not in limited.stderr
    assert subprocess.run(command, cwd=folder, check=False).returncode == 0
    assert len(read_shard(folder / "out.extxyz")) == 2


def test_too_little_memory_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (MemoryError(), ImportError("libarrow.so: failed to map segment from shared object")):

        def fail(*arguments: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("prerelax.starts.forcefield.forcefield_shard", fail)
        assert "too little memory" in refused(WORDS, monkeypatch, capsys)


def test_a_field_that_is_no_smiles_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("m.csv").write_text(f"id,smiles\na,CO\nb,{'C' * 140_000}\n")
    said = refused(["embed", "m.csv", "out.extxyz"], monkeypatch, capsys)
    assert "m.csv: row 2 has a field of more than 131072 characters" in said


def test_workers_that_die_at_once_are_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    words = ["relax", "results/c/starts/mmff94/0000.extxyz", "out.extxyz", "--engine", "tblite"]
    assert "a worker did not start" in refused([*words, "--method", "GFN1-xTB"], monkeypatch, capsys)


def test_workers_that_never_come_are_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sleeper = folder / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr("prerelax.engines.workers.READY_S", 1.0)
    monkeypatch.setattr("prerelax.engines.workers.sys.executable", str(sleeper))
    words = ["relax", "results/c/starts/mmff94/0000.extxyz", "out.extxyz", "--engine", "tblite"]
    assert "was not ready after 1 s" in refused([*words, "--method", "GFN1-xTB"], monkeypatch, capsys)
