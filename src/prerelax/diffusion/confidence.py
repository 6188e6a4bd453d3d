"""How sure a denoiser is of a geometry that it made: how far one more call would still move it.

At a minimum of the level of its training set, a denoiser that knows the molecule predicts no displacement.
The displacement that it predicts for its own result, the residual, therefore estimates its error without a
reference. Of the measures that were tried it is the best for one network call
(benchmarks/denoiser_confidence.py). It is measured in bond lengths and 1-3 distances, since soft torsions may
move far without being wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from prerelax.denoisers.checkpoint import CONFIG, LoadedModel, find_model, load_model
from prerelax.denoisers.model_config import Confidence
from prerelax.denoisers.model_folders import SUMS, sums_of
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion.edm import State
from prerelax.diffusion.evaluation import read_evaluation_set
from prerelax.diffusion.options import Device, Sampler, SamplerOptions
from prerelax.diffusion.samplers import (
    MAX_PAIRS,
    SamplerInput,
    as_batch,
    batches,
    resolve_device,
    sample,
    topology,
)
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, centred
from prerelax.networks.morered import JointNetwork, molecule_time
from prerelax.records.atomic_write import write_atomically, write_text_atomically

NOISE_ANG = 0.028
"""The noise that a geometry is assumed to carry when its residual is computed: step 20 of 1000. Of the steps
1, 5, 10, 20 and 50 it separates good from bad results best, across molecules and among similar ones."""

LAST_NOISE_ANG = 0.0075
"""Assumed for geometries that still carry the noise of EDM's last step (0.0032 Å in each coordinate), to
remove it before the residual is measured. After a call at NOISE_ANG the network would have nothing left to
change."""

LIMIT_MEDIANS = 2.0
"""A geometry is trusted if its residual is at most this multiple of the median over molecules of the training
set. Beyond it the bonds of GFN2-xTB become the better ones, whichever reference model is asked."""

MIN_MOLECULES = 100


@torch.no_grad()
def residuals_ang(
    denoiser: LoadedModel,
    molecules: Sequence[SamplerInput],
    batch_size: int = 128,
    device: torch.device | str = "auto",
    noisy: bool = False,
) -> NDArray[np.float64]:
    """Mean change [n_molecules] in Å of bond lengths and 1-3 distances that one more call would make.

    nan for molecules without a bond, and for those with elements that the denoiser does not know. The call is
    made at the step of the schedule whose noise is nearest to NOISE_ANG; a network that predicts its own step
    is asked at that one. `noisy`: the geometries carry the noise of EDM's last step, which is not the
    network's error; one more call removes it first.
    """
    chosen = resolve_device(device)
    denoiser.to(chosen)
    bond_graph = denoiser.network.uses_bond_graph
    found = np.full(len(molecules), np.nan)
    known = set(denoiser.elements)
    several = [
        row
        for row, molecule in enumerate(molecules)
        if len(molecule.numbers) > 1 and (not known or known.issuperset(molecule.numbers.tolist()))
    ]
    for rows in batches(molecules, several, batch_size, MAX_PAIRS.get(chosen.type, MAX_PAIRS["cuda"])):
        asked = [molecules[row] for row in rows]
        centres = [np.asarray(m.positions, dtype=np.float64).mean(axis=0) for m in asked]
        batch = as_batch(asked, centres, bond_graph).to(chosen)
        if noisy:
            batch = batch.with_positions(_one_more_call(denoiser, batch, LAST_NOISE_ANG))
        after = _one_more_call(denoiser, batch, NOISE_ANG)
        pairs = torch.split(
            torch.stack([batch.positions, after], dim=1).double().cpu(), batch.n_atoms.tolist()
        )
        for row, molecule, pair in zip(rows, asked, pairs, strict=True):
            found[row] = _change_of_distances(topology(molecule), pair[:, 0].numpy(), pair[:, 1].numpy())
    return found


def _one_more_call(denoiser: LoadedModel, batch: Batch, noise_ang: float) -> Tensor:
    """The geometries [n_atoms_total, 3] Å after one more call, made as if they carried this noise."""
    schedule, network = denoiser.schedule, denoiser.denoiser
    scale = (schedule.sigma / schedule.alpha).to(batch.positions)
    if isinstance(network, JointNetwork):
        noise, atom_times = network.noise_and_atom_times(batch)
        steps = denoiser.morered_schedule.nearest_step(molecule_time(atom_times, batch)).clamp_min(0)
        return batch.positions - scale[steps][batch.molecule_index, None] * centred(noise, batch)
    step = int((scale - noise_ang).abs().argmin())
    if isinstance(schedule, MoreRedSchedule):
        times = schedule.time(torch.full_like(batch.n_atoms, step))
        return batch.positions - scale[step] * centred(network(batch, times), batch)
    predicted, _ = State.at_geometry(network, batch).predict(network, step, schedule)
    return batch.positions - scale[step] * predicted


def _change_of_distances(
    hops: NDArray[np.uint8], before: NDArray[np.float64], after: NDArray[np.float64]
) -> float:
    i, j = np.nonzero((np.triu(hops) == 1) | (np.triu(hops) == 2))
    if not len(i):
        return float("nan")
    change = np.linalg.norm(after[i] - after[j], axis=1) - np.linalg.norm(before[i] - before[j], axis=1)
    return float(np.abs(change).mean())


@dataclass(frozen=True)
class ConfidenceLimit:
    """Up to which residual a denoiser is trusted, and whose residual counts."""

    reference_model: LoadedModel
    """The denoiser itself, or one that was trained on noise alone: a network that was trained to undo the
    errors of force fields is as sure of molecules that it does not know as of others."""
    median_limit_ang: float | None
    """of molecules of `median_atoms` and larger ones; None: not calibrated"""
    median_atoms: float = 1.0

    def limit_ang(self, n_atoms: int) -> float | None:
        """The limit for a molecule of this size; None where the model is not calibrated.

        Small molecules have few distances to average over, and larger residuals without larger errors.
        """
        if self.median_limit_ang is None:
            return None
        return self.median_limit_ang * max(1.0, self.median_atoms / n_atoms)


def limit_of(model: LoadedModel) -> ConfidenceLimit:
    """The part `confidence` of the model's config. Raises ModelError where its reference model is missing."""
    part = model.config.get("confidence") or Confidence()
    reference_model = load_model(part["judge"]) if part.get("judge") else model
    return ConfidenceLimit(reference_model, part.get("limit_ang"), float(part.get("median_atoms", 1)))


def calibrate(
    name_or_path: str | Path,
    data: Path,
    limit: int | None = 1000,
    device: Device = "auto",
    reference_model: str | None = None,
) -> Confidence:
    """Write the limit of the residual into a model's config, as its part `confidence`, which is returned.

    `data` is an npz set with `positions_mmff94` of molecules that the model was trained on; `limit` of them,
    from all over the set, are denoised without noise. With `reference_model` the residuals of another
    denoiser count instead of the model's own. Raises UserError for too few molecules.
    """
    model = load_model(name_or_path)
    molecules = read_evaluation_set(data, model, limit, spread=True).inputs
    if len(molecules) < MIN_MOLECULES:
        raise UserError(
            f"{data}: {len(molecules)} molecules are too few to calibrate on; take at least {MIN_MOLECULES}"
        )
    sampler: Sampler | None = None if isinstance(model.schedule, MoreRedSchedule) else "few"
    results = sample(model, molecules, SamplerOptions(sampler=sampler, noise_free=True, device=device))
    ends = [replace(m, positions=r.positions) for m, r in zip(molecules, results, strict=True)]
    asked = load_model(reference_model) if reference_model else model
    residuals = residuals_ang(asked, ends, device=device)
    part = Confidence(judge=reference_model) if reference_model else Confidence()
    part |= limit_from(residuals, [len(molecule.numbers) for molecule in molecules])
    config = yaml.safe_dump({**model.config, "confidence": part}, sort_keys=False)
    folder = find_model(name_or_path)
    write_atomically(folder / CONFIG, lambda file: file.write_text(config))
    write_text_atomically(folder / SUMS, sums_of(folder))
    return part


def limit_from(
    residuals: NDArray[np.float64], n_atoms: Sequence[int], medians: float = LIMIT_MEDIANS
) -> Confidence:
    """The limit for residuals [n_molecules] in Å of molecules of these sizes [n_molecules].

    It is so many of their medians.
    """
    median, high = (float(np.nanquantile(residuals, q)) for q in (0.5, 0.99))
    return {
        "limit_ang": round(medians * median, 5),
        "median_ang": round(median, 5),
        "quantile_99_ang": round(high, 5),
        "median_atoms": int(np.median(n_atoms)),
        "n_molecules": len(n_atoms),
    }
