"""A neural force field trained by `prerelax train`, as an engine; the method is the model's name or path."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ase import Atoms

from prerelax.denoisers.model_folders import CONFIG, WEIGHTS, find_model
from prerelax.engines.calculator import EngineCalculator, Forces
from prerelax.engines.engine import Engine
from prerelax.engines.failures import EngineError
from prerelax.engines.level import Level, versions
from prerelax.reading import read_yaml_file

NETWORK = "force-field"


class ForceFieldEngine(Engine):
    """The networks hold the level that they were trained at."""

    name = "mlff"
    is_cheap = True
    in_torch = True
    method_is_model = True
    refuses: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("basis", "dispersion"), "a neural force field has neither basis nor dispersion"
    )
    gradient_s = (0.01, 1.0)

    def validate(self, level: Level) -> None:
        """Raise ValueError unless the method is a trained force field."""
        _folder(level)

    def settings(self, level: Level) -> dict[str, object]:
        weights = (_folder(level) / WEIGHTS).read_bytes()
        return {"weights_sha256": hashlib.sha256(weights).hexdigest(), "versions": versions("torch")}

    def calculator(self, level: Level, charge: int, multiplicity: int, threads: int) -> EngineCalculator:
        """On the processor with `threads` threads."""
        import torch

        torch.set_num_threads(threads)
        return NeuralForceField(_folder(level), charge, multiplicity)


def _folder(level: Level) -> Path:
    folder = find_model(level.method)
    config = read_yaml_file(folder / CONFIG)
    said = config.get("network") if isinstance(config, dict) else None
    network = said.get("name") if isinstance(said, dict) else None
    if network != NETWORK:
        raise ValueError(f"{level.method} is a {network}, not a force field ({NETWORK})")
    return folder


class NeuralForceField(EngineCalculator):
    """ASE calculator of a model folder whose network is an `EnergyNetwork`.

    The networks are trained on neutral closed shells: anything else is refused. Raises ModelError where there
    is no such model.
    """

    status_of_no_numbers = "unknown_error"

    def __init__(self, folder: Path | str, charge: int = 0, multiplicity: int = 1) -> None:
        from prerelax.denoisers.checkpoint import load_model

        self.model = load_model(folder)
        super().__init__(f"the force field {self.model.name}", charge, multiplicity, self.model.elements)

    def energy_and_forces(self, atoms: Atoms, changes: list[str]) -> tuple[float, Forces]:
        from prerelax.networks.batch import make_batch
        from prerelax.networks.energy import EnergyNetwork

        if self.charge or self.multiplicity != 1:
            raise EngineError("input_error", "a neural force field knows neutral closed-shell molecules only")
        network = self.model.network
        assert isinstance(network, EnergyNetwork)
        centre = atoms.positions.mean(axis=0)
        energies, forces = network.energies_and_forces(
            make_batch([atoms.numbers], [atoms.positions - centre])
        )
        return float(energies[0]), forces.double().numpy()
