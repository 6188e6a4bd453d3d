"""Several noise networks of one kind, one for each call of a deterministic tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from prerelax.networks import build_network
from prerelax.networks.batch import Batch


class StagedNetwork(nn.Module):
    """Network k of `stages` is called at step `steps[k]` of the schedule (`edm.few_calls`).

    `stage` is the config of each. Raises UserError for an unknown network, ValueError for no steps.
    """

    def __init__(self, stage: Mapping[str, Any], steps: Sequence[int]) -> None:
        super().__init__()
        if not steps:
            raise ValueError("a staged network needs the step of each stage")
        self.steps = tuple(int(step) for step in steps)
        self.stages = nn.ModuleList(build_network(stage) for _ in self.steps)

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that the stages know."""
        known: tuple[int, ...] = getattr(self.stages[0], "elements", ())
        return known

    @property
    def uses_bond_graph(self) -> bool:
        return bool(getattr(self.stages[0], "uses_bond_graph", False))

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        """Noise [n_atoms_total, 3] that the last stage predicts at the time [n_molecules]."""
        noise: Tensor = self.stages[-1](batch, time)
        return noise
