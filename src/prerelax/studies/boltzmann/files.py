"""Where the chains of the study lie, in a folder of the campaign's results."""

from collections.abc import Sequence
from pathlib import Path


def metropolis_files(folder: Path, temperatures_k: Sequence[float]) -> list[Path]:
    """Metropolis chains, a file for each temperature."""
    return [folder / "metropolis" / f"{kelvin:g}K.parquet" for kelvin in temperatures_k]


def energy_files(folder: Path, steps: Sequence[int]) -> list[Path]:
    """Energies of what repeated steps visit, a file for each step."""
    return [folder / "energies" / f"n{step}.extxyz" for step in steps]


def row_files(folder: Path, scheme: str, steps: Sequence[int]) -> list[Path]:
    """How the chains of a scheme ended, a file for each step."""
    return [folder / scheme / f"rows-n{step}.extxyz" for step in steps]
