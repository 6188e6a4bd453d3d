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

from prerelax.denoisers.checkpoint import CONFIG, LoadedModel, find_model, load_model
from prerelax.denoisers.model_config import Confidence
from prerelax.denoisers.model_folders import SUMS, sums_of
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion.energy_left import energy_calibration
from prerelax.diffusion.evaluation import read_evaluation_set
from prerelax.diffusion.one_more_call import Changes, changes_by_one_more_call
from prerelax.diffusion.options import Device, Sampler, SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.errors import UserError
from prerelax.records.atomic_write import make_writable_folder, write_atomically, write_text_atomically

LIMIT_MEDIANS = 2.0
"""A geometry is trusted if its residual is at most this multiple of the median over molecules of the training
set. Beyond it the bonds of GFN2-xTB become the better ones, whichever reference model is asked."""

MIN_MOLECULES = 100


def residuals_ang(
    denoiser: LoadedModel,
    molecules: Sequence[SamplerInput],
    batch_size: int = 128,
    device: torch.device | str = "auto",
    noisy: bool = False,
) -> NDArray[np.float64]:
    """Mean change [n_molecules] in Å of bond lengths and 1-3 distances that one more call would make.

    nan for molecules without a bond, and for those with elements that the denoiser does not know. `noisy`: as
    for `changes_by_one_more_call`.
    """
    return residuals_of(changes_by_one_more_call(denoiser, molecules, batch_size, device, noisy))


def residuals_of(changes: Sequence[Changes]) -> NDArray[np.float64]:
    """Their means [n_molecules] in Å, signs left out; nan where nothing is."""
    absolute = [np.abs(np.concatenate(change)) for change in changes]
    return np.array([each.mean() if len(each) else np.nan for each in absolute])


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
    """Write the limit of the residual and the factor of the energy left into a model's config.

    They are its part `confidence`, which is returned. `data` is an npz set with `positions_mmff94` of
    molecules that the model was trained on; `limit` of them, from all over the set, are denoised without
    noise. With `reference_model` the residuals of another denoiser count instead of the model's own; one that
    the config names is kept. MoreRed models get no factor. Raises UserError for too few molecules,
    and for a model folder that may not be written.
    """
    model = load_model(name_or_path)
    assert model.folder is not None
    make_writable_folder(model.folder)
    reference_model = reference_model or (model.config.get("confidence") or Confidence()).get("judge")
    asked = load_model(reference_model) if reference_model else model
    test = read_evaluation_set(data, model, limit, spread=True)
    molecules = test.inputs
    if len(molecules) < MIN_MOLECULES:
        raise UserError(
            f"{data}: {len(molecules)} molecules are too few to calibrate on; take at least {MIN_MOLECULES}"
        )
    sampler: Sampler | None = None if isinstance(model.schedule, MoreRedSchedule) else "few"
    results = sample(model, molecules, SamplerOptions(sampler=sampler, noise_free=True, device=device))
    ends = [replace(m, positions=r.positions) for m, r in zip(molecules, results, strict=True)]
    part = Confidence(judge=reference_model) if reference_model else Confidence()
    own = changes_by_one_more_call(model, ends, device=device)
    judged = own if asked is model else changes_by_one_more_call(asked, ends, device=device)
    part |= limit_from(residuals_of(judged), [len(each.numbers) for each in molecules])
    part |= energy_calibration(model, ends, test.references, own)
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
