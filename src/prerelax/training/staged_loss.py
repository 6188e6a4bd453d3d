"""The loss that trains the stages of a network together: each has its part, at what those before it make.

All molecules begin at their force-field minimum. As in the recycling of AlphaFold (Jumper et al., Nature
2021, 596, 583) no gradient passes from one stage to the one before it. Errors are those of the loss
`refinement` on a smaller scale: a network that leaves 0.001 Å in bonds should see them by their size, as a
model card counts them, not by their square.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, centred
from prerelax.networks.network import Network
from prerelax.networks.staged import StagedNetwork
from prerelax.training.config import StagedOptions
from prerelax.training.refinement_loss import distance_errors

LOST_ANG = 0.5
"""A stage that moves an atom farther has lost the molecule, as one with an element that is hardly known: it
may go 10^20 Å, and what later stages learn of that spoils what they know of all others."""


def staged_refinement_loss(
    network: Network,
    batch: Batch,
    schedule: NoiseSchedule,
    steps: tuple[int, int],
    generator: torch.Generator,
    options: StagedOptions,
) -> dict[str, Tensor]:
    """Errors of the interatomic distances after every stage, times the weights of `options`.

    A stage of weight 0 is called and not trained. Steps and random stream are not used. Returns `loss` (a
    scalar with gradient), and of the last stage `last` (its part), `log` (of 1 + `last`), `bonds` and
    `angles` (of that part bonds and 1-3 distances). Raises UserError for another network, a training set
    without starts, and for weights that are not one for each stage.
    """
    if not isinstance(network, StagedNetwork):
        raise UserError("the loss `staged-refinement` needs a network `staged`")
    if batch.positions_start is None or batch.topological_distance is None:
        raise UserError(
            "the loss `staged-refinement` needs a network with `bond_graph` and data with positions_mmff94: "
            "`prerelax data add-starts` computes them"
        )
    if len(options.weights) != len(network.stages):
        raise UserError(
            f"loss.options.weights has {len(options.weights)} values; the network has "
            f"{len(network.stages)} stages"
        )
    minimum = centred(batch.positions, batch)
    everyone = torch.ones_like(batch.n_atoms, dtype=torch.bool)
    trained = [weight > 0 for weight in options.weights]
    errors = [
        distance_errors(positions, minimum, batch, everyone, options.error_scale)
        for positions in geometries(network, batch.with_positions(batch.positions_start), schedule, trained)
    ]
    parts = torch.stack([torch.stack(of_stage).sum() for of_stage in errors])
    _, bonds, angles, *_ = errors[-1]
    loss = (parts.new_tensor(options.weights) * parts).sum()
    return {"loss": loss, "last": parts[-1], "log": torch.log1p(parts[-1]), "bonds": bonds, "angles": angles}


def geometries(
    network: StagedNetwork, batch: Batch, schedule: NoiseSchedule, trained: Sequence[bool] | None = None
) -> list[Tensor]:
    """Centred positions [n_atoms_total, 3] Å after each stage, each with the gradient of its own stage.

    Stages that are not `trained` leave none. The calls are those of `edm.few_calls`, but for molecules that a
    stage has lost: the next one is given what that stage was given.
    """
    positions, found = centred(batch.positions, batch), []
    trained = trained or [True] * len(network.stages)
    for stage, step, learns in zip(network.stages, network.steps, trained, strict=True):
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            found.append(after_call(stage, step, batch.with_positions(positions), schedule))
        after = found[-1].detach()
        positions = torch.where(_lost(positions, after, batch)[:, None], positions, after)
    return found


def _lost(before: Tensor, after: Tensor, batch: Batch) -> Tensor:
    """Of each atom [n_atoms_total], whether its molecule has gone farther than a stage can learn from."""
    moved = (after - before).norm(dim=1)
    gone = (~(moved < LOST_ANG)).to(moved)  # also where it is no number
    of_molecules = gone.new_zeros(batch.n_molecules).index_add(0, batch.molecule_index, gone)
    of_atoms: Tensor = (of_molecules > 0)[batch.molecule_index]
    return of_atoms


def after_call(stage: nn.Module, step: int, batch: Batch, schedule: NoiseSchedule) -> Tensor:
    """Centred positions [n_atoms_total, 3] Å after one call of a network at a step of the schedule."""
    time = torch.full_like(batch.n_atoms, step, dtype=batch.positions.dtype) / schedule.timesteps
    noise = stage(batch, time)
    size = float(schedule.sigma[step] / schedule.alpha[step])
    return centred(batch.positions - size * noise, batch)
