"""One denoising step, repeated: a Markov chain that samples around the molecule's minimum.

Chem. Sci. 2024, 15, 13506, figures 7-9: z_{n-1} ~ p(z_{n-1} | z_n) is applied to its own result again and
again, the geometry standing at step n as it is and its types reset to the molecule's before every step.
For a network that knows a single structure the chain is linear, and every coordinate has the variance
sigma²_{n-1} / (2 - r), where r = sigma²_ts / sigma²_t is the part of the noise that a step removes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion import edm
from prerelax.diffusion.noise import NoiseStream, SeededNoise
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import MAX_PAIRS, SamplerInput, as_batch, batches, refusal, resolve_device
from prerelax.errors import UserError
from prerelax.molecules.graph import bond_limits_ang
from prerelax.networks.batch import Batch
from prerelax.networks.network import Network, Types
from prerelax.studies.boltzmann.config import Scheme

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
"""`repeat`: the reverse step alone (the paper's). `renoise`: from step n - 1 back to n by the forward
process, then the reverse step, which for an exact network leaves the noised data of step n - 1 invariant,
whatever they are. `perturb`: the step's noise without the network, the paper's control, which diverges."""


@dataclass(frozen=True)
class ChainPlan:
    """What is repeated, how often, and what is kept. Raises UserError for numbers that make no chain."""

    step: int
    """n, 1…T"""
    repeats: int = 2000
    """steps of the chain, the burn-in included (paper: 20 000)"""
    burn_in: int = 200
    """first steps of which nothing is kept (paper: 1 000)"""
    every: int = 20
    """every N-th of the later geometries is kept"""
    scheme: Scheme = "repeat"

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise UserError(f"unknown scheme {self.scheme!r}; known: {', '.join(SCHEMES)}")
        if self.every < 1 or self.burn_in < 0 or self.repeats < self.burn_in + self.every:
            raise UserError(
                f"{self.repeats} repeats, {self.burn_in} of them burn-in, each {self.every}-th kept: nothing"
            )


@dataclass(frozen=True)
class ChainInput:
    """A molecule and its graph, by which it is told when the chain breaks it."""

    molecule: SamplerInput
    bonded: NDArray[np.bool_]
    """[n_atoms, n_atoms]"""


@dataclass(frozen=True)
class ChainResult:
    """What became of a chain."""

    status: str
    """ok, connectivity_changed, unsupported_element, input_error or unknown_error"""
    message: str
    geometries: NDArray[np.float32]
    """[n_kept, n_atoms, 3] Å at the centroid of the input; of a broken chain those before it broke"""
    n_steps: int
    """steps after which the molecule was still whole"""


def repeat_step(
    denoiser: LoadedModel,
    inputs: Sequence[ChainInput],
    plan: ChainPlan,
    batch_size: int = 64,
    device: torch.device | str = "auto",
    seed: int = 0,
    noise: NoiseStream | None = None,
) -> list[ChainResult]:
    """Run a chain for each of `inputs`, batched by size; results in their order.

    The noise of a chain follows from its molecule's id, the step n and `seed` alone (`noise` replaces these
    streams). Every geometry is looked at: a chain ends where a bond breaks or forms, or the prediction is not
    finite, and has the status of that. Raises UserError for a step outside 1…T and models that are no EDM.
    """
    if not isinstance(denoiser.schedule, NoiseSchedule):
        raise UserError(f"{denoiser.name} is no EDM; one step can be repeated of an EDM's schedule only")
    edm.check_steps(plan.step, denoiser.schedule)
    chosen = resolve_device(device)
    denoiser.to(chosen)
    molecules = [chain.molecule for chain in inputs]
    stream = (
        noise if noise is not None else SeededNoise([f"{m.id}/step-{plan.step}" for m in molecules], seed)
    )
    results: dict[int, ChainResult] = {}
    for row, molecule in enumerate(molecules):
        refused = refusal(molecule, denoiser)
        if refused is not None:
            message = refused.message
            status = refused.status if refused.status != "ok" else "input_error"
            nothing = np.zeros((0, *np.shape(molecule.positions)), dtype=np.float32)
            results[row] = ChainResult(status, message, nothing, 0)
    waiting = [row for row in range(len(inputs)) if row not in results]
    for rows in batches(molecules, waiting, batch_size, MAX_PAIRS.get(chosen.type, MAX_PAIRS["cuda"])):
        results |= _Chains(denoiser, inputs, rows, plan, stream, chosen).run()
    return [results[row] for row in range(len(inputs))]


class _Chains:
    """The chains of one batch; what breaks leaves it."""

    def __init__(
        self,
        denoiser: LoadedModel,
        inputs: Sequence[ChainInput],
        rows: Sequence[int],
        plan: ChainPlan,
        noise: NoiseStream,
        device: torch.device,
    ) -> None:
        self.schedule = denoiser.edm_schedule
        self.network = denoiser.denoiser if plan.scheme != "perturb" else _NoPrediction()
        self.bond_graph = self.network.uses_bond_graph
        self.inputs, self.plan, self.noise, self.device = inputs, plan, noise, device
        self.rows = list(rows)
        self.centres = {
            row: np.asarray(inputs[row].molecule.positions, dtype=np.float64).mean(axis=0) for row in rows
        }
        self.kept: dict[int, list[NDArray[np.float32]]] = {row: [] for row in rows}
        self.results: dict[int, ChainResult] = {}
        self._place(None)

    def _place(self, positions: Tensor | None) -> None:
        """Make the batch of `rows`, at their inputs or at `positions` [n_atoms_total, 3] Å."""
        chains = [self.inputs[row] for row in self.rows]
        molecules = [chain.molecule for chain in chains]
        centres = [self.centres[row] for row in self.rows]
        batch: Batch = as_batch(molecules, centres, self.bond_graph).to(self.device)
        self.state = edm.State.at_geometry(
            self.network, batch if positions is None else batch.with_positions(positions)
        )
        limits = [bond_limits_ang(chain.bonded, chain.molecule.numbers) for chain in chains]
        self.shortest, self.longest = (
            torch.cat([_off_diagonal(pair[side]) for pair in limits]).to(batch.positions) for side in (0, 1)
        )

    @torch.no_grad()
    def run(self) -> dict[int, ChainResult]:
        for done in range(1, self.plan.repeats + 1):
            self._step()
            self._leave_broken(done)
            if not self.rows:
                return self.results
            if done > self.plan.burn_in and (done - self.plan.burn_in) % self.plan.every == 0:
                self._keep()
        for row in self.rows:
            self.results[row] = ChainResult("ok", "", self._geometries(row), self.plan.repeats)
        return self.results

    def _step(self) -> None:
        if self.plan.scheme == "renoise":
            alpha, variance = edm.transition(self.schedule, self.plan.step)
            fresh = edm.fresh_noise(self.noise, self.rows, self.state.batch)
            self.state.positions = alpha * self.state.positions + variance**0.5 * fresh
        types_reset = SamplerOptions(fixed_types=True)
        self.state = edm.ancestral_step(
            self.network, self.schedule, self.state, self.plan.step, self.noise, self.rows, types_reset
        )

    def _leave_broken(self, done: int) -> None:
        batch, positions = self.state.batch, self.state.positions
        distance = (positions[batch.pairs[0]] - positions[batch.pairs[1]]).norm(dim=1)
        outside = ~((self.shortest <= distance) & (distance < self.longest))
        if not bool(outside.any()):
            return
        broken = set(batch.molecule_index[batch.pairs[0][outside]].tolist())
        parts = torch.split(positions, batch.n_atoms.tolist())
        for place in broken:
            row = self.rows[place]
            finite = bool(torch.isfinite(parts[place]).all())
            what = "a bond broke or formed" if finite else "the network's prediction is not finite"
            status = "connectivity_changed" if finite else "unknown_error"
            message = f"{what} at step {done} of {self.plan.repeats} of the chain; take a smaller step n"
            self.results[row] = ChainResult(status, message, self._geometries(row), done - 1)
        whole = [place for place in range(len(self.rows)) if place not in broken]
        self.rows = [self.rows[place] for place in whole]
        if whole:
            self._place(torch.cat([parts[place] for place in whole]))

    def _keep(self) -> None:
        parts = torch.split(self.state.positions.float().cpu(), self.state.batch.n_atoms.tolist())
        for row, part in zip(self.rows, parts, strict=True):
            self.kept[row].append(part.numpy())

    def _geometries(self, row: int) -> NDArray[np.float32]:
        n_atoms = len(self.inputs[row].molecule.numbers)
        kept = np.array(self.kept[row], dtype=np.float32).reshape(-1, n_atoms, 3)
        geometries: NDArray[np.float32] = kept + self.centres[row].astype(np.float32)
        return geometries


class _NoPrediction(Network):
    """No noise where there is some: what is left of a step is its own noise."""

    types: Types = "fixed"

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        return torch.zeros_like(batch.positions)


def _off_diagonal(values: NDArray[np.floating]) -> Tensor:
    """[n (n - 1)] in the order of a batch's pairs."""
    return torch.from_numpy(values[~np.eye(len(values), dtype=bool)])
