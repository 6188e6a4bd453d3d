"""From the `data` part of a training config to the structures that may be trained on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets import qm9
from prerelax.datasets.left_out import graphs_of, without_tested
from prerelax.datasets.structures import Structures, collect, read_npz, read_xyz
from prerelax.errors import UserError
from prerelax.settings import expand_path
from prerelax.training.config import DataConfig


def read_training_set(config: DataConfig, network_elements: Sequence[int]) -> Structures:
    """Read and filter as `config` says.

    Raises UserError for files that cannot be read, an unknown format, and an empty set.
    """
    try:
        return _filtered(config, network_elements)
    except (OSError, ValueError) as error:
        raise UserError(f"data: {error}") from error


def _filtered(config: DataConfig, network_elements: Sequence[int]) -> Structures:
    structures = _read(config.format, config.file)
    for source in config.exclude:
        structures = structures.without_ids(read_ids(expand_path(source)).tolist())
    elements = config.elements or network_elements
    if elements:
        structures = structures.with_elements(elements)
    structures = without_tested(structures, graphs_of([expand_path(each) for each in config.unlike]))
    if not len(structures):
        raise ValueError(f"{config.file}: no molecule is left after the filters")
    return structures


def read_ids(path: Path) -> NDArray[np.int64]:
    """Ids of an npz set, or the first integer of every line of a text file."""
    if path.suffix == ".npz":
        return read_npz(path).ids.astype(np.int64)
    found = [re.match(r"\s*(\d+)", line) for line in path.read_text().splitlines()]
    return np.array([int(match[1]) for match in found if match], dtype=np.int64)


def _read(kind: str, path: Path) -> Structures:
    if kind == "npz":
        return read_npz(path)
    if kind == "xyz":
        return read_xyz(path)
    if kind == "sdf":
        return collect(qm9.read_sdf(path))
    raise ValueError(f"unknown data format {kind!r}; known: npz, xyz, sdf")
