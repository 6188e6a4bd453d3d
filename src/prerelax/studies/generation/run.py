"""Molecules from noise: the whole reverse diffusion of an EDM, elements and charges along with the positions.

Hoogeboom et al., ICML 2022. Every state of the chain is kept, since the phases of generation are what is
looked at (Chem. Sci. 2024, 15, 13506, figures 2 and 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.denoiser import diffuses_types
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion import edm
from prerelax.diffusion.noise import NoiseStream, SeededNoise
from prerelax.diffusion.samplers import resolve_device
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, centred, make_batch
from prerelax.reading import read_arrays
from prerelax.studies.generation.chains import Chains


def generate(
    denoiser: LoadedModel,
    n_atoms: Sequence[int],
    seed: int = 0,
    batch_size: int = 64,
    device: torch.device | str = "auto",
    noise: NoiseStream | None = None,
) -> Chains:
    """Draw a molecule of each size, keeping every state: T + 2 of them, from pure noise to the molecule.

    A molecule depends on `seed` and its place in `n_atoms` alone, to float sums. `noise` replaces these
    streams. What becomes of a molecule whose prediction ceases to be finite is not a number from there on.
    Raises UserError for a model that cannot generate: one with fixed elements, with a bond graph, or trained
    on the last steps only.
    """
    _check(denoiser)
    if batch_size < 1 or not n_atoms or min(n_atoms) < 2:
        raise UserError("generation needs a batch size of at least 1 and molecules of at least 2 atoms")
    chosen = resolve_device(device)
    denoiser.to(chosen)
    stream = (
        noise if noise is not None else SeededNoise([f"generated-{i}" for i in range(len(n_atoms))], seed)
    )
    order = np.argsort(n_atoms, kind="stable")[::-1]
    positions: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(n_atoms)
    numbers: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)] * len(n_atoms)
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size].tolist()
        watched = _Watched(denoiser)
        _run(denoiser, [n_atoms[row] for row in rows], stream, rows, chosen, watched)
        for row, (path, elements) in zip(rows, watched.molecules(), strict=True):
            positions[row], numbers[row] = path, elements
    return Chains(
        n_atoms=np.asarray(n_atoms, dtype=np.int64),
        positions=np.concatenate(positions, axis=1),
        numbers=np.concatenate(numbers, axis=1),
        sigma=denoiser.schedule.sigma.numpy().astype(np.float64),
        model=denoiser.name,
    )


def _check(denoiser: LoadedModel) -> None:
    network = denoiser.denoiser
    if not isinstance(denoiser.schedule, NoiseSchedule):
        raise UserError(f"{denoiser.name} is not an EDM; molecules are generated with EDMs")
    if not diffuses_types(network) or network.uses_bond_graph:
        raise UserError(
            f"{denoiser.name} relaxes known molecules (fixed elements or a bond graph) and generates none; "
            "train one with `types: diffused`, as config/campaigns/edm-qm9-mini.yaml does"
        )
    last = denoiser.last_trained_step
    if last is not None and last < denoiser.schedule.timesteps:
        raise UserError(f"{denoiser.name} was trained on steps up to {last} alone, generation needs all")


class _Watched:
    """Collects the states of one batch."""

    def __init__(self, denoiser: LoadedModel) -> None:
        self.elements = np.asarray(denoiser.elements, dtype=np.uint8)
        self.positions: list[NDArray[np.float32]] = []
        self.numbers: list[NDArray[np.uint8]] = []
        self.sizes: list[int] = []

    def begin(self, batch: Batch) -> None:
        self.sizes = batch.n_atoms.tolist()

    def __call__(self, positions: Tensor, features: Tensor) -> None:
        self.positions.append(positions.float().cpu().numpy())
        most = features[:, : len(self.elements)].argmax(dim=1).cpu().numpy()
        self.numbers.append(self.elements[most])

    def molecules(self) -> list[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
        ends = np.cumsum(self.sizes)[:-1]
        positions = np.split(np.stack(self.positions), ends, axis=1)
        return list(zip(positions, np.split(np.stack(self.numbers), ends, axis=1), strict=True))


@torch.no_grad()
def _run(
    denoiser: LoadedModel,
    n_atoms: Sequence[int],
    noise: NoiseStream,
    rows: Sequence[int],
    device: torch.device,
    watched: _Watched,
) -> None:
    """z_T from noise, then z_s ~ p(z_s | z_{s+1}) down to z_0, then x ~ p(x | z_0)."""
    blank = [(np.ones(n, dtype=np.int64), np.zeros((n, 3))) for n in n_atoms]
    batch = make_batch([z for z, _ in blank], [x for _, x in blank]).to(device)
    watched.begin(batch)
    network, schedule, options = denoiser.denoiser, denoiser.edm_schedule, edm.AS_PUBLISHED
    assert diffuses_types(network)
    width = network.n_types
    positions = centred(noise.positions(rows, n_atoms).to(batch.positions), batch)
    state = edm.State(batch, positions, noise.features(rows, n_atoms, width).to(batch.positions))
    assert state.features is not None
    watched(state.positions, state.features)
    for step in range(schedule.timesteps, 0, -1):
        state = edm.ancestral_step(network, schedule, state, step, noise, rows, options)
        assert state.features is not None
        watched(state.positions, state.features)
    assert state.features is not None
    watched(edm.sample_data(network, schedule, state, noise, rows, options), state.features)


def draw_sizes(data: Path, n: int, seed: int) -> list[int]:
    """Numbers of atoms of `n` molecules, drawn from an npz set's. Raises UserError for another file."""
    sizes = read_arrays(data).get("n_atoms")
    if sizes is None or sizes.dtype.kind not in "iu" or not np.any(sizes > 1):
        raise UserError(f"{data}: has no numbers of atoms to draw from (n_atoms)")
    sizes = sizes[sizes > 1]
    return [int(size) for size in np.random.default_rng(seed).choice(sizes, n)]
