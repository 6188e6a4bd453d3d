"""The traits that every network states."""

from __future__ import annotations

from typing import Literal

from torch import nn

Types = Literal["diffused", "fixed"]
"""Whether a denoiser's noise is in the elements as well as in the positions, or in the positions alone."""


class Network(nn.Module):
    """A network with the traits that loading, sampling and training ask for."""

    elements: tuple[int, ...] = ()
    """atomic numbers that it can be given; empty: all"""
    uses_bond_graph: bool = False
    """whether a batch must carry topological distances"""
