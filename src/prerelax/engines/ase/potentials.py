"""Neural potentials by the name of their model, as ASE calculators; `server` reads it, without prerelax.

Double precision where the package offers it, for geometries converge on differences of energies. Models come
with their packages or are downloaded by them; a file of weights needs the site's consent before it gets here.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from ase.calculators.calculator import Calculator, all_changes

WEIGHTS = (".model", ".pt", ".pth", ".ckpt", ".jit", ".jpt")
"""Endings of files that torch unpickles, i.e. that may run code. Anything else is a model's name, whatever
lies in the folder."""


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def mace(model: str, **options: Any) -> Any:
    """`mace-off-small`, `mace-omol`, …, or a file of weights."""
    from mace import calculators

    options = {"device": device(), "default_dtype": "float64", **options}
    family, _, size = model.lower().partition("-")[2].partition("-")
    if model.endswith(WEIGHTS):
        return calculators.MACECalculator(model_paths=model, **options)
    makers = {
        "off": "mace_off",
        "off23": "mace_off",
        "mp": "mace_mp",
        "omol": "mace_omol",
        "anicc": "mace_anicc",
    }
    if family not in makers:
        raise ValueError(
            f"no MACE model is called {model}; known are mace-off-small, mace-omol, mace-mp-medium …"
        )
    return getattr(calculators, makers[family])(**({"model": size} if size else {}), **options)


def aimnet2(model: str, **options: Any) -> Any:
    """`aimnet2`, `aimnet2nse`, …"""
    from aimnet.calculators import AIMNet2ASE

    return AIMNet2ASE(model, **options)


def ani(model: str, **options: Any) -> Any:
    """`ANI-2x`, `ANI-1ccx`, `ANI-1x`, and the `ANI-2xt` of the package auto3d."""
    os.environ.setdefault("TORCHANI_NO_WARN_EXTENSIONS", "1")
    name = model.replace("-", "")
    if name.lower() == "ani2xt":
        return Ani2xt(**options)
    import torchani

    if not hasattr(torchani.models, name):
        raise ValueError(f"no ANI model is called {model}; known are ANI-2x, ANI-1ccx, ANI-1x, ANI-2xt")
    return getattr(torchani.models, name)(**options).to(device()).double().ase()


def orb(model: str, **options: Any) -> Any:
    """`orb_v3_conservative_omol`, …"""
    from orb_models.forcefield import pretrained
    from orb_models.forcefield.calculator import ORBCalculator

    loaded = getattr(pretrained, model.replace("-", "_"))(device=device(), precision="float64", **options)
    return ORBCalculator(loaded, device=device())


def uma(model: str, **options: Any) -> Any:
    """`uma-s-1p1`, …, at the level of the Open Molecules (task omol)."""
    from fairchem.core import FAIRChemCalculator, pretrained_mlip

    unit = pretrained_mlip.get_predict_unit(model, device=device())
    return FAIRChemCalculator(unit, **{"task_name": "omol", **options})


class Ani2xt(Calculator):
    """The network of Auto3D (Liu et al., J. Chem. Inf. Model. 2022, 62, 5373) for H, C, N, O, F, S and Cl."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self) -> None:
        super().__init__()
        import torch
        from Auto3D.engines.models.ani2xt import ANI2xt
        from Auto3D.engines.models.species import ANI2XT_INDEX

        self.torch, self.index = torch, ANI2XT_INDEX
        self.network = ANI2xt(torch.device(device())).double()

    def calculate(
        self,
        atoms: Any = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        torch = self.torch
        others = set(self.atoms.symbols[[z not in self.index for z in self.atoms.numbers]])
        if others:
            raise ValueError(f"ANI-2xt has no parameters for {', '.join(sorted(others))}")
        species = torch.tensor([[self.index[z] for z in self.atoms.numbers]], device=device())
        x = torch.tensor(self.atoms.positions[None], device=device(), requires_grad=True)
        energy = self.network(species, x).sum()
        forces = -torch.autograd.grad(energy, x)[0][0]
        self.results = {"energy": float(energy), "forces": forces.cpu().numpy()}
