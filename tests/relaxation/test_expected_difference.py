"""What two-level expects of a DFT level before it has a gradient, by the kind of method."""

import numpy as np
import pytest
from ase.build import molecule

from prerelax.engines.level import Level
from prerelax.relaxation.expected_difference import FOLDER, kind_of
from prerelax.relaxation.learned_difference import read_learned
from prerelax.relaxation.molecule import relax_molecule
from prerelax.relaxation.primitives import primitives
from prerelax.relaxation.settings import Relaxation


@pytest.mark.parametrize(
    ("engine", "method", "kind"),
    [
        ("pyscf", "HF", "hartree-fock"),
        ("pyscf", "B3LYP", "hybrid"),
        ("pyscf", "qm9", "hybrid"),
        ("psi4", "PBE-D3BJ", "gga"),
        ("pyscf", "r2SCAN", "gga"),
        ("pyscf", "ωB97X-V", "hybrid"),
        ("pyscf", "a functional of tomorrow", "hybrid"),
        ("ase", "PBE0-D4/def2-SVP", "hybrid"),
        ("ase", "BP86/def2-SVP", "gga"),
        ("ase", "B3LYP D3(BJ)", "hybrid"),
        ("ase", "wB97M-D3(BJ)/def2-TZVPPD", "hybrid"),
        ("ase", "B97-D3BJ", "gga"),
        ("ase", "CCSD(T)/cc-pVTZ", None),
        ("ase", "PM7", None),
        ("ase", "GFN-FF", None),
        ("tblite", "GFN2-xTB", None),
        ("mlff", "PBE", None),
    ],
)
def test_the_kind_of_a_method_is_known_by_its_name(engine, method, kind):
    assert kind_of(engine, method) == kind


@pytest.mark.parametrize("kind", ["hartree-fock", "gga", "hybrid"])
def test_gfn1_is_too_soft_for_each_kind(kind):
    """Positive curvatures in the mean over the stretches and the bends of ordinary molecules."""
    learned = read_learned(FOLDER / f"{kind}-gfn1.json")
    assert learned.guide == "gfn1" and kind_of("pyscf", learned.level.split("/")[0]) == kind
    for of in ("stretch", "bend"):
        curvatures = []
        for name in ("CH3CH2OH", "CH3CONH2", "C6H6", "H2CO"):
            atoms = molecule(name)
            coordinates = primitives(atoms.numbers, atoms.positions)
            second = learned.expected(coordinates)(coordinates.values(atoms.positions.ravel()))[2]
            curvatures += [
                curve for curve, name in zip(second, coordinates.names, strict=True) if name.startswith(of)
            ]
        assert np.mean(curvatures) > 0.1


def test_two_level_expects_it_and_says_so_in_the_settings():
    dft = Relaxation(engine="pyscf", method="PBE0", basis="def2-SVP")
    assert dft.learned_difference() == read_learned(FOLDER / "hybrid-gfn1.json")
    assert "learned_sha256" in dft.settings()
    others = [
        Relaxation(engine="tblite", method="GFN2-xTB", optimizer="two-level"),
        Relaxation(engine="pyscf", method="PBE0", basis="def2-SVP", cheap_level="gfn2"),
        Relaxation(engine="pyscf", method="PBE0", basis="def2-SVP", optimizer="bfgs"),
    ]
    for other in others:
        assert other.learned_difference() is None and "learned_sha256" not in other.settings()


@pytest.mark.parametrize(("method", "basis"), [("B3LYP", "def2-SVP"), ("PBE", "def2-SVP"), ("HF", "6-31G**")])
def test_the_second_gradient_is_smaller_than_without(method, basis, tmp_path, monkeypatch):
    """Ethylene, which was not learned from, begun 0.02 Å beside its minimum."""
    atoms = molecule("C2H4")
    atoms.rattle(0.02, seed=1)
    level = Level(engine="pyscf", method=method, basis=basis)
    largest = {}
    for known in (True, False):
        if not known:
            monkeypatch.setattr("prerelax.relaxation.expected_difference.FOLDER", tmp_path)
        relaxation = Relaxation(**level.model_dump(), fmax=1e-9, max_steps=1)
        result = relax_molecule(atoms.numbers, atoms.positions, 0, 1, relaxation)
        largest[known] = result.path[1].fmax_ev_ang
    assert largest[True] < 0.75 * largest[False]
