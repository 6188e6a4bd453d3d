"""GPU4PySCF: what can be tested without a card; with one, its numbers against PySCF's."""

import numpy as np
import pytest
from ase.build import molecule

from prerelax.engines import Level, level_settings, make_calculator, resolved, validate_level
from prerelax.engines.gpu4pyscf import engine as gpu4pyscf

QM9 = Level(engine="dft", method="qm9")
PBE = Level(engine="dft", method="PBE", basis="def2-SVP")
card = pytest.mark.skipif(
    gpu4pyscf.objection(Level(engine="gpu4pyscf", method="PBE", basis="def2-SVP")) is not None,
    reason="GPU4PySCF or a graphics card is missing (docs/guide/levels.md)",
)


def installed(monkeypatch, package, cards):
    monkeypatch.setattr(gpu4pyscf, "n_cards", lambda: cards)
    find_spec = gpu4pyscf.importlib.util.find_spec
    monkeypatch.setattr(
        gpu4pyscf.importlib.util,
        "find_spec",
        lambda name: (object() if package else None) if name == "gpu4pyscf" else find_spec(name),
    )


@pytest.mark.parametrize(
    ("package", "cards", "level", "engine"),
    [
        (True, 1, PBE, "gpu4pyscf"),
        (True, 1, QM9, "pyscf"),
        (True, 0, PBE, "pyscf"),
        (False, 1, PBE, "pyscf"),
        (True, 1, Level(engine="pyscf", method="PBE", basis="def2-SVP"), "pyscf"),
        (False, 0, Level(engine="gpu4pyscf", method="PBE", basis="def2-SVP"), "gpu4pyscf"),
    ],
)
def test_dft_takes_the_card_where_there_is_one(monkeypatch, package, cards, level, engine):
    installed(monkeypatch, package, cards)
    assert resolved(level).engine == engine


@pytest.mark.parametrize(
    ("package", "cards", "words"),
    [(False, 1, r"pip install 'prerelax\[gpu\]'"), (True, 0, "no NVIDIA graphics card")],
)
def test_without_card_or_package_the_engine_is_one_sentence(monkeypatch, package, cards, words):
    installed(monkeypatch, package, cards)
    with pytest.raises(ValueError, match=words):
        level_settings(Level(engine="gpu4pyscf", method="PBE", basis="def2-SVP"))


def test_settings_name_the_engine_that_was_taken(monkeypatch):
    installed(monkeypatch, False, 0)
    assert level_settings(PBE)["engine"] == "pyscf"
    installed(monkeypatch, True, 1)
    settings = level_settings(PBE)
    assert settings["engine"] == "gpu4pyscf" and "gpu4pyscf" in settings["versions"]
    assert settings["grid_level"] == 3


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (Level(engine="gpu4pyscf", method="qm9"), "use the engine pyscf"),
        (Level(engine="gpu4pyscf", method="b3lip", basis="def2-SVP"), "did you mean B3LYP"),
        (Level(engine="gpu4pyscf", method="PBE", basis="def2-SVP", solvent="watr"), "did you mean water"),
        (Level(engine="dft", method="PBE"), "needs a basis"),
        (Level(engine="dtf", method="PBE"), "did you mean dft"),
    ],
)
def test_wrong_levels_are_one_clear_sentence(in_engine_process, level, words):
    with pytest.raises(ValueError, match=words):
        in_engine_process(validate_level, level)


def statuses_of_errors():
    from prerelax.engines.gpu4pyscf.engine import gpu_settings
    from prerelax.engines.gpu4pyscf.scf import GPU4PySCF

    class OutOfMemoryError(MemoryError):
        """CuPy's is one, too."""

    errors = [
        OutOfMemoryError("Out of memory allocating 1,024 bytes"),
        RuntimeError("cudaErrorMemoryAllocation: out of memory"),
        np.linalg.LinAlgError("not positive definite"),
        NotImplementedError("h functions"),
    ]
    calculator = GPU4PySCF(Level(engine="gpu4pyscf", method="HF", basis="STO-3G"), 0, 1, 1, gpu_settings())
    return [calculator.engine_error(error).status for error in errors]


def test_a_full_card_is_a_resource_error(in_engine_process):
    assert in_engine_process(statuses_of_errors) == [
        "resource_error",
        "resource_error",
        "scf_failed",
        "unknown_error",
    ]


def first_density_at_a_moved_geometry():
    """The guess from one geometry's occupied orbitals at the next: its electrons."""
    from pyscf import scf

    from prerelax.engines.gpu4pyscf.engine import gpu_settings
    from prerelax.engines.gpu4pyscf.scf import GPU4PySCF, _occupied

    counts = []
    for name, other, multiplicity in (("H2O", "CH4", 1), ("NH2", "CH3", 2)):
        calculator = GPU4PySCF(
            Level(engine="gpu4pyscf", method="HF", basis="STO-3G"), 0, multiplicity, 1, gpu_settings()
        )
        atoms = molecule(name)
        calculator._occupied = _occupied(scf.HF(calculator._molecule(atoms)).run())
        atoms.rattle(0.02, seed=0)
        mol = calculator._molecule(atoms)
        density = calculator._first_density(mol)
        counts.append(np.einsum("...ij,ji->...", density, mol.intor("int1e_ovlp")).tolist())
        assert calculator._first_density(calculator._molecule(molecule(other))) is None
    return counts


def test_the_guess_has_all_electrons(in_engine_process):
    closed, open_shell = in_engine_process(first_density_at_a_moved_geometry)
    assert closed == pytest.approx(10) and open_shell == pytest.approx([5, 4])


def energies_and_forces(engine, method, basis, dispersion, solvent, multiplicity):
    atoms = molecule("CH3OH" if multiplicity == 1 else "CH3")
    calculator = make_calculator(
        Level(engine=engine, method=method, basis=basis, dispersion=dispersion, solvent=solvent),
        multiplicity=multiplicity,
    )
    calculator.calculate(atoms)
    atoms.rattle(0.02, seed=0)
    calculator.calculate(atoms)
    return calculator.results["energy"], calculator.results["forces"]


@card
@pytest.mark.parametrize(
    "level", [("PBE", "def2-SVP", None, None, 1), ("B3LYP", "def2-SVP", "d4", "water", 1),
              ("PBE0", "def2-SVP", "d3bj", None, 2), ("HF", "6-31G*", None, None, 1)],
)  # fmt: skip
def test_a_cards_numbers_are_pyscfs(in_engine_process, level):
    ours, theirs = (
        in_engine_process(energies_and_forces, engine, *level) for engine in ("gpu4pyscf", "pyscf")
    )
    assert ours[0] == pytest.approx(theirs[0], abs=2e-3)
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-2)
