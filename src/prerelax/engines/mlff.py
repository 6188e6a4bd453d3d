"""A neural force field trained by `prerelax train`, as an engine; the method is the model's name or path."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from prerelax.denoisers.model_folders import CONFIG, WEIGHTS, find_model
from prerelax.engines.level import EngineError, Level, check_elements, check_molecule, versions

NETWORK = "force-field"


def validate(level: Level) -> None:
    """Raise ValueError unless the method is a trained force field, without basis and dispersion."""
    if level.basis is not None or level.dispersion is not None:
        raise ValueError("a neural force field has neither basis nor dispersion; leave them out")
    _folder(level)


def settings(level: Level) -> dict[str, Any]:
    """What the numbers depend on beside the level's own words: the weights."""
    weights = (_folder(level) / WEIGHTS).read_bytes()
    return {"weights_sha256": hashlib.sha256(weights).hexdigest(), "versions": versions("torch")}


def calculator(level: Level, charge: int, multiplicity: int, threads: int) -> Calculator:
    """The force field's calculator, on the processor with `threads` threads."""
    import torch

    torch.set_num_threads(threads)
    return NeuralForceField(_folder(level), charge, multiplicity)


def _folder(level: Level) -> Path:
    folder = find_model(level.method)
    config = yaml.safe_load((folder / CONFIG).read_text())
    network = (config.get("network") or {}).get("name") if isinstance(config, dict) else None
    if network != NETWORK:
        raise ValueError(f"{level.method} is a {network}, not a force field ({NETWORK})")
    return folder


class NeuralForceField(Calculator):
    """ASE calculator of a model folder whose network is an `EnergyNetwork`.

    The networks are trained on neutral closed shells: anything else is refused. Raises ModelError where there
    is no such model.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces"]

    def __init__(self, folder: Path | str, charge: int = 0, multiplicity: int = 1) -> None:
        from prerelax.denoisers.checkpoint import load_model

        super().__init__()
        self.model = load_model(folder)
        self.charge = charge
        self.multiplicity = multiplicity

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy eV and forces eV/Å at the geometry of `atoms`. Raises EngineError."""
        from prerelax.networks.batch import make_batch

        super().calculate(atoms, properties or ["energy"], system_changes)
        check_molecule(self.atoms.numbers, self.atoms.positions, self.charge, self.multiplicity)
        foreign = set(range(1, 120)) - set(self.model.elements)
        check_elements(self.atoms.numbers, foreign, f"the force field {self.model.name}")
        if self.charge or self.multiplicity != 1:
            raise EngineError("input_error", "a neural force field knows neutral closed-shell molecules only")
        network: Any = self.model.network
        centre = self.atoms.positions.mean(axis=0)
        batch = make_batch([self.atoms.numbers], [self.atoms.positions - centre])
        energies, forces = network.energies_and_forces(batch)
        energy, forces_ev_ang = float(energies[0]), forces.double().numpy()
        if not (np.isfinite(energy) and np.isfinite(forces_ev_ang).all()):
            raise EngineError(
                "unknown_error", "the force field gives an energy or forces that are not numbers"
            )
        self.results = {"energy": energy, "free_energy": energy, "forces": forces_ev_ang}
