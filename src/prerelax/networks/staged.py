"""Several noise networks of one kind, one for each call of a deterministic tail."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from prerelax.networks.batch import Batch
from prerelax.networks.network import Network, Types


class StagedNetwork(Network):
    """Network k of `stages` is called at step `steps[k]` of the schedule (`edm.few_calls`).

    Raises ValueError for no steps, or another number of stages.
    """

    types: Types = "fixed"

    def __init__(self, stages: Sequence[Network], steps: Sequence[int]) -> None:
        super().__init__()
        if not steps or len(stages) != len(steps):
            raise ValueError("a staged network needs one step for each stage")
        self.steps = tuple(int(step) for step in steps)
        self.stages = nn.ModuleList(stages)
        self.elements = stages[0].elements
        self.uses_bond_graph = stages[0].uses_bond_graph

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        """Noise [n_atoms_total, 3] that the last stage predicts at the time [n_molecules]."""
        noise: Tensor = self.stages[-1](batch, time)
        return noise
