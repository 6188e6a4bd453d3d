"""A worker process that relaxes one molecule after the other (`engines.workers`), and results as JSON.

Of the molecule in hand it tells evaluations now and then: what is known of it if it has to be killed.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from prerelax.engines import validate_level
from prerelax.engines.serving import Line, Tell, serve
from prerelax.relaxation.molecule import RelaxationResult, relax_molecule
from prerelax.relaxation.optimizers import OPTIMIZERS, Evaluation, validate_optimizer
from prerelax.relaxation.settings import Relaxation

EVALUATION_INTERVAL_S = 0.5
"""Evaluations that follow faster are not told."""


def result_line(result: RelaxationResult, keep_path: bool) -> Line:
    """A result as JSON; floats keep every digit. Path and Hessian are long and left out unless asked for."""
    long = ("positions", "path", "hessian")
    line = {name: value for name, value in vars(result).items() if name not in long}
    line["positions"] = None if result.positions is None else result.positions.tolist()
    if keep_path:
        line["path"] = [_evaluation_line(evaluation) for evaluation in result.path]
        line["hessian"] = None if result.hessian is None else result.hessian.tolist()
    return line


def result_from_line(line: Line) -> RelaxationResult:
    """The RelaxationResult behind a line that `result_line` made."""
    path = [
        Evaluation(np.array(e["positions"]), e["energy_ev"], np.array(e["forces"]))
        for e in line.get("path", [])
    ]
    positions = None if line["positions"] is None else np.array(line["positions"], dtype=float)
    hessian = None if line.get("hessian") is None else np.array(line["hessian"], dtype=float)
    return RelaxationResult(**{**line, "positions": positions, "path": path, "hessian": hessian})


def _evaluation_line(evaluation: Evaluation) -> Line:
    return {
        "positions": evaluation.positions.tolist(),
        "energy_ev": evaluation.energy_ev,
        "forces": evaluation.forces.tolist(),
    }


class _EvaluationReport:
    """Tells of evaluations now and then."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.last = time.monotonic()

    def __call__(self, n_gradients: int, evaluation: Evaluation) -> None:
        if n_gradients > 1 and time.monotonic() - self.last < EVALUATION_INTERVAL_S:
            return
        self.last = time.monotonic()
        self.tell(
            {
                "n_gradients": n_gradients,
                "fmax_ev_ang": evaluation.fmax_ev_ang,
                "energy_ev": evaluation.energy_ev,
                "positions": evaluation.positions.tolist(),
            }
        )


def _prepare(setup: Line) -> Callable[[Line, Tell], Line]:
    OPTIMIZERS.update(setup["optimizers"])
    relaxation = Relaxation.model_validate(setup["relaxation"])
    validate_level(relaxation.level)
    validate_optimizer(relaxation.chosen_optimizer)
    return partial(_relax, relaxation, setup["threads"], setup["keep_paths"])


def _relax(relaxation: Relaxation, threads: int, keep_path: bool, task: Line, tell: Tell) -> Line:
    result = relax_molecule(
        np.array(task["numbers"], dtype=int),
        np.array(task["positions"], dtype=float).reshape(-1, 3),
        task["charge"],
        task["multiplicity"],
        relaxation,
        threads=threads,
        on_evaluation=_EvaluationReport(tell),
    )
    return result_line(result, keep_path)


if __name__ == "__main__":
    serve(_prepare)
