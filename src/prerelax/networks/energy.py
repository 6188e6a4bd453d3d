"""A neural force field on PaiNN: the energy is a sum over atoms, the forces are its derivative.

The baseline of MoreRed's paper (Kahouli et al., MLST 2024, 5, 035038): 128 features, and an atomwise
perceptron of two layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prerelax.networks.batch import Batch, molecule_sums
from prerelax.networks.heads import AtomwiseHead
from prerelax.networks.morered import AtomNetwork, AtomNetworkOptions
from prerelax.networks.painn import N_EMBEDDED_ELEMENTS


@dataclass(frozen=True)
class EnergyNetworkOptions(AtomNetworkOptions):
    """Sizes of an `EnergyNetwork`, by default the paper's."""

    elements: Sequence[int] = (1, 6, 7, 8, 16, 17)
    n_features: int = 128
    n_head_layers: int = 2


class EnergyNetwork(AtomNetwork):
    """Energy eV of molecules from elements and geometry.

    `atom_energies` [100] eV, by atomic number, and the width `energy_scale` eV of what the network adds to
    them are buffers: set them from the training data with `fit_atom_energies`.
    """

    def __init__(self, options: EnergyNetworkOptions | None = None) -> None:
        options = options or EnergyNetworkOptions()
        super().__init__(options)
        self.energy_head = AtomwiseHead(options.n_features, options.n_head_layers)
        # float64: total energies are thousands of eV, of which the millionth part matters.
        self.register_buffer("atom_energies", torch.zeros(N_EMBEDDED_ELEMENTS, dtype=torch.float64))
        self.register_buffer("energy_scale", torch.ones((), dtype=torch.float64))
        self.atom_energies: Tensor
        self.energy_scale: Tensor

    def forward(self, batch: Batch) -> Tensor:
        """Energies [n_molecules] eV, float64."""
        scalars, _ = self.representation(batch)
        atoms = self.energy_head(scalars).double() * self.energy_scale + self.atom_energies[batch.numbers]
        return molecule_sums(atoms, batch)

    def energies_and_forces(self, batch: Batch, training: bool = False) -> tuple[Tensor, Tensor]:
        """Energies [n_molecules] eV, forces [n_atoms_total, 3] eV/Å; with `training` both differentiable."""
        with torch.enable_grad():
            positions = batch.positions.detach().clone().requires_grad_()
            energies = self(batch.with_positions(positions))
            (gradient,) = torch.autograd.grad(energies.sum(), positions, create_graph=training)
        return (energies, -gradient) if training else (energies.detach(), -gradient)

    @torch.no_grad()
    def fit_atom_energies(self, numbers: Sequence[Tensor], energies: Tensor) -> None:
        """Least-squares energies of the elements, and the standard deviation per atom of what they leave.

        `numbers` [n_atoms] of each molecule, `energies` [n_molecules] eV. Elements that always occur together
        share what cannot be told apart (smallest norm).
        """
        counts = torch.stack(
            [torch.bincount(z.long(), minlength=N_EMBEDDED_ELEMENTS) for z in numbers]
        ).double()
        energies = energies.double()
        present = torch.nonzero(counts.sum(0)).squeeze(1)
        solution = torch.linalg.lstsq(
            counts[:, present].cpu(), energies[:, None].cpu(), driver="gelsd"
        ).solution
        self.atom_energies.zero_()
        self.atom_energies[present] = solution.squeeze(1).to(self.atom_energies.device)
        rest = (energies.cpu() - (counts[:, present].cpu() @ solution).squeeze(1)) / counts.sum(
            1
        ).cpu().sqrt()
        self.energy_scale.fill_(max(float(rest.std(correction=0)), 1e-3))
