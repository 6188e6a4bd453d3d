"""The other end of `workers`: what runs in a worker process."""

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from prerelax.engines import ENGINES

Line = dict[str, Any]
"""an object of JSON"""
Tell = Callable[[Line], None]
"""takes news of the task in hand"""


def serve(prepare: Callable[[Line], Callable[[Line, Tell], Line]]) -> None:
    """Do tasks until standard input ends; that end, i.e. the parent's death, stops a running task too.

    `prepare` takes the setup, the first line in, and returns what does a task: it takes the task and whom to
    tell of it, and returns the answer. A ValueError of `prepare` refuses the setup.
    """
    out = _private_output()

    def send(line: Line) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    setup = json.loads(sys.stdin.readline())
    sys.path[:] = setup["path"]
    ENGINES.update(setup["engines"])
    try:
        do = prepare(setup)
    except ValueError as error:
        send({"refused": str(error)})
        return
    send({"ready": True})
    for task in _tasks():
        send({"answer": do(task, lambda news: send({"news": news}))})


def _private_output() -> TextIO:
    """Standard output for the answers alone: what engines print goes to standard error."""
    private = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return private


def _tasks() -> Iterator[Line]:
    """Tasks as they come, read by a thread, so that the parent's death is noticed during a long one."""
    waiting: queue.SimpleQueue[Line] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()
