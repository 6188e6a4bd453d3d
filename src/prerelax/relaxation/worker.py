"""A worker process that relaxes one molecule after the other (`engines.workers`), and results as JSON.

Of the molecule in hand it tells evaluations now and then: what is known of it if it has to be killed.
"""

import contextlib
import time
import typing
from collections.abc import Callable
from functools import partial

import numpy as np

from prerelax.engines import Level, validate_level
from prerelax.engines.serving import Line, Tell, serve
from prerelax.molecules.status import STATUSES
from prerelax.relaxation.molecule import RelaxationResult, relax_molecule
from prerelax.relaxation.optimizers import OPTIMIZERS, Evaluation, Watch, validate_optimizer
from prerelax.relaxation.settings import Relaxation

EVALUATION_INTERVAL_S = 0.5
"""Evaluations that follow faster are not told."""
KEPT_S = 1.0
"""Gradients that took longer are told whole, so that a job after this one need not compute them again."""


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
    path = [_evaluation_from(each) for each in line.get("path", [])]
    positions = None if line["positions"] is None else np.array(line["positions"], dtype=float)
    hessian = None if line.get("hessian") is None else np.array(line["hessian"], dtype=float)
    return RelaxationResult(**{**line, "positions": positions, "path": path, "hessian": hessian})


def kept_result(line: Line | None, n_atoms: int) -> RelaxationResult | None:
    """A result that a journal kept for a molecule of `n_atoms`; None where its line holds none that fits."""
    if line is None:
        return None
    try:
        _check_kinds(line)
        result = result_from_line(line)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    shapes = [result.positions, *(each for e in result.path for each in (e.positions, e.forces))]
    fits = all(each is None or each.shape == (n_atoms, 3) for each in shapes)
    return result if fits else None


def _check_kinds(line: Line) -> None:
    """Raise TypeError where a field of a result is of another kind than it must be."""
    hints = typing.get_type_hints(RelaxationResult)
    for name, value in line.items():
        kinds = typing.get_args(hints[name]) or (hints[name],)
        is_plain = all(kind in _PLAIN for kind in kinds)
        if is_plain and not isinstance(value, (*kinds, int) if float in kinds else kinds):
            raise TypeError(name)
    if line["status"] not in STATUSES or not isinstance(line["wall_s"], float | int):
        raise TypeError("status")


_PLAIN = (bool, int, float, str, type(None))


def _evaluation_line(evaluation: Evaluation) -> Line:
    return {
        "positions": evaluation.positions.tolist(),
        "energy_ev": evaluation.energy_ev,
        "forces": evaluation.forces.tolist(),
        "wall_s": evaluation.wall_s,
    }


def _evaluation_from(line: Line) -> Evaluation:
    forces = np.array(line["forces"], dtype=float)
    return Evaluation(
        np.array(line["positions"], dtype=float), line["energy_ev"], forces, line.get("wall_s", 0.0)
    )


def _known(task: Line) -> list[Evaluation]:
    """What a job before computed; what does not fit the molecule is computed again."""
    found = []
    for line in task.get("known", []):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            found.append(_evaluation_from(line))
    shape = len(task["numbers"]), 3
    return [each for each in found if each.positions.shape == each.forces.shape == shape]


class _Report:
    """Tells of evaluations now and then, and whole of those that took long."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.last = time.monotonic()
        self.news: Line = {}

    def evaluated(self, n_gradients: int, evaluation: Evaluation) -> None:
        self.news = {
            "n_gradients": n_gradients,
            "fmax_ev_ang": evaluation.fmax_ev_ang,
            "energy_ev": evaluation.energy_ev,
            "positions": evaluation.positions.tolist(),
        }
        if n_gradients == 1 or time.monotonic() - self.last >= EVALUATION_INTERVAL_S:
            self.last = time.monotonic()
            self.tell(self.news)

    def computed(self, evaluation: Evaluation) -> None:
        if evaluation.wall_s >= KEPT_S:
            self.tell({**self.news, "computed": _evaluation_line(evaluation)})


def _prepare(setup: Line) -> Callable[[Line, Tell], Line]:
    OPTIMIZERS.update(setup["optimizers"])
    relaxation = Relaxation.model_validate(setup["relaxation"])
    validate_level(relaxation.level)
    if isinstance(relaxation.cheap_level, Level):
        validate_level(relaxation.cheap_level)
    validate_optimizer(relaxation.chosen_optimizer)
    return partial(_relax, relaxation, setup["threads"], setup["keep_paths"])


def _relax(relaxation: Relaxation, threads: int, keep_path: bool, task: Line, tell: Tell) -> Line:
    report = _Report(tell)
    known = _known(task)
    result = relax_molecule(
        np.array(task["numbers"], dtype=int),
        np.array(task["positions"], dtype=float).reshape(-1, 3),
        task["charge"],
        task["multiplicity"],
        relaxation,
        threads=threads,
        watch=Watch(report.evaluated, report.computed, known),
        constraints=task.get("constraints"),
    )
    return result_line(result, keep_path)


if __name__ == "__main__":
    serve(_prepare)
