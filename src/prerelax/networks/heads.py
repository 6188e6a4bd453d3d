"""Output heads on per-atom scalars and vectors: perceptron, gated equivariant blocks, time and noise.

Parameter names and shapes are those of SchNetPack 2.1.1 and MoreRed, whose weights load unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from prerelax.networks.products import linear

SMALLEST_NORM = 1e-10


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Scalar products [n_atoms, F] of vectors [n_atoms, 3, F]; faster than reducing over the middle axis."""
    return a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2]


class Dense(nn.Linear):
    """Linear layer with SchNetPack's initial values: Xavier-uniform weights, zero biases."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() == 2:
            return linear(input, self.weight, self.bias)
        return torch.unflatten(linear(input.flatten(0, -2), self.weight, self.bias), 0, input.shape[:-1])


class Perceptron(nn.Sequential):
    """Dense layers of the given widths with SiLU between them, none after the last."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(*(Dense(n_in, n_out) for n_in, n_out in pairwise(widths)))

    def forward(self, input: Tensor) -> Tensor:
        *hidden, last = self
        for layer in hidden:
            input = silu(layer(input))
        out: Tensor = last(input)
        return out


def halving_widths(n_features: int, n_layers: int, n_out: int = 1) -> list[int]:
    """Widths of a pyramid: halved after every layer, then `n_out`."""
    return [max(n_out, n_features // 2**i) for i in range(n_layers)] + [n_out]


class AtomwiseHead(nn.Module):
    """One number [n_atoms] per atom from its scalars [n_atoms, F]."""

    def __init__(self, n_features: int, n_layers: int) -> None:
        super().__init__()
        self.outnet = Perceptron(halving_widths(n_features, n_layers))

    def forward(self, scalars: Tensor) -> Tensor:
        out: Tensor = self.outnet(scalars).squeeze(-1)
        return out


class GatedEquivariantBlock(nn.Module):
    """Scalars [n_atoms, n_scalars] and vectors [n_atoms, 3, n_in] to n_out of each.

    Vectors are mixed linearly and scaled by what a perceptron makes of the scalars and the vectors' norms.
    Source: Schütt, Unke, Gastegger, ICML 2021, fig. 3.
    """

    def __init__(self, n_scalars: int, n_in: int, n_out: int, activate_scalars: bool) -> None:
        super().__init__()
        self.mix_vectors = Dense(n_in, 2 * n_out, bias=False)
        self.scalar_net = Perceptron([n_scalars + n_out, n_in, 2 * n_out])
        self.activate_scalars = activate_scalars

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        measured, passed = self.mix_vectors(vectors).chunk(2, dim=-1)
        # The clamp gives a zero vector, as of an atom without neighbours, the gradient zero instead of NaN.
        norms = dot(measured, measured).clamp_min(SMALLEST_NORM**2).sqrt()
        scalars, gates = self.scalar_net(torch.cat([scalars, norms], dim=-1)).chunk(2, dim=-1)
        return silu(scalars) if self.activate_scalars else scalars, gates[:, None, :] * passed


class NoiseHead(nn.Module):
    """One vector [n_atoms, 3] per atom from scalars, vectors and a time [n_atoms]; not yet centred."""

    def __init__(self, n_features: int, n_layers: int) -> None:
        super().__init__()
        widths = halving_widths(n_features, n_layers)
        self.outnet = nn.ModuleList(
            GatedEquivariantBlock(
                n_scalars=n_in + (1 if i == 0 else 0),
                n_in=n_in,
                n_out=n_out,
                activate_scalars=i < n_layers - 1,
            )
            for i, (n_in, n_out) in enumerate(pairwise(widths))
        )

    def forward(self, scalars: Tensor, vectors: Tensor, time: Tensor) -> Tensor:
        scalars = torch.cat([scalars, time[:, None].to(scalars.dtype)], dim=-1)
        for block in self.outnet:
            scalars, vectors = block(scalars, vectors)
        return vectors.squeeze(-1)
