"""The program Psi4: where it is, and a running one that answers lines of JSON."""

import contextlib
import json
import os
import shutil
import subprocess
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prerelax.engines.processes import cause_of_death
from prerelax.engines.scratch import scratch_folder
from prerelax.errors import MissingProgramError
from prerelax.molecules.status import Status

EXECUTABLE_VARIABLE = "PRERELAX_PSI4"
MEMORY_VARIABLE = "PRERELAX_PSI4_MEMORY_MB"
DEFAULT_MEMORY_MB = 4000
"""as PySCF's own limit; Psi4 goes to disk beyond it"""
MISSING = (
    "the program psi4 is not installed here: `conda install -c conda-forge psi4` or `apt-get install psi4`, "
    f"then put it on the PATH or its full name into {EXECUTABLE_VARIABLE}"
)
LAST_WORDS = 300


class Psi4Error(Exception):
    """Psi4 could not do what it was asked: a row status and Psi4's own words."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status: Status = status
        self.message = message


def find_psi4() -> str | None:
    """The executable that PRERELAX_PSI4 names, or `psi4` on the PATH; None where there is none."""
    return shutil.which(os.environ.get(EXECUTABLE_VARIABLE, "psi4"))


class Psi4Process:
    """A running Psi4 with a scratch folder of its own; both end with `close`, or with this object.

    `setup` is the first line of `server`; the memory of each molecule comes from
    PRERELAX_PSI4_MEMORY_MB, the scratch folder's place from PSI_SCRATCH or TMPDIR. Raises
    MissingProgramError where there is none, ValueError where the memory is no number, Psi4Error where it does
    not start.
    """

    def __init__(self, setup: Mapping[str, object], threads: int) -> None:
        executable = find_psi4()
        if executable is None:
            raise MissingProgramError(MISSING)
        place = os.environ.get("PSI_SCRATCH")
        self.folder = scratch_folder("psi4", Path(place) if place else None)
        self._process = subprocess.Popen(
            [
                executable, "--skip-preprocessor", "--nthread", str(threads),
                "--input", str(Path(__file__).with_name("server.py")),
                "--output", str(self.folder / "psi4.out"), "--scratch", str(self.folder),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "stderr").open("wb"),
            cwd=self.folder,
            env=os.environ | {"PSIPATH": os.pathsep.join([str(self.folder), os.environ.get("PSIPATH", "")])},
        )  # fmt: skip
        self._end = weakref.finalize(self, _end, self._process, self.folder)
        try:
            self.version = str(self.ask({**setup, "memory_bytes": _memory_bytes()})["version"])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Psi4Process":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End Psi4 and remove its scratch folder."""
        self._end()

    def ask(self, line: Mapping[str, object]) -> dict[str, Any]:
        """Psi4's answer. Raises Psi4Error where it reports a failure, dies, or answers with no JSON."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # a death is noticed at its output's end
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        text = self._process.stdout.readline()
        try:
            answer: dict[str, Any] = json.loads(text)
        except ValueError:
            raise self._death(text) from None
        if "failure" in answer:
            raise Psi4Error(answer["failure"], answer["message"])
        return answer

    def _death(self, text: bytes) -> Psi4Error:
        """What to say when the answer is none: the program is dead, or something printed in between."""
        if text.endswith(b"\n"):
            return Psi4Error("unknown_error", f"Psi4's answer is not JSON: {text[:80]!r}")
        code = self._process.wait()
        words = _last_words(self.folder / "stderr") or _last_words(self.folder / "psi4.out")
        return Psi4Error(*cause_of_death(code, words, "Psi4"))


def _memory_bytes() -> int:
    text = os.environ.get(MEMORY_VARIABLE, str(DEFAULT_MEMORY_MB))
    if not text.isdigit() or int(text) < 250:
        raise ValueError(f"{MEMORY_VARIABLE} must be a number of megabytes, 250 or more, not '{text}'")
    return int(text) * 1_000_000


def _last_words(path: Path) -> str:
    try:
        text = path.read_bytes()[-4 * LAST_WORDS :].decode(errors="replace")
    except FileNotFoundError:
        return ""
    return " ".join(text.split())[-LAST_WORDS:]


def _end(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(BrokenPipeError):
            assert pipe is not None
            pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
