"""Denoisers in stages: each network is trained on the error that the ones before it left.

A small network that has converged on its training set leaves errors that another one of its size can still
learn (boosting, in statistics). Called one after the other, they cost as many calls as one network called
again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from prerelax.datasets.structures import Structures, read_npz, write_npz
from prerelax.denoisers.checkpoint import LoadedModel, load_model, save_model
from prerelax.denoisers.model_config import ModelConfig
from prerelax.diffusion.options import Device, SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.errors import UserError
from prerelax.molecules.topology import bonds_from_geometry, topological_distances
from prerelax.networks.staged import StagedNetwork

MOLECULES_AT_A_TIME = 5_000


def denoise_starts(
    model: str | Path, inp: Path, out: Path, calls: int | None = None, device: Device = "auto"
) -> tuple[int, int]:
    """Write the npz set `inp` to `out` with its starts denoised by `model`; returns molecules kept, left out.

    The next stage is trained on `out`. `calls` is as for `sample`. Molecules that the model cannot denoise
    are left out. Raises UserError for a file without starts, and if no molecule is kept.
    """
    denoiser = load_model(model)
    try:
        structures = read_npz(inp)
    except (OSError, ValueError) as error:
        raise UserError(f"{inp} cannot be denoised: {error}") from error
    if structures.positions_start is None:
        raise UserError(f"{inp} has no starts (positions_mmff94): `prerelax data add-starts` computes them")
    options = SamplerOptions(calls=calls, device=device)
    kept: list[int] = []
    starts = []
    for first in range(0, len(structures), MOLECULES_AT_A_TIME):
        rows = np.arange(first, min(first + MOLECULES_AT_A_TIME, len(structures)))
        part = structures.select(rows)
        for row, result in zip(rows, sample(denoiser, inputs_of(part), options), strict=True):
            if result.status == "ok":
                kept.append(int(row))
                starts.append(result.positions)
    if not kept:
        raise UserError(f"{inp}: {denoiser.name} can denoise none of its molecules")
    changed = replace(structures.select(kept), positions_start=np.concatenate(starts).astype(np.float32))
    write_npz(out, changed)
    return len(kept), len(structures) - len(kept)


def inputs_of(structures: Structures) -> list[SamplerInput]:
    """The starts, with the bonds of the minima: those that the training sees."""
    assert structures.positions_start is not None
    return [
        SamplerInput(
            str(identifier),
            numbers,
            structures.positions_start[structures.atoms_of(row)],
            topological_distances(bonds_from_geometry(numbers, minimum)),
        )
        for row, (identifier, numbers, minimum) in enumerate(structures)
    ]


def join_stages(models: Sequence[str | Path], out: Path) -> LoadedModel:
    """Write the model folder `out` whose calls are made by `models`, in this order.

    Each model is called once, at the `steps` of its own sampler's defaults. Raises UserError for models that
    differ in network or schedule, or that make more than one call themselves.
    """
    stages = [load_model(model) for model in models]
    if len(stages) < 2:
        raise UserError("a staged model has at least two stages")
    first = stages[0]
    for stage in stages[1:]:
        for part in ("network", "schedule"):
            if stage.config.get(part) != first.config.get(part):
                raise UserError(f"{stage.name} has another {part} than {first.name}")
    steps = [_step(stage) for stage in stages]
    weights: dict[str, Tensor] = {}
    for k, stage in enumerate(stages):
        weights |= {f"stages.{k}.{name}": tensor for name, tensor in stage.network.state_dict().items()}
    config: ModelConfig = {
        "network": {"name": "staged", "stage": first.config["network"], "steps": steps},
        "schedule": first.config["schedule"],
        "sampler": {"name": "few", "steps": steps[0], "calls": len(steps)},
        "training": {"stages": [stage.config.get("training") for stage in stages]},
    }
    save_model(out, weights, config)
    return load_model(out)


def _step(stage: LoadedModel) -> int:
    defaults = stage.sampler_defaults
    if defaults.get("name") != "few" or "steps" not in defaults or isinstance(stage.network, StagedNetwork):
        raise UserError(f"{stage.name} names no step at which it is called once (sampler: name few, steps)")
    return int(defaults["steps"])
