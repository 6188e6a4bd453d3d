"""MoreRed's samplers (Kahouli et al., MLST 2024, 5, 035038): relaxation that predicts how far it has to go.

- `jt`: one network predicts the time and the noise; the time is predicted again at every step
- `as`: a time network at every step, and a noise network that is told the time
- `itp`: the time network once, then the steps are counted down
- `ddpm`: counted down from a given step, for all molecules the same

A joint network serves `itp` and `ddpm` as well, so that schedules can be compared with one network: its noise
head is given the time that it predicts, while the schedule's step is counted down.

Molecules are swapped in flight: a molecule that has converged leaves the batch and the next one enters. Its
result depends on its own noise alone, not on its batch mates (apart from the order of float32 sums).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prerelax.denoisers.checkpoint import LoadedModel, load_model
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion.noise import NoiseStream
from prerelax.diffusion.options import MORERED_SAMPLERS
from prerelax.errors import UserError
from prerelax.molecules.status import Status
from prerelax.networks.batch import Batch, centred, make_batch, molecule_sums
from prerelax.networks.morered import JointNetwork, NoiseNetwork, TimeNetwork, molecule_time
from prerelax.networks.network import Network

MAX_ITERATIONS = 1000
"""The paper's limit for relaxations; 2000 for generation."""
MAX_PAIRS_IN_FLIGHT = 4_000_000
"""Large molecules wait when the batch holds that many atom pairs, whatever `batch_size` says."""


@dataclass(frozen=True)
class Molecule:
    """One input of `relax`."""

    numbers: NDArray[np.integer]
    """[n_atoms] atomic numbers"""
    positions: NDArray[np.floating]
    """[n_atoms, 3] Å"""
    topological_distance: NDArray[np.uint8] | None = None
    """[n_atoms, n_atoms], for networks with a bond graph"""


@dataclass(frozen=True)
class Relaxed:
    """One output of `relax`."""

    positions: NDArray[np.float64]
    """[n_atoms, 3] Å, the last finite ones, in the frame of the input"""
    status: Status
    """ok, not_converged, unsupported_element, input_error or unknown_error"""
    message: str
    steps: list[int]
    """the step of every iteration, -1 where the prediction failed; as many as there were iterations"""
    trajectory: list[NDArray[np.floating]] = field(default_factory=list)
    """float32 [n_atoms, 3] Å before every iteration, centred, where asked for"""


@dataclass(frozen=True)
class Limits:
    """When a molecule leaves the batch, and how many are in it. Raises UserError for limits below 1."""

    max_iterations: int = MAX_ITERATIONS
    convergence_step: int = 0
    """a molecule has converged when its step is this one or an earlier one"""
    batch_size: int = 128

    def __post_init__(self) -> None:
        if self.max_iterations < 1 or self.batch_size < 1:
            raise UserError("max_iterations and batch_size must be at least 1")


class Sampler:
    """How a sampler finds the step of each molecule and the noise in it."""

    schedule: MoreRedSchedule
    elements: tuple[int, ...]

    def first_step(self, batch: Batch) -> Tensor | None:
        """Step [n_molecules] from which entering molecules count down; None where steps are predicted."""
        return None

    def predict(self, batch: Batch, countdown: Tensor) -> tuple[Tensor, Tensor]:
        """Step [n_molecules] and noise [n_atoms_total, 3]; `countdown` is first step - iteration, or zero."""
        raise NotImplementedError

    def n_calls(self, n_iterations: int) -> int:
        """Network calls in this number of iterations of one molecule."""
        return n_iterations


class JointSampler(Sampler):
    """JT"""

    def __init__(self, network: JointNetwork, schedule: MoreRedSchedule) -> None:
        self.network, self.schedule, self.elements = network, schedule, network.elements

    def predict(self, batch: Batch, countdown: Tensor) -> tuple[Tensor, Tensor]:
        noise, atom_times = self.network.noise_and_atom_times(batch)
        return self.schedule.nearest_step(molecule_time(atom_times, batch)), noise


class AdaptiveSampler(Sampler):
    """AS"""

    def __init__(self, noise: NoiseNetwork, time: TimeNetwork, schedule: MoreRedSchedule) -> None:
        self.noise, self.time, self.schedule = noise, time, schedule
        self.elements = tuple(z for z in noise.elements if z in time.elements)

    def predict(self, batch: Batch, countdown: Tensor) -> tuple[Tensor, Tensor]:
        step = self.schedule.nearest_step(self.time(batch))
        return step, self.noise(batch, self.schedule.time(step))

    def n_calls(self, n_iterations: int) -> int:
        return 2 * n_iterations


class InitialTimeSampler(AdaptiveSampler):
    """ITP"""

    def first_step(self, batch: Batch) -> Tensor:
        return self.schedule.nearest_step(self.time(batch))

    def predict(self, batch: Batch, countdown: Tensor) -> tuple[Tensor, Tensor]:
        return countdown, self.noise(batch, self.schedule.time(countdown))

    def n_calls(self, n_iterations: int) -> int:
        return n_iterations + 1


class JointInitialTimeSampler(JointSampler):
    """ITP with a joint network: the first call's step, counted down."""

    def first_step(self, batch: Batch) -> Tensor:
        _, atom_times = self.network.noise_and_atom_times(batch)
        return self.schedule.nearest_step(molecule_time(atom_times, batch))

    def predict(self, batch: Batch, countdown: Tensor) -> tuple[Tensor, Tensor]:
        noise, _ = self.network.noise_and_atom_times(batch)
        return countdown, noise

    def n_calls(self, n_iterations: int) -> int:
        return n_iterations + 1


class CountdownSampler(Sampler):
    """DDPM: the last `n_steps` steps, whatever the geometry. Raises UserError outside 1…T."""

    def __init__(self, network: NoiseNetwork | JointNetwork, schedule: MoreRedSchedule, n_steps: int) -> None:
        if not 1 <= n_steps <= schedule.timesteps:
            raise UserError(f"the number of steps must lie in 1…{schedule.timesteps}, not {n_steps}")
        self.network, self.schedule, self.elements = network, schedule, network.elements
        self.n_steps = n_steps

    def first_step(self, batch: Batch) -> Tensor:
        return torch.full_like(batch.n_atoms, self.n_steps - 1)

    def predict(self, batch: Batch, countdown: Tensor) -> tuple[Tensor, Tensor]:
        return countdown, self.network(batch, self.schedule.time(countdown))


def make_sampler(
    name: str,
    network: Network,
    schedule: MoreRedSchedule,
    time_network: Network | None = None,
    n_steps: int | None = None,
) -> Sampler:
    """The sampler of a name in MORERED_SAMPLERS. Raises UserError where the networks do not serve it."""
    if name == "jt":
        if not isinstance(network, JointNetwork):
            raise UserError("sampler jt needs a joint model (morered-joint)")
        return JointSampler(network, schedule)
    if name not in MORERED_SAMPLERS:
        raise UserError(f"unknown MoreRed sampler {name!r}; known: {', '.join(MORERED_SAMPLERS)}")
    if name == "ddpm" and isinstance(network, NoiseNetwork | JointNetwork):
        if n_steps is None:
            raise UserError("sampler ddpm needs the number of steps")
        return CountdownSampler(network, schedule, n_steps)
    if name == "itp" and isinstance(network, JointNetwork):
        return JointInitialTimeSampler(network, schedule)
    if not isinstance(network, NoiseNetwork):
        raise UserError(f"sampler {name} needs a noise model (morered-noise)")
    if not isinstance(time_network, TimeNetwork):
        raise UserError(f"sampler {name} needs a time model (morered-time) beside the noise model")
    kind = AdaptiveSampler if name == "as" else InitialTimeSampler
    return kind(network, time_network, schedule)


def sampler_of(
    model: LoadedModel,
    name: str | None = None,
    n_steps: int | None = None,
    time_model: str | Path | None = None,
) -> Sampler:
    """The sampler `name` (default: the model's own) of a model folder.

    The time network of `as` and `itp` is `time_model`, or the model in the folder `time` inside the noise
    model's. Raises UserError where the model does not serve the sampler or the time model is missing.
    """
    defaults = model.sampler_defaults
    name = name or str(defaults.get("name", "jt"))
    schedule = model.morered_schedule
    time_network = None
    if name in ("as", "itp") and isinstance(model.network, NoiseNetwork):
        if time_model is None and model.folder is None:
            raise UserError(f"{model.name} has no folder in which its time model could lie")
        device = next(model.network.parameters()).device
        beside = time_model if model.folder is None else time_model or model.folder / "time"
        assert beside is not None
        time_network = load_model(beside, device).network
    steps = n_steps if n_steps is not None else defaults.get("steps")
    return make_sampler(name, model.network, schedule, time_network, steps)


@torch.no_grad()
def relax(
    molecules: Sequence[Molecule],
    sampler: Sampler,
    noise: NoiseStream,
    limits: Limits | None = None,
    *,
    rows: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
    keep_trajectory: bool = False,
    when_done: Callable[[int, Relaxed], None] | None = None,
) -> list[Relaxed]:
    """Denoise molecules until they converge, in the order of the input.

    `noise` names molecules by `rows`, by default their places; what it gives is centred here. A molecule that
    does not converge within the limits is returned with status `not_converged`; one whose prediction is not
    finite keeps its last geometry with status `unknown_error`; neither disturbs the others. `when_done` is
    called with index and result as molecules leave.
    """
    limits = limits or Limits()
    results: dict[int, Relaxed] = {}

    def finish(index: int, result: Relaxed) -> None:
        results[index] = result
        if when_done is not None:
            when_done(index, result)

    waiting: deque[int] = deque()
    for index, molecule in enumerate(molecules):
        refusal = _refusal(molecule, sampler)
        if refusal is None:
            waiting.append(index)
        else:
            finish(index, refusal)

    names = range(len(molecules)) if rows is None else rows
    flight = _Flight(molecules, names, sampler, noise, device, keep_trajectory)
    while waiting or flight.passengers:
        flight.board(waiting, limits.batch_size)
        flight.move()
        for index, result in flight.leave(limits):
            finish(index, result)
    return [results[i] for i in range(len(molecules))]


def _refusal(molecule: Molecule, sampler: Sampler) -> Relaxed | None:
    """The result of a molecule that cannot be treated, None for one that can."""
    positions = np.asarray(molecule.positions, dtype=np.float64)
    unknown = sorted({int(z) for z in molecule.numbers} - set(sampler.elements))
    if unknown:
        message = f"the model was not trained on atomic numbers {unknown}; it knows {list(sampler.elements)}"
        return Relaxed(positions, "unsupported_element", message, [])
    if len(positions) == 0 or not np.isfinite(positions).all():
        return Relaxed(
            positions, "input_error", "the geometry is empty or has coordinates that are not finite", []
        )
    return None


@dataclass
class _Passenger:
    """A molecule in flight."""

    index: int
    molecule: Molecule
    centroid: NDArray[np.float64]
    first_step: int
    steps: list[int] = field(default_factory=list)
    trajectory: list[NDArray[np.floating]] = field(default_factory=list)


class _Flight:
    """The batch of molecules in flight, and how they enter and leave it."""

    def __init__(
        self,
        molecules: Sequence[Molecule],
        rows: Sequence[int],
        sampler: Sampler,
        noise: NoiseStream,
        device: torch.device | str,
        keep_trajectory: bool,
    ) -> None:
        self.molecules = molecules
        self.rows = rows
        self.sampler = sampler
        self.noise = noise
        self.device = device
        self.keep_trajectory = keep_trajectory
        self.passengers: list[_Passenger] = []
        self.batch: Batch | None = None
        self.positions = torch.empty(0, 3, dtype=torch.float64, device=device)
        """[n_atoms_total, 3] after the last step"""
        self.before = self.positions
        """[n_atoms_total, 3] before it"""

    def board(self, waiting: deque[int], batch_size: int) -> None:
        """Let waiting molecules in while there is room."""
        n_pairs = sum(len(p.molecule.numbers) ** 2 for p in self.passengers)
        entering: list[int] = []
        while waiting and len(self.passengers) + len(entering) < batch_size:
            n_pairs += len(self.molecules[waiting[0]].numbers) ** 2
            if n_pairs > MAX_PAIRS_IN_FLIGHT and (self.passengers or entering):
                break
            entering.append(waiting.popleft())
        if not entering:
            return
        new = [self.molecules[i] for i in entering]
        centroids = [np.mean(np.asarray(m.positions, dtype=np.float64), axis=0) for m in new]
        positions = [m.positions - c for m, c in zip(new, centroids, strict=True)]
        first_step = self.sampler.first_step(self._make_batch(new, positions))
        steps = [0] * len(new) if first_step is None else first_step.tolist()
        self.passengers += [
            _Passenger(i, m, c, s) for i, m, c, s in zip(entering, new, centroids, steps, strict=True)
        ]
        entered = torch.from_numpy(np.concatenate(positions)).to(self.device)
        self.positions = torch.cat([self.positions, entered])
        self.batch = None

    def move(self) -> None:
        """One step back for everybody."""
        if self.batch is None:
            molecules = [p.molecule for p in self.passengers]
            self.batch = self._make_batch(molecules, self._split(self.positions))
        # The networks work in float32, and so does the original between two steps.
        batch = self.batch.with_positions(self.positions.float())
        countdown = [
            max(p.first_step - len(p.steps), 0) if p.first_step >= 0 else -1 for p in self.passengers
        ]
        step, predicted = self.sampler.predict(batch, torch.tensor(countdown, device=self.device))
        fresh = self.noise.positions([self.rows[p.index] for p in self.passengers], batch.n_atoms.tolist())
        noise = centred(fresh.to(self.device, torch.float64), batch)
        predicted = centred(predicted.double(), batch)
        of_atoms = step.clamp_min(0)[batch.molecule_index]
        self.before = self.positions
        self.positions = self.sampler.schedule.step_back(batch.positions, predicted, noise, of_atoms)
        if self.keep_trajectory:
            for passenger, before in zip(self.passengers, self._split(batch.positions), strict=True):
                passenger.trajectory.append(before)
        for passenger, taken in zip(self.passengers, step.tolist(), strict=True):
            passenger.steps.append(taken)

    def leave(self, limits: Limits) -> list[tuple[int, Relaxed]]:
        """Take out the molecules that have converged, reached the limit or failed, with their results."""
        assert self.batch is not None
        finite = torch.isfinite(self.positions).all(dim=1).double()[:, None]
        n_finite = molecule_sums(finite, self.batch).squeeze(1).tolist()
        out: list[tuple[int, Status, str]] = []
        stays: list[int] = []
        for place, (passenger, n) in enumerate(zip(self.passengers, n_finite, strict=True)):
            n_done, step = len(passenger.steps), passenger.steps[-1]
            if n < len(passenger.molecule.numbers) or step < 0:
                out.append((place, "unknown_error", f"the prediction of iteration {n_done} is not finite"))
            elif step <= limits.convergence_step:
                out.append((place, "ok", ""))
            elif n_done >= limits.max_iterations:
                out.append((place, "not_converged", f"still at step {step} after {n_done} iterations"))
            else:
                stays.append(place)
        if not out:
            return []
        results = self._results(out)
        staying = torch.zeros(len(self.passengers), dtype=torch.bool, device=self.positions.device)
        staying[stays] = True
        self.positions = self.positions[staying[self.batch.molecule_index]]
        self.passengers = [self.passengers[place] for place in stays]
        self.batch = None
        return results

    def _results(self, out: list[tuple[int, Status, str]]) -> list[tuple[int, Relaxed]]:
        before, after = self._split(self.before), self._split(self.positions)
        results = []
        for place, status, message in out:
            passenger = self.passengers[place]
            last = (before if status == "unknown_error" else after)[place] + passenger.centroid
            relaxed = Relaxed(last, status, message, passenger.steps, passenger.trajectory)
            results.append((passenger.index, relaxed))
        return results

    def _split(self, values: Tensor) -> list[NDArray[np.floating]]:
        """Per molecule [n_atoms, 3]."""
        offsets = np.cumsum([len(p.molecule.numbers) for p in self.passengers])[:-1]
        return np.split(values.cpu().numpy(), offsets)

    def _make_batch(self, molecules: Sequence[Molecule], positions: Sequence[NDArray[np.floating]]) -> Batch:
        topologies = [m.topological_distance for m in molecules if m.topological_distance is not None]
        complete = topologies if len(topologies) == len(molecules) else None
        return make_batch([m.numbers for m in molecules], positions, complete).to(self.device)
