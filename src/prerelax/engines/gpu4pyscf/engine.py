"""The engine GPU4PySCF: where card and package are, what it accepts, and its calculator.

Written after GPU4PySCF 1.8's sources, without a card to run it on.
"""

import ctypes
import dataclasses
import functools
import importlib.metadata
import importlib.util

from prerelax.engines.calculator import EngineCalculator
from prerelax.engines.level import Level, versions
from prerelax.engines.pyscf.engine import PyscfEngine
from prerelax.engines.pyscf.names import QM9
from prerelax.engines.pyscf.settings import ScfSettings
from prerelax.errors import MissingProgramError

MISSING = "GPU4PySCF is not installed here: `pip install 'prerelax[gpu]'`, or use the engine pyscf"
PACKAGES = ("gpu4pyscf-cuda13x", "gpu4pyscf-cuda12x", "gpu4pyscf-cuda11x", "gpu4pyscf")


class Gpu4pyscfEngine(PyscfEngine):
    """PySCF's levels but qm9. A campaign may be planned where there is no card."""

    name = "gpu4pyscf"

    def validate(self, level: Level) -> None:
        if level.method.lower() == QM9:
            raise ValueError(objection(level))
        super().validate(level)

    def settings(self, level: Level) -> dict[str, object]:
        problem = objection(level)
        if problem is not None:
            raise MissingProgramError(problem) if problem == MISSING else ValueError(problem)
        packages = ("pyscf", "pyscf-dispersion") if level.dispersion else ("pyscf",)
        return {
            "density_fitting": level.density_fitting,
            **dataclasses.asdict(gpu_settings()),
            "versions": versions(*packages) | {"gpu4pyscf": _version()},
        }

    def calculator(self, level: Level, charge: int, multiplicity: int, threads: int) -> EngineCalculator:
        from prerelax.engines.gpu4pyscf.scf import GPU4PySCF

        return GPU4PySCF(level, charge, multiplicity, threads, gpu_settings())


class AnyDftEngine(PyscfEngine):
    """GPU4PySCF where a card and the package are and the level can be had from it, PySCF elsewhere."""

    name = "dft"

    def resolved(self, level: Level) -> Level:
        return level.model_copy(update={"engine": "pyscf" if objection(level) else "gpu4pyscf"})


def objection(level: Level) -> str | None:
    """One sentence on why this level cannot be had from GPU4PySCF here, or None."""
    if level.method.lower() == QM9:
        return (
            "the level qm9 needs an SCF in a subspace of its basis, which is proven with PySCF alone; "
            "use the engine pyscf"
        )
    if importlib.util.find_spec("gpu4pyscf") is None:
        return MISSING
    if n_cards() == 0:
        return "there is no NVIDIA graphics card here for GPU4PySCF; use the engine pyscf"
    return None


@functools.cache
def n_cards() -> int:
    """NVIDIA cards that this process may use (CUDA_VISIBLE_DEVICES), asked of the driver alone."""
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value


def gpu_settings() -> ScfSettings:
    """PySCF's own default grid, and thresholds that serve tight levels too: both cost a card little."""
    return dataclasses.replace(
        ScfSettings(), grid_level=3, radial_grid_level=3, partition="becke", conv_tol_gradient=3e-5
    )


def _version() -> str:
    for package in PACKAGES:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"
