"""The journal beside a shard's output: finished molecules, so that a killed job resumes, and its holder."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType

from prerelax.engines.workers import Line
from prerelax.errors import UserError
from prerelax.records.record import Record

LOCK_WAIT_S = 30.0
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
SQUEUE_INTERVAL_S = 5.0
SQUEUE_TIMEOUT_S = 30.0


class ShardLockedError(UserError):
    """Another job works on this shard."""


class JournalError(UserError):
    """The journal cannot be written: a full or read-only disk, a quota."""


def journal_path(out: Path) -> Path:
    """`OUT.journal.jsonl` beside the output."""
    return out.with_name(out.name + ".journal.jsonl")


def molecules_in_hand(path: Path) -> tuple[int, list[str]]:
    """How many molecules a journal has finished, and a line for each in hand, the one seen last at the end.

    The journal may be growing; nothing is locked.
    """
    finished: set[str] = set()
    in_hand: dict[str, str] = {}
    with path.open("rb") as file:
        for text in file:
            if not _TELLS_OF_STATE.match(text) or (line := _line_of(text)) is None:
                continue
            if "holder" in line:
                in_hand.clear()
            elif "seen" in line:
                in_hand.pop(line["seen"], None)
                in_hand[line["seen"]] = seen_text(line["id"], line["last"])
            elif "retry" in line:
                finished.discard(line["retry"])
            else:
                finished.add(line["key"])
                in_hand.pop(line["key"], None)
    return len(finished), list(in_hand.values())


_TELLS_OF_STATE = re.compile(rb'^\{"(key|retry|seen|holder)": ')


def seen_text(molecule: str, last: Line) -> str:
    """One line on a molecule in hand: gradients so far, energy, largest force."""
    return (
        f"{molecule}: gradient {last['n_gradients']}, energy {last['energy_ev']:.4f} eV, "
        f"largest force {last['fmax_ev_ang']:.3f} eV/Å"
    )


def molecule_key(record: Record, settings: Line) -> str:
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
    if record.constraints:
        molecule["constraints"] = record.constraints
    return hashlib.sha256(json.dumps(molecule, sort_keys=True).encode()).hexdigest()


class Journal:
    """One line of JSON for each finished molecule, on disk before the next one is begun.

    Each line ends with its check sum. A line that was torn or changed, or that says nothing this version
    knows, counts as absent, and that is said once; lines of versions without check sums are read as they are.

    Entered as a context: the file is locked by its holder until the holder ends, however it ends, because the
    lock is the kernel's (flock, which Linux passes on to NFS servers). Some filesystems keep flock to one
    node; there a holder on another node that did not say goodbye still counts while SLURM says that its job
    runs. Raises ShardLockedError naming the holder if another job still has the shard after `wait_s`,
    JournalError where the disk does not take what is written.
    """

    def __init__(self, path: Path, wait_s: float = LOCK_WAIT_S) -> None:
        self.path = path
        self.wait_s = wait_s
        self._fd = -1
        self._has_told = False

    def __enter__(self) -> "Journal":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                raise JournalError(f"{self.path}: not a file that keeps what is written; move it, run again")
            self._lock()
            self._end_torn_line()
            self._append({"holder": _holder()})
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(JournalError):
            self._append({"released": kind.__name__ if kind else "done"})
        os.close(self._fd)

    def entries(self) -> dict[str, Line]:
        """Finished molecules by key, the last entry counting; lines that are unfit are passed over."""
        entries: dict[str, Line] = {}
        self._tell_of_unfit_lines()
        for line in self._lines():
            if "key" in line:
                entries[line["key"]] = line["result"]
            elif "retry" in line:
                entries.pop(line["retry"], None)
        return entries

    def to_retry(self) -> set[str]:
        """Keys of molecules that are to be relaxed anew and have not been since."""
        keys: set[str] = set()
        for line in self._lines():
            if "retry" in line:
                keys.add(line["retry"])
            elif "key" in line:
                keys.discard(line["key"])
        return keys

    def retry(self, keys: Iterable[str]) -> None:
        """Note that these molecules are to be relaxed anew, whatever became of them; on disk on return."""
        for key in keys:
            self._append({"retry": key})

    def kills(self) -> "Counter[str]":
        """How often each molecule was in hand when a holder or its engine was killed, by key.

        Counted since the molecule was last finished or given up. A holder that was asked to end (a time
        limit, scancel) says so in the journal, and that is no kill.
        """
        kills: Counter[str] = Counter()
        in_hand: set[str] = set()
        for line in self._lines():
            if "begun" in line:
                in_hand.add(line["begun"])
            elif "retry" in line:
                del kills[line["retry"]]
            elif "key" in line:
                in_hand.discard(line["key"])
                if line["result"].get("status") == "resource_error" and not line.get("given_up"):
                    kills[line["key"]] += 1
                else:
                    del kills[line["key"]]
            elif "holder" in line or "released" in line:
                if "holder" in line:
                    kills.update(in_hand)
                in_hand.clear()
        return kills

    def begin(self, key: str) -> None:
        """Note that a molecule is in hand from now on."""
        self._append({"begun": key}, sync=False)

    def see(self, key: str, molecule: str, seen: Line) -> None:
        """Note the last gradient of a molecule in hand, for a person who looks on."""
        self._append({"seen": key, "id": molecule, "last": seen}, sync=False)

    def keep(self, key: str, computed: Line) -> None:
        """Note a gradient of a molecule in hand, on disk on return: no later job computes it again."""
        self._append({"gradient": key, "computed": computed})

    def gradients(self, keys: Collection[str]) -> dict[str, list[Line]]:
        """What was computed of these molecules, in order; nothing from before they were to be retried."""
        found: dict[str, list[Line]] = {key: [] for key in keys}
        for line in self._lines():
            if line.get("gradient") in found:
                found[line["gradient"]].append(line["computed"])
            elif line.get("retry") in found:
                found[line["retry"]].clear()
        return found

    def add(self, key: str, result: Line, *, given_up: bool = False) -> None:
        """Note a finished molecule, or one that is not tried again; it is on disk when this returns."""
        self._append({"key": key, "result": result} | ({"given_up": True} if given_up else {}))

    def _append(self, line: Line, sync: bool = True) -> None:
        self._write(_with_check_sum(line))
        if sync:
            try:
                os.fsync(self._fd)
            except OSError as error:
                raise self._unwritable(error) from error

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> JournalError:
        return JournalError(
            f"{self.path}: {error.strerror}; the molecules finished so far are kept, run again once the disk "
            "takes files"
        )

    def _lines(self) -> Iterator[Line]:
        with self.path.open("rb") as file:
            yield from filter(None, map(_line_of, file))

    def _tell_of_unfit_lines(self) -> None:
        if self._has_told:
            return
        with self.path.open("rb") as file:
            unfit = sum(1 for text in file if text.strip() and _line_of(text) is None)
        if unfit:
            said = "1 line is" if unfit == 1 else f"{unfit} lines are"
            print(
                f"{self.path}: {said} torn, changed or of another version; what they held is computed again",
                file=sys.stderr,
                flush=True,
            )
        self._has_told = True

    def _end_torn_line(self) -> None:
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            self._write(b"\n")

    def _lock(self) -> None:
        deadline = time.monotonic() + self.wait_s
        while True:
            pause_s = 0.2
            if self._flock():
                if not self._holder_runs_elsewhere():
                    return
                fcntl.flock(self._fd, fcntl.LOCK_UN)
                pause_s = SQUEUE_INTERVAL_S
            if time.monotonic() > deadline:
                raise ShardLockedError(
                    f"{self.path}: another job works on this shard ({self._holder_words()}); "
                    "wait for it or end it, then run again"
                )
            time.sleep(pause_s)

    def _flock(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return True  # two jobs at once would do the work twice, and write the same
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            return False
        return True

    def _holder_runs_elsewhere(self) -> bool:
        """Whether the last holder did not end well on another node and SLURM still runs its job."""
        last = None
        for line in self._lines():
            if "holder" in line:
                last = line["holder"]
            elif "released" in line:
                last = None
        if last is None or last["host"] == _host() or last["slurm_job"] in (None, _slurm_job()):
            return False
        return slurm_job_runs(last["slurm_job"])

    def _holder_words(self) -> str:
        holders = [line["holder"] for line in self._lines() if "holder" in line]
        if not holders:
            return "it has not given its name"
        last = holders[-1]
        job = f", SLURM job {last['slurm_job']}" if last.get("slurm_job") else ""
        return f"host {last['host']}, process {last['pid']}{job}, since {last['since']}"


_CHECKED = re.compile(rb', "crc": "([0-9a-f]{8})"\}\s*$')


def _with_check_sum(line: Line) -> bytes:
    """A line as it stands in the file: JSON with the CRC-32 of itself as its last key."""
    text = json.dumps(line).encode()
    return text[:-1] + b', "crc": "%08x"}\n' % zlib.crc32(text)


def _line_of(text: bytes) -> Line | None:
    """What a line says, None where it is torn, was changed or is none of a journal's."""
    if (found := _CHECKED.search(text)) is not None:
        text = text[: found.start()] + b"}"
        if found[1] != b"%08x" % zlib.crc32(text):
            return None
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and _is_known(line) else None


def _is_known(line: Line) -> bool:
    match line:
        case {"key": str(), "result": dict()} | {"retry": str()} | {"begun": str()} | {"released": _}:
            return True
        case {"holder": {"host": str(), "pid": int(), "slurm_job": str() | None, "since": str()}}:
            return True
        case {"gradient": str(), "computed": {"energy_ev": float(), "wall_s": float(), **arrays}}:
            return all(isinstance(arrays.get(name), list) for name in ("positions", "forces"))
        case {"seen": str(), "id": str(), "last": {"n_gradients": int(), **numbers}}:
            return all(isinstance(numbers.get(name), float) for name in ("energy_ev", "fmax_ev_ang"))
    return False


def slurm_job_runs(job: str) -> bool:
    """Whether SLURM says that the job has processes; False where SLURM cannot be asked."""
    if not job.isdigit() or shutil.which("squeue") is None:
        return False
    command = ["squeue", "--noheader", "--format=%T", "--jobs", job]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=SQUEUE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.stdout.strip() in ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING")


def _slurm_job() -> str | None:
    return os.environ.get("SLURM_JOB_ID")


def _host() -> str:
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def _holder() -> Line:
    return {
        "host": _host(),
        "pid": os.getpid(),
        "slurm_job": _slurm_job(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
    }
