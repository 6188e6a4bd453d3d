"""What two-level expects of a DFT level before it has a gradient, by the kind of method."""

import numpy as np
import pytest
from ase.build import molecule
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from prerelax.records.settings import sha256_of_files
from prerelax.relaxation.expected_difference import FOLDER, kind_of
from prerelax.relaxation.learned_difference import read_learned
from prerelax.relaxation.molecule import relax_molecule
from prerelax.relaxation.primitives import primitives
from prerelax.relaxation.settings import TWO_LEVEL_VERSION, Relaxation


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
        ("pyscf", "GGA_X_PBE,GGA_C_PBE", "gga"),
        ("pyscf", "pbe,pbe", "gga"),
        ("pyscf", "M06_L", "gga"),
        ("pyscf", "HF,", "hartree-fock"),
        ("psi4", "SCF", "hartree-fock"),
        ("ase", "! RKS UB3LYP-GD3BJ def2-SVP", "hybrid"),
        ("ase", "M062X/6-31G*", "hybrid"),
        ("ase", "LC-DFTB", None),
        ("ase", "PM7", None),
        ("ase", "GFN-FF", None),
        ("tblite", "GFN2-xTB", None),
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


def test_no_term_is_far_off():
    """An azide, when its line was no coordinate, had made a bend softer by 20 standard deviations."""
    for path in FOLDER.iterdir():
        for of, terms in read_learned(path).terms.items():
            largest = {"stretch": 10.0, "bend": 3.0, "torsion": 0.1}[of.split()[0]]
            assert np.abs(terms if of.startswith("torsion") else terms[1:]).max() < largest, (path.name, of)


def test_the_tables_are_those_of_this_version():
    """Counts depend on them: raise TWO_LEVEL_VERSION when they change."""
    digest = sha256_of_files(*sorted(FOLDER.iterdir()))
    assert (TWO_LEVEL_VERSION, digest[:12]) == (15, "aa3d23993e17")


def test_two_level_expects_it_of_dft_targets():
    dft = Relaxation(engine="pyscf", method="PBE0", basis="def2-SVP")
    assert dft.learned_difference() == read_learned(FOLDER / "hybrid-gfn1.json")
    others = [
        Relaxation(engine="tblite", method="GFN2-xTB", optimizer="two-level"),
        Relaxation(engine="pyscf", method="PBE0", basis="def2-SVP", cheap_level="gfn2"),
        Relaxation(engine="pyscf", method="PBE0", basis="def2-SVP", optimizer="bfgs"),
        Relaxation(engine="tblite", method="GFN1-xTB", optimizer="bfgs", cheap_level="gfn1"),
    ]
    assert [other.learned_difference() for other in others] == [None] * 4


@pytest.mark.parametrize(
    ("smiles", "method", "basis"),
    [
        ("C=C", "B3LYP", "def2-SVP"),
        ("C=C", "PBE", "def2-SVP"),
        ("C=C", "HF", "6-31G**"),
        ("CN=N", "B3LYP", "def2-SVP"),
    ],
)
def test_the_second_gradient_is_smaller_than_without(smiles, method, basis, monkeypatch):
    """Of molecules that were not learned from, begun some hundredths of an Ångström beside the minimum."""
    start = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(start, randomSeed=1)
    rdForceFieldHelpers.MMFFOptimizeMolecule(start)
    numbers = np.array([atom.GetAtomicNum() for atom in start.GetAtoms()])
    largest = {}
    for known in (True, False):
        if not known:
            monkeypatch.setattr("prerelax.relaxation.expected_difference.GUIDES", frozenset())
        relaxation = Relaxation(engine="pyscf", method=method, basis=basis, fmax=1e-9, max_steps=1)
        result = relax_molecule(numbers, start.GetConformer().GetPositions(), 0, 1, relaxation)
        largest[known] = result.path[1].fmax_ev_ang
    assert largest[True] < largest[False]
