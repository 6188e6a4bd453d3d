"""A worker process: relaxes one molecule after the other, told by JSON lines and answering with JSON lines.

Started as `python -m prerelax.relaxation.worker`, so that a QM engine never meets torch or the caller's main
module, and so that a crash of the engine takes one molecule along and not the shard. Lines in: the setup,
then molecules. Lines out: `ready` or `refused`, then for each molecule some `evaluation`s and a `result`.
"""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TextIO

import numpy as np

from prerelax.engines import ENGINES, Level, validate_level
from prerelax.relaxation.molecule import Relaxation, RelaxationResult, relax_molecule
from prerelax.relaxation.optimizers import OPTIMIZERS, Evaluation, validate_optimizer

EVALUATION_INTERVAL_S = 0.5
"""Evaluations that follow faster are not told: what is known of a molecule that has to be killed."""


def setup_line(relaxation: Relaxation, threads: int) -> dict[str, Any]:
    """The first line for a worker: how to relax, and the registries as they are in this process."""
    return {
        "relaxation": asdict(relaxation),
        "threads": threads,
        "engines": ENGINES,
        "optimizers": OPTIMIZERS,
        "path": sys.path,
    }


def result_line(result: RelaxationResult, keep_path: bool) -> dict[str, Any]:
    """A result as JSON; floats keep every digit. Path and Hessian are long and left out unless asked for."""
    long = ("positions", "path", "hessian")
    line = {name: value for name, value in vars(result).items() if name not in long}
    line["positions"] = None if result.positions is None else result.positions.tolist()
    if keep_path:
        line["path"] = [_evaluation_line(evaluation) for evaluation in result.path]
        line["hessian"] = None if result.hessian is None else result.hessian.tolist()
    return line


def result_from_line(line: dict[str, Any]) -> RelaxationResult:
    """The RelaxationResult behind a line that `result_line` made."""
    path = [
        Evaluation(np.array(e["positions"]), e["energy_ev"], np.array(e["forces"]))
        for e in line.get("path", [])
    ]
    positions = None if line["positions"] is None else np.array(line["positions"], dtype=float)
    hessian = None if line.get("hessian") is None else np.array(line["hessian"], dtype=float)
    return RelaxationResult(**{**line, "positions": positions, "path": path, "hessian": hessian})


def _evaluation_line(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "positions": evaluation.positions.tolist(),
        "energy_ev": evaluation.energy_ev,
        "forces": evaluation.forces.tolist(),
    }


class _EvaluationReport:
    """Tells the parent of evaluations now and then."""

    def __init__(self, answer: Callable[[dict[str, Any]], None]) -> None:
        self.answer = answer
        self.last = time.monotonic()

    def __call__(self, n_gradients: int, evaluation: Evaluation) -> None:
        if n_gradients > 1 and time.monotonic() - self.last < EVALUATION_INTERVAL_S:
            return
        self.last = time.monotonic()
        self.answer(
            {
                "kind": "evaluation",
                "n_gradients": n_gradients,
                "fmax_ev_ang": evaluation.fmax_ev_ang,
                "energy_ev": evaluation.energy_ev,
                "positions": evaluation.positions.tolist(),
            }
        )


def main() -> None:
    """Serve until standard input ends; that end, i.e. the parent's death, stops a running molecule too."""
    out = _private_output()

    def answer(line: dict[str, Any]) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    setup = json.loads(sys.stdin.readline())
    sys.path[:] = setup["path"]
    ENGINES.update(setup["engines"])
    OPTIMIZERS.update(setup["optimizers"])
    level = Level(**setup["relaxation"].pop("level"))
    relaxation = Relaxation(level=level, **setup["relaxation"])
    try:
        validate_level(level)
        validate_optimizer(relaxation.optimizer)
    except ValueError as error:
        answer({"kind": "refused", "message": str(error)})
        return
    except ImportError as error:
        answer({"kind": "refused", "message": f"the engine {level.engine} is not installed here ({error})"})
        return
    answer({"kind": "ready"})
    for task in _tasks():
        result = relax_molecule(
            np.array(task["numbers"], dtype=int),
            np.array(task["positions"], dtype=float).reshape(-1, 3),
            task["charge"],
            task["multiplicity"],
            relaxation,
            threads=setup["threads"],
            on_evaluation=_EvaluationReport(answer),
        )
        answer({"kind": "result", "result": result_line(result, task["keep_path"])})


def _private_output() -> TextIO:
    """Standard output for the answers alone: what engines print goes to standard error."""
    private = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return private


def _tasks() -> Any:
    """Tasks as they come, read by a thread, so that the parent's death is noticed during a long molecule."""
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


if __name__ == "__main__":
    main()
