"""A running calculator's process, and those that a process of prerelax keeps alive between molecules."""

import atexit
import contextlib
import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prerelax.engines.ase.server import kill_all, started_by
from prerelax.engines.failures import EngineError, failure_said
from prerelax.engines.processes import cause_of_death, thread_variables

Line = dict[str, Any]
"""an object of JSON"""

SERVER = Path(__file__).with_name("server.py")
START_LIMIT_S = 600.0
"""For an interpreter to import its packages and load a model, from a slow network disk as well."""
LAST_WORDS = 300
KEPT_BYTES = 1_000_000
"""of what a calculator prints, so that one of thousands of molecules does not fill the disk"""


class CalculatorProcess:
    """A process that `server` runs in, with a process group of its own; `close` ends it with all it started.

    `setup` is the server's first line, `python` its interpreter. Raises EngineError where it does not start.
    """

    def __init__(
        self, name: str, setup: Mapping[str, object], python: str, environment: dict[str, str], threads: int
    ) -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
        fcntl.fcntl(self._stderr, fcntl.F_SETFL, os.O_APPEND)  # it may be cut while the process writes
        try:
            self._process = subprocess.Popen(
                [python, "-P", str(SERVER)],  # -P: nothing is imported from the folder of the server
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=os.environ | thread_variables(threads) | environment,
                start_new_session=True,
            )
        except OSError as error:
            self._stderr.close()
            raise EngineError("unknown_error", f"{name}: {python} cannot be run ({error.strerror})") from None
        assert self._process.stdout is not None
        self._unread = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self.ask(setup, START_LIMIT_S)

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None and not self._stderr.closed

    def ask(self, line: Mapping[str, object], limit_s: float) -> Line:
        """The answer. Raises EngineError where the calculator reports a failure, dies, or takes too long.

        It is ended by a death and by the limit, and answers again after a mere failure.
        """
        assert self._process.stdin is not None
        if os.fstat(self._stderr.fileno()).st_size > KEPT_BYTES:
            self._stderr.truncate(0)
        with contextlib.suppress(BrokenPipeError):  # a death is noticed at its output's end
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        text = self._line(time.monotonic() + limit_s)
        if text is None:
            self.close()
            raise EngineError("timeout", f"{self.name} gave no answer in {limit_s:g} s and was stopped")
        if not text:
            raise self._death()
        answer: Line = json.loads(text)
        if "failure" in answer:
            raise failure_said(self.name, answer["failure"], answer["message"], answer["output"])
        return answer

    def _line(self, until: float) -> bytes | None:
        """A line of its output; empty at the end, None where it does not come in time."""
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            left = until - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                return None
            chunk = os.read(self._process.stdout.fileno(), 1 << 20)
            if not chunk:
                return b""
            self._unread += chunk
        line, self._unread = self._unread.split(b"\n", 1)
        return line

    def _death(self) -> EngineError:
        code = self._process.wait()
        self._stderr.seek(max(0, os.fstat(self._stderr.fileno()).st_size - KEPT_BYTES))
        text = self._stderr.read().decode(errors="replace")
        self.close()
        words = " ".join(text[-LAST_WORDS:].split())
        return EngineError(*cause_of_death(code, words, self.name), output=text[-3000:])

    def close(self) -> None:
        """End it, and every program that it started."""
        if self._stderr.closed:
            return
        others = started_by(self._process.pid) if self._process.poll() is None else []
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        kill_all(others)
        self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()
        self._stderr.close()


_KEPT: dict[str, CalculatorProcess] = {}
"""By everything that they were started with."""


def kept_process(
    name: str, setup: Mapping[str, object], python: str | None, environment: dict[str, str], threads: int
) -> CalculatorProcess:
    """A process with this setup: the one that ran before where it still does. Raises EngineError."""
    python = python or sys.executable
    key = json.dumps([setup, python, dict(environment), threads, os.getpid()], sort_keys=True)
    kept = _KEPT.get(key)
    if kept is None or not kept.is_alive:
        _KEPT[key] = kept = CalculatorProcess(name, setup, python, environment, threads)
    return kept


@atexit.register
def _end_all() -> None:
    for process in _KEPT.values():
        process.close()
