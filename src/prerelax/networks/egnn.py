"""The E(3)-equivariant graph network of EDM, and a few options that make it a better relaxer.

With its default options the network is the one of the published EDM code (Hoogeboom et al., ICML 2022) as the
relaxation paper uses it (Chem. Sci. 2024, 15, 13506): all atoms of a molecule interact, and every block first
passes messages and then moves the coordinates. The predicted noise is the distance that the coordinates
moved.

The first layer of every pair network acts on [h_receiver, h_sender, d², d0²]. It is applied to the atoms
before they are gathered into pairs, which is the same sum for a fraction of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prerelax.molecules.topology import MAX_TOPOLOGICAL_DISTANCE
from prerelax.networks.batch import Batch, centred

TYPES = ("diffused", "fixed")
AGGREGATIONS = ("sum", "mean")
MOTIONS = ("noise", "none", "denoised")


class EGNN(nn.Module):
    """Denoiser: predicts the noise in the positions, and in the types where these are diffused along.

    `elements` are the atomic numbers it knows, in the order of the one-hot encoding. `types`: with `diffused`
    the atom features are noised together with the positions (the papers' model), with `fixed` they are the
    clean elements. `charges` appends Z to the features, which are divided by `one_hot_scale` and
    `charge_scale`. Options of our own, all off in the published network: `bond_graph` adds an embedding of
    the topological distance to each pair, `radial_basis` that many Gaussians of the interatomic distance,
    `log_time` gives the time on a logarithmic scale as well. `motion` says which geometry a block sees:
    `noise` the coordinates moved by the noise predicted so far (published; of the order of 1 Å, so distances
    lose their meaning), `none` the input geometry, `denoised` the input minus sigma(t) times the noise
    predicted so far, so that each block refines the geometry of the one before.

    Raises ValueError for an option outside its range.
    """

    def __init__(
        self,
        elements: Sequence[int] = (1, 6, 7, 8, 9),
        n_layers: int = 9,
        n_features: int = 256,
        types: str = "diffused",
        charges: bool = True,
        one_hot_scale: float = 4.0,
        charge_scale: float = 10.0,
        attention: bool = True,
        tanh: bool = True,
        coords_range: float = 15.0,
        norm_constant: float = 1.0,
        inv_sublayers: int = 1,
        aggregation: str = "sum",
        normalization_factor: float = 1.0,
        bond_graph: bool = False,
        radial_basis: int = 0,
        radial_range: Sequence[float] = (0.7, 4.0),
        log_time: bool = False,
        motion: str = "noise",
    ) -> None:
        super().__init__()
        if types not in TYPES:
            raise ValueError(f"types must be one of {', '.join(TYPES)}, not {types!r}")
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation must be one of {', '.join(AGGREGATIONS)}, not {aggregation!r}")
        if motion not in MOTIONS:
            raise ValueError(f"motion must be one of {', '.join(MOTIONS)}, not {motion!r}")
        self.elements = tuple(int(z) for z in elements)
        self.types = types
        self.charges = charges
        self.one_hot_scale = one_hot_scale
        self.charge_scale = charge_scale
        self.uses_bond_graph = bond_graph
        self.log_time = log_time
        self.norm_constant = norm_constant
        self.motion = motion
        self.n_types = len(self.elements) + int(charges)
        """Width of the atom features that are noised along when types are diffused."""
        n_inputs = self.n_types + (2 if log_time else 1)
        self.embedding = nn.Linear(n_inputs, n_features)
        self.embedding_out = nn.Linear(n_features, n_inputs) if types == "diffused" else None
        self.topology = TopologyOneHot() if bond_graph else None
        self.radial = RadialBasis(radial_basis, *radial_range) if radial_basis else None
        n_pair_inputs = 2 + radial_basis + (MAX_TOPOLOGICAL_DISTANCE + 1 if bond_graph else 0)
        block: dict[str, Any] = {
            "n_features": n_features,
            "n_pair_inputs": n_pair_inputs,
            "aggregation": aggregation,
            "normalization_factor": normalization_factor,
        }
        self.blocks = nn.ModuleList(
            EquivariantBlock(inv_sublayers, attention, tanh, coords_range, **block) for _ in range(n_layers)
        )
        known = torch.full((max(self.elements) + 1,), -1, dtype=torch.int64)
        known[list(self.elements)] = torch.arange(len(self.elements))
        self.element_index: Tensor
        self.register_buffer("element_index", known, persistent=False)

    def atom_features(self, numbers: Tensor) -> Tensor:
        """Clean features [n_atoms_total, n_types]: scaled one-hot and, with charges, scaled Z."""
        index = self.element_index[numbers]
        one_hot = (
            nn.functional.one_hot(index, len(self.elements)).to(self.embedding.weight.dtype)
            / self.one_hot_scale
        )
        if not self.charges:
            return one_hot
        return torch.cat([one_hot, numbers[:, None].to(one_hot.dtype) / self.charge_scale], dim=1)

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        """Predicted noise [n_atoms_total, 3], or [n_atoms_total, 3 + n_types] where the types are diffused.

        `time` [n_molecules] is step / T. With diffused types `batch.features` holds the noised features. The
        positions' part sums to zero over each molecule. Raises ValueError when the batch lacks what is
        needed.
        """
        h = self.embedding(self._inputs(batch, time))
        receiver, sender = batch.pairs
        distance2, direction = pair_geometry(batch.positions, batch.pairs, self.norm_constant)
        constant = [distance2] if self.topology is None else [distance2, self.topology(batch)]
        noise = torch.zeros_like(batch.positions)
        step_size = self._step_size(batch, time)
        for block in self.blocks:
            pair_inputs = torch.cat([distance2, *constant, *self._radial_inputs(distance2)], dim=1)
            h, step = block(h, pair_inputs, direction, receiver, sender)
            noise = noise + step
            if step_size is not None:
                seen = batch.positions + step_size * noise
                distance2, direction = pair_geometry(seen, batch.pairs, self.norm_constant)
        noise = centred(noise, batch)
        if self.embedding_out is None:
            return noise
        return torch.cat([noise, self.embedding_out(h)[:, : self.n_types]], dim=1)

    def _step_size(self, batch: Batch, time: Tensor) -> Tensor | float | None:
        """What the predicted noise is multiplied by to make the next block's geometry; None: no motion."""
        if self.motion == "none":
            return None
        if self.motion == "noise":
            return 1.0
        return -approximate_sigma(time)[batch.molecule_index, None].to(batch.positions.dtype)

    def _radial_inputs(self, distance2: Tensor) -> list[Tensor]:
        return [] if self.radial is None else [self.radial(distance2)]

    def _inputs(self, batch: Batch, time: Tensor) -> Tensor:
        if self.types == "fixed":
            features = self.atom_features(batch.numbers)
        elif batch.features is None:
            raise ValueError("this network diffuses atom types: the batch needs noised features")
        else:
            features = batch.features
        times = time[:, None].to(features.dtype)
        if self.log_time:
            times = torch.cat([times, torch.log10(times + LOG_TIME_OFFSET)], dim=1)
        return torch.cat([features, times[batch.molecule_index]], dim=1)


LOG_TIME_OFFSET = 2e-3
"""Below this time the noise of the EDM schedule levels off (sigma² = 2 t² + 1e-5 for small t)."""


def approximate_sigma(time: Tensor) -> Tensor:
    """sigma at `time` in [0, 1] for EDM's polynomial_2 schedule with precision 1e-5, any number of steps."""
    return torch.sqrt(1.0 - (1.0 - time**2) ** 2 + 1e-5)


def pair_geometry(positions: Tensor, pairs: Tensor, norm_constant: float) -> tuple[Tensor, Tensor]:
    """Squared distances [n_pairs, 1] Å², and sender-to-receiver vectors [n_pairs, 3] over (distance +
    constant).
    """
    difference = gather(positions, pairs[0]) - gather(positions, pairs[1])
    distance2 = (difference**2).sum(1, keepdim=True)
    distance = torch.sqrt(distance2 + 1e-8)
    return distance2, difference / (distance + norm_constant)


class TopologyOneHot(nn.Module):
    """Topological distances of all pairs as one-hot vectors [n_pairs, 5], for a learned embedding."""

    def forward(self, batch: Batch) -> Tensor:
        if batch.topological_distance is None:
            raise ValueError("this network uses the bond graph: the batch needs topological distances")
        one_hot = nn.functional.one_hot(batch.topological_distance, MAX_TOPOLOGICAL_DISTANCE + 1)
        return one_hot.to(batch.positions.dtype)


SMALLEST_EXPONENT = -30.0


class RadialBasis(nn.Module):
    """Gaussians of the interatomic distance, evenly spaced and as wide as their spacing."""

    def __init__(self, n_functions: int, start_ang: float, end_ang: float) -> None:
        super().__init__()
        centres = torch.linspace(start_ang, end_ang, n_functions)
        self.centres: Tensor
        self.register_buffer("centres", centres, persistent=False)
        self.factor = -0.5 / float(centres[1] - centres[0]) ** 2

    def forward(self, distance2: Tensor) -> Tensor:
        distance = torch.sqrt(distance2 + 1e-8)
        exponent = self.factor * (distance - self.centres) ** 2
        # Far from a centre the values would be subnormal numbers, with which CPUs are many times slower.
        return torch.exp(exponent.clamp(min=SMALLEST_EXPONENT))


class EquivariantBlock(nn.Module):
    """`inv_sublayers` rounds of messages, then one move of the coordinates."""

    def __init__(
        self,
        inv_sublayers: int,
        attention: bool,
        tanh: bool,
        coords_range: float,
        n_features: int,
        n_pair_inputs: int,
        aggregation: str,
        normalization_factor: float,
    ) -> None:
        super().__init__()
        self.messages = nn.ModuleList(
            MessageLayer(n_features, n_pair_inputs, attention, aggregation, normalization_factor)
            for _ in range(inv_sublayers)
        )
        self.move = CoordinateLayer(
            n_features, n_pair_inputs, tanh, coords_range, aggregation, normalization_factor
        )

    def forward(
        self, h: Tensor, pair_inputs: Tensor, direction: Tensor, receiver: Tensor, sender: Tensor
    ) -> tuple[Tensor, Tensor]:
        for layer in self.messages:
            h = layer(h, pair_inputs, receiver, sender)
        return h, self.move(h, pair_inputs, direction, receiver, sender)


class MessageLayer(nn.Module):
    """h_i + MLP(h_i, sum_j e_ij m_ij) with messages m_ij from both atoms and their distance, gates e_ij."""

    def __init__(
        self,
        n_features: int,
        n_pair_inputs: int,
        attention: bool,
        aggregation: str,
        normalization_factor: float,
    ) -> None:
        super().__init__()
        self.pair = PairLinear(n_features, n_pair_inputs)
        self.pair_out = Linear(n_features, n_features)
        self.attention = Linear(n_features, 1) if attention else None
        self.atom = nn.Sequential(
            Linear(2 * n_features, n_features), nn.SiLU(), Linear(n_features, n_features)
        )
        self.aggregate = Aggregate(aggregation, normalization_factor)

    def forward(self, h: Tensor, pair_inputs: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
        message = silu(self.pair_out(silu(self.pair(h, pair_inputs, receiver, sender))))
        if self.attention is not None:
            message = multiplied(message, torch.sigmoid(self.attention(message)))
        received = self.aggregate(message, receiver, len(h))
        updated: Tensor = h + self.atom(torch.cat([h, received], dim=1))
        return updated


class CoordinateLayer(nn.Module):
    """Moves [n_atoms_total, 3] of the coordinates along the directions to all other atoms."""

    def __init__(
        self,
        n_features: int,
        n_pair_inputs: int,
        tanh: bool,
        coords_range: float,
        aggregation: str,
        normalization_factor: float,
    ) -> None:
        super().__init__()
        self.pair = PairLinear(n_features, n_pair_inputs)
        self.pair_out = Linear(n_features, n_features)
        self.weight = Linear(n_features, 1, bias=False)
        nn.init.xavier_uniform_(self.weight.weight, gain=0.001)  # starts as a network that hardly moves atoms
        self.tanh = tanh
        self.coords_range = coords_range
        self.aggregate = Aggregate(aggregation, normalization_factor)

    def forward(
        self, h: Tensor, pair_inputs: Tensor, direction: Tensor, receiver: Tensor, sender: Tensor
    ) -> Tensor:
        weight = self.weight(silu(self.pair_out(silu(self.pair(h, pair_inputs, receiver, sender)))))
        if self.tanh:
            weight = torch.tanh(weight) * self.coords_range
        moved: Tensor = self.aggregate(direction * weight, receiver, len(h))
        return moved


class PairLinear(nn.Module):
    """Linear layer on [h_receiver, h_sender, pair inputs], computed per atom where the inputs belong to
    atoms.
    """

    def __init__(self, n_features: int, n_pair_inputs: int) -> None:
        super().__init__()
        whole = nn.Linear(2 * n_features + n_pair_inputs, n_features)  # the published initialisation
        receiver, sender, pair = whole.weight.detach().split([n_features, n_features, n_pair_inputs], dim=1)
        self.receiver = nn.Parameter(receiver.clone())
        self.sender = nn.Parameter(sender.clone())
        self.pair = nn.Parameter(pair.clone())
        self.bias = nn.Parameter(whole.bias.detach().clone())

    def forward(self, h: Tensor, pair_inputs: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
        from_receiver = gather(linear(h, self.receiver, self.bias), receiver)
        from_sender = gather(linear(h, self.sender, None), sender)
        return added(added(linear(pair_inputs, self.pair, None), from_receiver), from_sender)


class Aggregate(nn.Module):
    """Sum of pair values over senders divided by a constant, or their mean."""

    def __init__(self, aggregation: str, normalization_factor: float) -> None:
        super().__init__()
        self.mean = aggregation == "mean"
        self.factor = normalization_factor

    def forward(self, values: Tensor, receiver: Tensor, n_atoms: int) -> Tensor:
        total = values.new_zeros((n_atoms, values.shape[1])).index_add(0, receiver, values)
        if not self.mean:
            return total / self.factor
        count = torch.bincount(receiver, minlength=n_atoms).clamp(min=1)
        return total / count[:, None].to(total.dtype)


# Between matrix products pair tensors are bound by memory. Without gradients they are changed in place.


def silu(values: Tensor) -> Tensor:
    """SiLU; overwrites `values` where no gradient is recorded."""
    return nn.functional.silu(values, inplace=not torch.is_grad_enabled())


def added(values: Tensor, others: Tensor) -> Tensor:
    """Sum; overwrites `values` where no gradient is recorded."""
    return values + others if torch.is_grad_enabled() else values.add_(others)


def multiplied(values: Tensor, others: Tensor) -> Tensor:
    """Product; overwrites `values` where no gradient is recorded."""
    return values * others if torch.is_grad_enabled() else values.mul_(others)


class Linear(nn.Linear):
    """nn.Linear by the faster product of `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def linear(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """values @ weight.T + bias. On CPUs through a transposed copy of the weight: MKL is twice as fast with
    it.
    """
    if values.device.type != "cpu":
        return nn.functional.linear(values, weight, bias)
    result: Tensor = _CpuLinear.apply(values, weight, bias)
    return result


class _CpuLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.has_bias = bias is not None
        transposed = weight.t().contiguous()
        return torch.mm(values, transposed) if bias is None else torch.addmm(bias, values, transposed)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        values, weight = ctx.saved_tensors
        for_values = torch.mm(gradient, weight) if ctx.needs_input_grad[0] else None
        for_weight = torch.mm(gradient.t(), values) if ctx.needs_input_grad[1] else None
        for_bias = gradient.sum(0) if ctx.has_bias and ctx.needs_input_grad[2] else None
        return for_values, for_weight, for_bias


def gather(values: Tensor, index: Tensor) -> Tensor:
    """values[index] along the first axis, with a faster sum over repeated rows in the backward pass."""
    result: Tensor = _Gather.apply(values, index)
    return result


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.n_rows = len(values)
        return values.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        total = gradient.new_zeros((ctx.n_rows, *gradient.shape[1:]))
        return total.scatter_add_(0, index[:, None].expand_as(gradient), gradient), None
