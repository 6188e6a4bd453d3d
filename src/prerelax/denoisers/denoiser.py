"""The contract of a denoiser: what samplers and losses ask of a network that predicts noise."""

from __future__ import annotations

from typing import Protocol, TypeGuard, runtime_checkable

from torch import Tensor, nn

from prerelax.errors import UserError
from prerelax.networks.batch import Batch
from prerelax.networks.network import Types


@runtime_checkable
class Denoiser(Protocol):
    """Predicts the noise in geometries. Whatever satisfies this can be sampled, trained and shipped.

    The prediction must be free of translations and equivariant under rotations.
    """

    @property
    def types(self) -> Types:
        """Whether the elements are noised along with the positions (`TypeDenoiser`), or given."""
        ...

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that it knows; empty: all."""
        ...

    @property
    def uses_bond_graph(self) -> bool:
        """Whether the batch must carry topological distances."""
        ...

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        """Noise [n_atoms_total, 3], at times [n_molecules] from 0 to 1; of a `TypeDenoiser`
        [n_atoms_total, 3 + n_types].
        """
        ...

    def __call__(self, batch: Batch, time: Tensor) -> Tensor:
        """`forward`, as torch's modules are called."""
        ...


class TypeDenoiser(Denoiser, Protocol):
    """A denoiser that predicts the noise in the elements as well; the batch carries `features`."""

    @property
    def n_types(self) -> int:
        """Width of the noised features."""
        ...

    def atom_features(self, numbers: Tensor) -> Tensor:
        """Features [n_atoms_total, n_types] of atomic numbers [n_atoms_total], without noise."""
        ...


def diffuses_types(network: Denoiser) -> TypeGuard[TypeDenoiser]:
    """Whether a denoiser predicts the noise in the elements along with that in the positions."""
    return network.types == "diffused"


def as_denoiser(network: nn.Module, name: str = "") -> Denoiser:
    """`network`, known to predict noise. Raises UserError with `name` for one that does not."""
    if not isinstance(network, Denoiser):
        raise UserError(f"{name or type(network).__name__} predicts no noise: it cannot denoise")
    return network
