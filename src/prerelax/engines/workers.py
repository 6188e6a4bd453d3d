"""Worker processes that do tasks side by side, each of which may crash, hang or be killed alone.

Engines are run in such processes, so that none meets torch or its caller's main module, and a crash takes one
task along and not the shard. A worker is a module that calls `serving.serve`; lines of JSON go both ways.
"""

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
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from prerelax.engines import ENGINES
from prerelax.engines.processes import cause_of_death, thread_variables
from prerelax.errors import UserError
from prerelax.molecules.status import Status

POLL_S = 0.2
READY_S = 600.0
"""For a worker to import its engine, from a slow network disk as well."""
LAST_WORDS = 300

Line = dict[str, Any]
"""an object of JSON"""


@dataclass(frozen=True)
class Lost:
    """What became of a task whose worker died, or was killed for taking too long."""

    status: Status
    """`timeout`, `resource_error` or `unknown_error`"""
    message: str
    news: Line | None
    """the last that the worker told of it"""
    wall_s: float


@dataclass
class _Worker:
    process: "subprocess.Popen[bytes]"
    stderr: IO[bytes]
    ready: bool = False
    task: int | None = None
    began: float = 0.0
    news: Line | None = None
    unread: bytes = b""

    def tell(self, line: Line) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a death is noticed at its output's end
            self.process.stdin.write(json.dumps(line).encode() + b"\n")
            self.process.stdin.flush()

    def lines(self) -> list[Line] | None:
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
        return " ".join(text[-LAST_WORDS:].split())

    def seconds(self) -> float:
        """For how long it has been at its task."""
        return time.monotonic() - self.began

    def lost(self, status: Status, message: str) -> Lost:
        return Lost(status, message, self.news, self.seconds())


def _path() -> list[str]:
    """Where a worker imports from: as here, but the current folder last, where calculators may lie."""
    here = str(Path.cwd())
    others = [folder for folder in sys.path if folder not in ("", here)]
    return others if len(others) == len(sys.path) else [*others, here]


class WorkersError(UserError):
    """Worker processes that do not start; the message has their last words."""


class Workers:
    """`n_workers` processes of `threads` threads each that are started when needed; use as a context.

    `module` is what each runs, `setup` what it is told first. `timeout_s` for each task is enforced from
    outside: the worker is killed and replaced.
    """

    def __init__(
        self, module: str, setup: Line, n_workers: int = 1, threads: int = 1, timeout_s: float | None = None
    ) -> None:
        self.module = module
        self.setup = setup
        self.n_workers = n_workers
        self.threads = threads
        self.timeout_s = timeout_s
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in list(self._workers):
            self._end(worker)
        self._selector.close()

    def run(
        self,
        tasks: Sequence[Line],
        on_begin: Callable[[int], None] = lambda index: None,
        on_news: Callable[[int, Line], None] = lambda index, news: None,
    ) -> Iterator[tuple[int, Line | Lost]]:
        """Indices of `tasks` and their answers, as they come; begun in the order given.

        `on_begin` hears each index before a worker does, `on_news` what a worker tells of its task. Raises
        UserError where a worker refuses the setup, WorkersError where workers cannot start, or are not ready
        after READY_S.
        """
        waiting = deque(range(len(tasks)))
        unfinished = len(tasks)
        while unfinished:
            while len(self._workers) < min(self.n_workers, unfinished):
                self._start()
            finished = [*self._heard(on_news), *self._overdue()]
            unfinished -= len(finished)
            # Before the caller looks at the answers: workers should not wait for its disk.
            for worker in self._workers:
                if worker.ready and worker.task is None and waiting:
                    on_begin(waiting[0])
                    worker.task, worker.began, worker.news = waiting.popleft(), time.monotonic(), None
                    worker.tell(tasks[worker.task])
            yield from finished

    def _start(self) -> None:
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in _end)
        process = subprocess.Popen(
            # -P: nothing is imported from the current folder, whatever the names of the user's files.
            [sys.executable, "-P", "-m", self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=os.environ | thread_variables(self.threads),
            start_new_session=True,
        )
        worker = _Worker(process, stderr, began=time.monotonic())
        self._workers.append(worker)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        worker.tell({"engines": ENGINES, "path": _path(), "threads": self.threads, **self.setup})

    def _heard(self, on_news: Callable[[int, Line], None]) -> Iterator[tuple[int, Line | Lost]]:
        """Answers that workers have sent, and the tasks of workers that died."""
        for key, _ in self._selector.select(POLL_S):
            worker: _Worker = key.data
            lines = worker.lines()
            if lines is None:
                yield from self._buried(worker)
                continue
            for line in lines:
                match line:
                    case {"refused": message}:
                        raise UserError(message)
                    case {"ready": _}:
                        worker.ready = True
                    case {"news": news}:
                        worker.news = news
                        if worker.task is not None:
                            on_news(worker.task, news)
                    case {"answer": answer}:
                        assert worker.task is not None
                        task, worker.task = worker.task, None
                        yield task, answer

    def _buried(self, worker: _Worker) -> Iterator[tuple[int, Lost]]:
        code = worker.process.wait()
        words = worker.last_words()
        if not worker.ready:
            raise WorkersError(f"a worker did not start ({self.module}, exit status {code}): {words}")
        if worker.task is not None:
            yield worker.task, worker.lost(*cause_of_death(code, words))
        self._end(worker)

    def _overdue(self) -> Iterator[tuple[int, Lost]]:
        for worker in list(self._workers):
            if not worker.ready and worker.seconds() > READY_S:
                words = worker.last_words()
                raise WorkersError(
                    f"a worker was not ready after {READY_S:g} s ({self.module}): "
                    f"{words or 'it said nothing'}; the disk that Python lies on may hang"
                )
            if self.timeout_s is not None and worker.task is not None and worker.seconds() > self.timeout_s:
                yield worker.task, worker.lost("timeout", f"stopped at the limit of {self.timeout_s:g} s")
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
