"""Worker processes that relax molecules side by side, each of which may crash, hang or be killed alone."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from prerelax.errors import UserError
from prerelax.molecules.status import Status
from prerelax.records.shard import Record
from prerelax.relaxation.molecule import Relaxation, RelaxationResult
from prerelax.relaxation.worker import result_from_line, setup_line

POLL_S = 0.2
STDERR_TAIL = 300


@dataclass
class _Worker:
    process: "subprocess.Popen[bytes]"
    stderr: IO[bytes]
    ready: bool = False
    task: int | None = None
    began: float = 0.0
    last: dict[str, Any] | None = None
    """the last evaluation it told of"""
    unread: bytes = b""

    def tell(self, line: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a death is noticed at its output's end
            self.process.stdin.write(json.dumps(line).encode() + b"\n")
            self.process.stdin.flush()

    def lines(self) -> list[dict[str, Any]] | None:
        """Whole lines that have come; None at the end of the output, i.e. when the worker is gone."""
        assert self.process.stdout is not None
        chunk = os.read(self.process.stdout.fileno(), 1 << 20)
        if not chunk:
            return None
        *whole, self.unread = (self.unread + chunk).split(b"\n")
        return [json.loads(line) for line in whole]

    def last_words(self) -> str:
        self.stderr.seek(0)
        text = self.stderr.read().decode(errors="replace").strip()
        return " ".join(text[-STDERR_TAIL:].split())


@dataclass
class WorkerPool:
    """Relaxes molecules in `n_workers` processes of `threads` threads each; use as a context.

    `timeout_s` is enforced from outside: the worker is killed and replaced. `keep_paths` makes results bring
    every evaluation along.
    """

    relaxation: Relaxation
    n_workers: int = 1
    threads: int = 1
    timeout_s: float | None = None
    keep_paths: bool = False
    _workers: list[_Worker] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in list(self._workers):
            self._end(worker)
        self._selector.close()

    def relax(
        self, molecules: Sequence[Record], on_begin: Callable[[int], None] = lambda index: None
    ) -> Iterator[tuple[int, RelaxationResult]]:
        """Indices of `molecules` and their results, as they finish; begun in the order given.

        `on_begin` hears each index before a worker does. Raises UserError where the engine refuses the level,
        RuntimeError where workers cannot start.
        """
        waiting = deque(range(len(molecules)))
        unfinished = len(molecules)
        while unfinished:
            while len(self._workers) < min(self.n_workers, unfinished):
                self._start()
            finished = [*self._heard(), *self._overdue()]
            unfinished -= len(finished)
            # Before the caller looks at the results: workers should not wait for its disk.
            for worker in self._workers:
                if worker.ready and worker.task is None and waiting:
                    on_begin(waiting[0])
                    self._give(worker, waiting.popleft(), molecules)
            yield from finished

    def _start(self) -> None:
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in _end)
        process = subprocess.Popen(
            [sys.executable, "-m", "prerelax.relaxation.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=os.environ | thread_variables(self.threads),
            start_new_session=True,
        )
        worker = _Worker(process, stderr)
        self._workers.append(worker)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        worker.tell(setup_line(self.relaxation, self.threads))

    def _give(self, worker: _Worker, task: int, molecules: Sequence[Record]) -> None:
        molecule = molecules[task]
        worker.task, worker.began, worker.last = task, time.monotonic(), None
        worker.tell(
            {
                "numbers": molecule.numbers.tolist(),
                "positions": molecule.positions.tolist(),
                "charge": molecule.charge,
                "multiplicity": molecule.multiplicity,
                "keep_path": self.keep_paths,
            }
        )

    def _heard(self) -> Iterator[tuple[int, RelaxationResult]]:
        """Results that workers have sent, and those of workers that died."""
        for key, _ in self._selector.select(POLL_S):
            worker: _Worker = key.data
            lines = worker.lines()
            if lines is None:
                yield from self._buried(worker)
                continue
            for line in lines:
                match line["kind"]:
                    case "refused":
                        raise UserError(line["message"])
                    case "ready":
                        worker.ready = True
                    case "evaluation":
                        worker.last = line
                    case "result":
                        assert worker.task is not None
                        task, worker.task = worker.task, None
                        yield task, result_from_line(line["result"])

    def _buried(self, worker: _Worker) -> Iterator[tuple[int, RelaxationResult]]:
        code = worker.process.wait()
        task, words = worker.task, worker.last_words()
        if not worker.ready:
            raise RuntimeError(f"a relaxation worker did not start (exit status {code}): {words}")
        if task is not None:
            status, message = cause_of_death(code, words)
            yield task, _unfinished(worker, status, message)
        self._end(worker)

    def _overdue(self) -> Iterator[tuple[int, RelaxationResult]]:
        if self.timeout_s is None:
            return
        for worker in list(self._workers):
            if worker.task is not None and time.monotonic() - worker.began > self.timeout_s:
                done = f"after {worker.last['n_gradients']} gradients, " if worker.last else ""
                message = (
                    f"stopped {done}at the limit of {self.timeout_s:g} s; give it more time or a better start"
                )
                yield worker.task, _unfinished(worker, "timeout", message)
                self._end(worker)

    def _end(self, worker: _Worker) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
        assert worker.process.stdout is not None and worker.process.stdin is not None
        self._selector.unregister(worker.process.stdout)
        worker.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.close()
        worker.stderr.close()
        self._workers.remove(worker)


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables that give a process so many threads."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    # Waiting threads that spin slow each other down where cores are shared (PySCF: 5.6 s instead of 2.1 s).
    return counts | {"OMP_WAIT_POLICY": "passive", "OMP_MAX_ACTIVE_LEVELS": "1"}


def cause_of_death(code: int, words: str) -> tuple[Status, str]:
    """Status and message of a worker that ended with exit status `code` and these last words."""
    if code == -signal.SIGKILL:
        return (
            "resource_error",
            "the engine was killed from outside, most likely for its memory; give the job more",
        )
    name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    return "unknown_error", f"the engine died ({name}){': ' + words if words else ''}"


def _unfinished(worker: _Worker, status: Status, message: str) -> RelaxationResult:
    """What is known of a molecule whose worker is gone: the last evaluation it told of."""
    last = worker.last
    return RelaxationResult(
        status=status,
        message=message,
        positions=None if last is None else np.array(last["positions"], dtype=float),
        n_gradients=0 if last is None else last["n_gradients"],
        energy_ev=None if last is None else last["energy_ev"],
        fmax_ev_ang=None if last is None else last["fmax_ev_ang"],
        wall_s=time.monotonic() - worker.began,
    )
