"""The journal beside a shard's output: finished molecules, so that a killed job resumes, and its holder."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from prerelax.errors import UserError
from prerelax.records import Record

LOCK_WAIT_S = 30.0
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class ShardLockedError(UserError):
    """Another job works on this shard."""


def journal_path(out: Path) -> Path:
    """`OUT.journal.jsonl` beside the output."""
    return out.with_name(out.name + ".journal.jsonl")


def molecule_key(record: Record, settings: dict[str, Any]) -> str:
    """SHA-256 over everything a relaxation depends on: elements, geometry, charge, multiplicity, settings.

    Names are no part of it, so a molecule under another id or in another shard's order is still known.
    """
    molecule = {
        "numbers": record.numbers.tolist(),
        "positions": record.positions.tolist(),
        "charge": record.charge,
        "multiplicity": record.multiplicity,
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(molecule, sort_keys=True).encode()).hexdigest()


class Journal:
    """One line of JSON for each finished molecule, on disk before the next one is begun.

    Entered as a context: the file is locked by its holder until the holder ends, however it ends, because the
    lock is the kernel's (flock, which Linux passes on to NFS servers). Raises ShardLockedError naming the
    holder if another job still has it after `wait_s`.
    """

    def __init__(self, path: Path, wait_s: float = LOCK_WAIT_S) -> None:
        self.path = path
        self.wait_s = wait_s
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Journal":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        try:
            self._lock()
        except BaseException:
            self._file.close()
            raise
        self._end_torn_line()
        self._append({"holder": _holder()})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()

    def entries(self) -> dict[str, dict[str, Any]]:
        """Finished molecules by key, the last entry counting; lines torn by a kill are passed over."""
        return {line["key"]: line["result"] for line in self._lines() if "key" in line}

    def add(self, key: str, result: dict[str, Any]) -> None:
        """Note a finished molecule; it is on disk when this returns."""
        self._append({"key": key, "result": result})

    def _append(self, line: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _lines(self) -> Iterator[dict[str, Any]]:
        assert self._file is not None
        self._file.seek(0)
        for text in self._file:
            with contextlib.suppress(ValueError):
                line = json.loads(text)
                if isinstance(line, dict):
                    yield line

    def _end_torn_line(self) -> None:
        assert self._file is not None
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def _lock(self) -> None:
        assert self._file is not None
        deadline = time.monotonic() + self.wait_s
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno in NO_LOCKS:
                    return  # a filesystem without locks: two jobs would do the work twice, and write the same
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
            if time.monotonic() > deadline:
                raise ShardLockedError(
                    f"{self.path}: another job works on this shard ({self._holder_words()}); "
                    "wait for it or end it, then run again"
                )
            time.sleep(0.2)

    def _holder_words(self) -> str:
        holders = [line["holder"] for line in self._lines() if "holder" in line]
        if not holders:
            return "it has not given its name"
        last = holders[-1]
        job = f", SLURM job {last['slurm_job']}" if last.get("slurm_job") else ""
        return f"host {last['host']}, process {last['pid']}{job}, since {last['since']}"


def _holder() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
    }
