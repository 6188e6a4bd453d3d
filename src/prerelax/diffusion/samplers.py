"""Denoises molecules: chooses the sampler and the batches, and gives a status to bad input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion import edm, morered
from prerelax.diffusion.noise import NoiseStream, SeededNoise, ZeroNoise
from prerelax.diffusion.options import MORERED_SAMPLERS, SamplerOptions
from prerelax.errors import UserError, nearest
from prerelax.molecules.status import Status
from prerelax.molecules.topology import bonds_from_geometry, topological_distances
from prerelax.networks.batch import Batch, make_batch

DEFAULT_STEPS = 50
DEFAULT_CALLS = 6
MAX_PAIRS = {"cpu": 10_000, "cuda": 400_000}
"""Ordered atom pairs in one batch, whatever `batch_size` says: pair tensors of 64 features that stay in the
cache of a CPU, and 100 MB for each of them on a GPU.
"""


@dataclass(frozen=True)
class SamplerInput:
    """A molecule to be denoised."""

    id: str
    """names its noise stream: the same id and seed give the same result"""
    numbers: NDArray[np.integer]
    """[n_atoms]"""
    positions: NDArray[np.floating]
    """[n_atoms, 3] Å"""
    topological_distance: NDArray[np.uint8] | None = None
    """[n_atoms, n_atoms] bonds between atoms; None: from the geometry, where the model needs it"""


@dataclass(frozen=True)
class SampleResult:
    """The result for a molecule. If it could not be denoised the positions are the input's."""

    positions: NDArray[np.float64]
    """[n_atoms, 3] Å, at the centroid of the input"""
    status: Status
    """ok, not_converged, unsupported_element, input_error or unknown_error"""
    message: str = ""
    n_calls: int = 0
    """network calls"""
    trajectory: list[NDArray[np.float64]] | None = None
    """geometries [n_atoms, 3] Å from the input on, one after every call (MoreRed: every iteration)"""
    steps_taken: list[int] | None = None
    """the schedule's step at every iteration of a MoreRed sampler"""

    @property
    def converged(self) -> bool:
        return self.status == "ok"


EDM_SAMPLERS = ("edm", "few")
SAMPLERS = (*EDM_SAMPLERS, *MORERED_SAMPLERS)


def sample(
    model: LoadedModel,
    molecules: Sequence[SamplerInput],
    options: SamplerOptions | None = None,
    *,
    keep_trajectory: bool = False,
    noise: NoiseStream | None = None,
) -> list[SampleResult]:
    """Denoise `molecules`, results in their order.

    Sampler `edm` takes the last `steps` steps of the reverse diffusion, steps + 1 network calls: the paper's,
    or with `noise_free` its mean path. `few` is a deterministic tail of `calls` calls. MoreRed's models have
    `jt`, `as`, `itp` (at most `max_iterations` iterations) and `ddpm` (the last `steps`). What the options
    leave open follows the model's own defaults. `noise` replaces the streams made of ids and seed. Molecules
    are batched by size, or swapped in flight; a result does not depend on batch mates (to 1e-4 Å). One that
    cannot be treated gets a status and its input geometry back and does not disturb the others. Raises
    UserError for options that no molecule could be sampled with.
    """
    options = options or SamplerOptions()
    stream = noise if noise is not None else SeededNoise([m.id for m in molecules], options.seed)
    sampling = _Sampling(model, options, stream, keep_trajectory)
    results: list[SampleResult | None] = [refusal(molecule, model) for molecule in molecules]
    waiting = [row for row, result in enumerate(results) if result is None]
    for rows, done in sampling.run(molecules, waiting):
        for row, result in zip(rows, done, strict=True):
            results[row] = result
    return [result for result in results if result is not None]


def sampler_name(options: SamplerOptions, model: LoadedModel) -> str:
    """The sampler that is asked for, or else the model's own."""
    return options.sampler or model.sampler_defaults.get("name", "edm")


class _Sampling:
    """One call of `sample`: the model, and its options with the model's defaults filled in."""

    def __init__(
        self, model: LoadedModel, options: SamplerOptions, stream: NoiseStream, keep_trajectory: bool
    ) -> None:
        defaults = model.sampler_defaults
        self.model, self.options, self.stream, self.keep_trajectory = model, options, stream, keep_trajectory
        self.sampler = sampler_name(options, model)
        self.steps = options.steps or int(defaults.get("steps", DEFAULT_STEPS))
        self.calls = options.calls or int(defaults.get("calls", DEFAULT_CALLS))
        _check_sampler(self.sampler, model)
        if self.sampler in EDM_SAMPLERS:
            edm.check_steps(self.steps, model.edm_schedule)
            edm.tail_of_calls(model.denoiser, self.steps, self.calls if self.sampler == "few" else 1)
        self.device = resolve_device(options.device)
        model.to(self.device)

    def run(
        self, molecules: Sequence[SamplerInput], waiting: list[int]
    ) -> Iterator[tuple[list[int], list[SampleResult]]]:
        """Rows and their results, batch by batch."""
        if self.sampler in MORERED_SAMPLERS:
            yield waiting, self._in_flight([molecules[row] for row in waiting], waiting)
            return
        max_pairs = MAX_PAIRS.get(self.device.type, MAX_PAIRS["cuda"])
        for rows in batches(molecules, waiting, self.options.batch_size, max_pairs):
            yield rows, self._batch([molecules[row] for row in rows], rows)

    def _in_flight(self, molecules: Sequence[SamplerInput], rows: list[int]) -> list[SampleResult]:
        """Results by a MoreRed sampler."""
        graphs = [topology(m) if self.model.network.uses_bond_graph else None for m in molecules]
        sampler = morered.sampler_of(self.model, self.sampler, self.steps, self.options.time_model)
        defaults = self.model.sampler_defaults
        limits = morered.Limits(
            self.options.max_iterations or int(defaults.get("max_iterations", morered.MAX_ITERATIONS)),
            int(defaults.get("convergence_step", 0)),
            self.options.batch_size,
        )
        flown = morered.relax(
            [morered.Molecule(m.numbers, m.positions, g) for m, g in zip(molecules, graphs, strict=True)],
            sampler,
            ZeroNoise() if self.options.noise_free else self.stream,
            limits,
            rows=rows,
            device=self.device,
            keep_trajectory=self.keep_trajectory,
        )
        results = []
        for molecule, relaxed in zip(molecules, flown, strict=True):
            trajectory = None
            if self.keep_trajectory:
                centre = np.asarray(molecule.positions, dtype=np.float64).mean(axis=0)
                trajectory = [*(frame + centre for frame in relaxed.trajectory), relaxed.positions]
            n_calls, steps = sampler.n_calls(len(relaxed.steps)), relaxed.steps
            results.append(
                SampleResult(relaxed.positions, relaxed.status, relaxed.message, n_calls, trajectory, steps)
            )
        return results

    def _batch(self, molecules: Sequence[SamplerInput], rows: list[int]) -> list[SampleResult]:
        """Results by one of EDM's samplers."""
        centres = [np.asarray(m.positions, dtype=np.float64).mean(axis=0) for m in molecules]
        batch = as_batch(molecules, centres, self.model.network.uses_bond_graph).to(self.device)
        frames: list[Tensor] = []
        final, n_calls = self._denoised(batch, rows, frames.append if self.keep_trajectory else None)
        finals = _split(final, batch, centres)
        histories = [_split(frame, batch, centres) for frame in frames]
        results = []
        for i, molecule in enumerate(molecules):
            start = np.asarray(molecule.positions, dtype=np.float64)
            trajectory = [start, *(frame[i] for frame in histories)] if self.keep_trajectory else None
            message = _wrong(finals[i], start if self.sampler == "few" else None)
            if message:
                results.append(SampleResult(start, "unknown_error", message, n_calls, trajectory))
            else:
                results.append(SampleResult(finals[i], "ok", "", n_calls, trajectory))
        return results

    def _denoised(self, batch: Batch, rows: list[int], watch: edm.Watcher | None) -> tuple[Tensor, int]:
        """Positions [n_atoms_total, 3] Å and the number of network calls."""
        network, schedule = self.model.denoiser, self.model.edm_schedule
        if self.sampler == "few":
            calls = edm.tail_of_calls(network, self.steps, self.calls)
            return edm.few_calls(calls, schedule, batch, watch), self.calls
        tail = edm.tail(network, schedule, batch, self.steps, self.stream, rows, self.options, watch)
        return tail, self.steps + 1


def _check_sampler(sampler: str, model: LoadedModel) -> None:
    if sampler not in SAMPLERS:
        raise UserError(f"unknown sampler {sampler!r}{nearest(sampler, SAMPLERS)}")
    if isinstance(model.schedule, MoreRedSchedule) and sampler in EDM_SAMPLERS:
        known = ", ".join(MORERED_SAMPLERS)
        raise UserError(f"{model.name} is a MoreRed model; its samplers are {known}, not {sampler}")


def resolve_device(device: torch.device | str) -> torch.device:
    """`auto` is the GPU where there is one. Raises UserError for a GPU that is not there."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda was asked for, but torch finds no GPU")
    return torch.device(device)


def refusal(molecule: SamplerInput, denoiser: LoadedModel) -> SampleResult | None:
    """The result of a molecule that is not given to the network, None for all others."""
    numbers, positions = np.asarray(molecule.numbers), np.asarray(molecule.positions, dtype=np.float64)
    if numbers.ndim != 1 or positions.shape != (len(numbers), 3) or not len(numbers):
        return SampleResult(positions, "input_error", "no atoms, or not one position for each atom")
    unknown = sorted({int(z) for z in numbers} - set(denoiser.elements))
    if denoiser.elements and unknown:
        message = (
            f"{denoiser.name} knows {_symbols(denoiser.elements)}, but was not trained on {_symbols(unknown)}"
        )
        return SampleResult(positions, "unsupported_element", message)
    if not np.isfinite(positions).all():
        return SampleResult(positions, "input_error", "coordinates that are not finite")
    topology = molecule.topological_distance
    if topology is not None and np.shape(topology) != (len(numbers), len(numbers)):
        return SampleResult(positions, "input_error", "the bond graph does not have one row for each atom")
    if len(numbers) == 1:
        return SampleResult(positions, "ok", "a single atom has no geometry to denoise", 0)
    return None


def _symbols(elements: Iterable[int]) -> str:
    from ase.data import chemical_symbols  # not on every machine that trains

    return ", ".join(chemical_symbols[z] for z in sorted(elements))


def batches(
    molecules: Sequence[SamplerInput], rows: list[int], batch_size: int, max_pairs: int
) -> Iterator[list[int]]:
    """Rows in groups of similar size, the largest first, of at most `batch_size` molecules or one with more
    than `max_pairs` pairs.
    """
    group: list[int] = []
    pairs = 0
    for row in sorted(rows, key=lambda r: -len(molecules[r].numbers)):
        size = len(molecules[row].numbers) ** 2
        if group and (len(group) == batch_size or pairs + size > max_pairs):
            yield group
            group, pairs = [], 0
        group.append(row)
        pairs += size
    if group:
        yield group


LARGEST_MOVE_ANG = 10.0
"""Limit for an atom in a tail of few calls: a relaxer that moves one farther does not know the molecule."""


def _wrong(denoised: NDArray[np.float64], start: NDArray[np.float64] | None) -> str:
    """A sentence on what is wrong with a denoised geometry [n_atoms, 3] Å; empty if nothing is."""
    if not np.isfinite(denoised).all():
        return "the network's prediction is not finite; the geometry before it is kept"
    if start is not None:
        move = float(np.linalg.norm(denoised - start, axis=1).max())
        if move > LARGEST_MOVE_ANG:
            return f"the network moves an atom by {move:.1f} Å; the geometry before it is kept"
    return ""


def as_batch(
    molecules: Sequence[SamplerInput], centres: Sequence[NDArray[np.float64]], bond_graph: bool
) -> Batch:
    """Molecules as a batch, each moved from its centre [3] to the origin; topologies for a `bond_graph`."""
    # Centred before it becomes float32, which far from the origin has few digits left.
    positions = [
        np.asarray(m.positions, dtype=np.float64) - c for m, c in zip(molecules, centres, strict=True)
    ]
    topologies = [topology(m) for m in molecules] if bond_graph else None
    return make_batch([np.asarray(m.numbers) for m in molecules], positions, topologies)


def topology(molecule: SamplerInput) -> NDArray[np.uint8]:
    """Bonds between two atoms [n_atoms, n_atoms]: the molecule's own, or perceived from its geometry."""
    if molecule.topological_distance is not None:
        return np.asarray(molecule.topological_distance, dtype=np.uint8)
    return topological_distances(bonds_from_geometry(molecule.numbers, molecule.positions))


def _split(
    positions: Tensor, batch: Batch, centres: Sequence[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Per-molecule positions [n_atoms, 3] Å back at their centroids."""
    parts = torch.split(positions.double().cpu(), batch.n_atoms.tolist())
    return [part.numpy() + centre for part, centre in zip(parts, centres, strict=True)]
