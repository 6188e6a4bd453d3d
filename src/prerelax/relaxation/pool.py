"""Relaxations side by side in worker processes."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from prerelax.engines import Level
from prerelax.engines.honesty import check_honest
from prerelax.engines.workers import Line, Lost, Workers
from prerelax.records.record import Record
from prerelax.relaxation.molecule import RelaxationResult
from prerelax.relaxation.optimizers import OPTIMIZERS
from prerelax.relaxation.progress import print_unless_terminal
from prerelax.relaxation.settings import Relaxation, Resources
from prerelax.relaxation.worker import result_from_line


class WorkerPool:
    """Relaxes molecules side by side in processes of their own; use as a context.

    The relaxation's time limit is enforced from outside: the worker is killed and replaced. `keep_paths`
    makes results bring every evaluation along.
    """

    def __init__(
        self, relaxation: Relaxation, resources: Resources | None = None, keep_paths: bool = False
    ) -> None:
        self.keep_paths = keep_paths
        said = relaxation.model_dump(mode="json")
        setup = {"relaxation": said, "optimizers": OPTIMIZERS, "keep_paths": keep_paths}
        workers, threads = (resources.workers, resources.threads) if resources else (1, 1)
        self._threads = threads
        self._levels = [relaxation.level]
        if isinstance(relaxation.cheap_level, Level):
            self._levels.append(relaxation.cheap_level)
        self._workers = Workers("prerelax.relaxation.worker", setup, workers, threads, relaxation.timeout_s)

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *exception: object) -> None:
        self._workers.__exit__(*exception)

    def relax(
        self,
        molecules: Sequence[Record],
        on_begin: Callable[[int], None] = lambda index: None,
        on_news: Callable[[int, Line], None] = lambda index, news: None,
        known: Sequence[Sequence[Line]] = (),
    ) -> Iterator[tuple[int, RelaxationResult]]:
        """Indices of `molecules` and their results, as they finish; begun in the order given.

        `on_begin` hears each index before a worker does, `on_news` of evaluations on the way. `known`
        are gradients of each that a job before computed (`Journal.gradients`). Raises
        UserError where the engine refuses the level or fails its trials, WorkersError where workers cannot
        start.
        """
        for level in self._levels if molecules else ():
            check_honest(level, self._threads, print_unless_terminal)
        tasks = [
            {
                "numbers": molecule.numbers.tolist(),
                "positions": molecule.positions.tolist(),
                "charge": molecule.charge,
                "multiplicity": molecule.multiplicity,
                "constraints": molecule.constraints,
                "known": list(gradients),
            }
            for molecule, gradients in zip(molecules, known or [()] * len(molecules), strict=True)
        ]
        for index, answer in self._workers.run(tasks, on_begin, on_news):
            yield index, _unfinished(answer) if isinstance(answer, Lost) else result_from_line(answer)


def _unfinished(lost: Lost) -> RelaxationResult:
    """What is known of a molecule whose worker is gone: the last evaluation it told of."""
    last, message = lost.news, lost.message
    if lost.status == "timeout":
        done = f", after {last['n_gradients']} gradients" if last else ""
        message = f"{message}{done}; give it more time or a better start"
    return RelaxationResult(
        status=lost.status,
        message=message,
        positions=None if last is None else np.array(last["positions"], dtype=float),
        n_gradients=0 if last is None else last["n_gradients"],
        energy_ev=None if last is None else last["energy_ev"],
        fmax_ev_ang=None if last is None else last["fmax_ev_ang"],
        wall_s=lost.wall_s,
    )
