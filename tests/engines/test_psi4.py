"""Psi4 as a program of its own. What starts it is skipped where it is not installed."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.units import Bohr, Hartree

from prerelax.campaign.config import load_campaign
from prerelax.engines import (
    EngineError,
    Level,
    level_settings,
    make_calculator,
    validate_level,
)
from prerelax.engines.psi4.calculator import Psi4
from prerelax.engines.psi4.program import EXECUTABLE_VARIABLE, MEMORY_VARIABLE, Psi4Process, find_psi4
from prerelax.engines.psi4.settings import Psi4Settings
from prerelax.errors import UserError
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import relax_shard

psi4 = pytest.mark.skipif(
    find_psi4() is None, reason="the program psi4 is not installed (docs/guide/levels.md)"
)
HF = Level(engine="psi4", method="HF", basis="STO-3G")
STRETCHED = Atoms("COH3", [[0, 0, 0], [0, 0, 2.9], [1.0, 0, -0.3], [-0.5, 0.9, -0.3], [-0.5, -0.9, -0.3]])


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Psi4's scratch folders, so that what is left behind is seen."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("PSI_SCRATCH", str(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return folder


def evaluate(level, atoms, charge=0, multiplicity=1, settings=None, generated_basis=False):
    """Energy in Eh and forces in Eh/bohr."""
    calculator = Psi4(level, charge, multiplicity, 1, settings or Psi4Settings(), generated_basis)
    try:
        calculator.calculate(atoms)
    finally:
        calculator.close()
    return calculator.results["energy"] / Hartree, calculator.results["forces"] * Bohr / Hartree


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (Level(engine="psi4", method="qm9"), "use the engine pyscf"),
        (Level(engine="psi4", method="GFN2-xTB"), "engine tblite"),
        (Level(engine="psi4", method="PBE0"), "needs a basis"),
        (Level(engine="psi4", method="B3LYP-D3BJ", basis="def2-SVP"), "functional alone and dispersion"),
        (Level(engine="psi4", method="PBE0", basis="def2-SVP", dispersion="d5"), "unknown dispersion"),
        (Level(engine="psi4", method="PBE0", basis="../../etc/passwd"), "no name of a basis"),
        (Level(engine="psi4", method="PBE0", basis="def2-SVP\nset x y"), "no name of a basis"),
        (Level(engine="psi4", method="hf'); import os #", basis="def2-SVP"), "no name of a method"),
    ],
)
def test_wrong_words_are_refused_without_the_program(level, words):
    with pytest.raises(ValueError, match=words):
        validate_level(level)


@psi4
@pytest.mark.parametrize(
    ("level", "words"),
    [
        (Level(engine="psi4", method="b3lip", basis="def2-SVP"), "Did you mean\\? b3lyp"),
        (Level(engine="psi4", method="B2PLYP", basis="def2-SVP"), "cannot compute gradients with B2PLYP"),
        (
            Level(engine="psi4", method="HF", basis="def2-TZVPX"),
            "neither Psi4 nor PySCF knows .* did you mean def2-TZVP",
        ),
        pytest.param(
            Level(engine="psi4", method="MP2", basis="def2-SVP"), "cannot compute", marks=pytest.mark.slow
        ),
        pytest.param(
            Level(engine="psi4", method="M06-2X", basis="def2-SVP", dispersion="d4"),
            "no d4 parameters",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_psi4_lacks_is_refused_before_a_shard_begins(in_engine_process, level, words):
    with pytest.raises(ValueError, match=words):
        in_engine_process(validate_level, level)


def test_without_the_program_a_campaign_is_planned_but_no_shard_begun(tmp_path, monkeypatch):
    monkeypatch.setenv(EXECUTABLE_VARIABLE, str(tmp_path / "psi4"))
    target = {"engine": "psi4", "method": "PBE0", "basis": "def2-SVP"}
    load_campaign({"campaign": "c", "molecules": "m.csv", "targets": {"pbe0": target}})
    write_shard(tmp_path / "in.extxyz", [water("a")])
    call = ["relax", "in.extxyz", "out.extxyz", "--engine", "psi4", "--method", "HF", "--basis", "STO-3G"]
    for options, status in (([], 2), (["--go-on-without-program"], 0)):
        assert not (tmp_path / "out.extxyz").exists()
        command = [sys.executable, "-m", "prerelax", *call, *options]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == status
        assert "psi4 is not installed here" in ran.stderr and "conda install" in ran.stderr
    (row,) = read_shard(tmp_path / "out.extxyz")
    assert row.status == "resource_error" and "psi4 is not installed here" in row.message


@psi4
def test_settings_name_the_programs_behind_the_numbers():
    settings = level_settings(HF)
    assert settings["versions"]["psi4"] and settings["basis_from"] == "psi4"
    assert settings["density_fitting"] is True
    exact = level_settings(Level(engine="psi4", method="HF", basis="STO-3G", density_fitting=False))
    assert exact["density_fitting"] is False


def plain_pyscf(atoms, xc, basis, multiplicity, grid):
    """Energy and forces (a.u.) with exact integrals on unpruned grids, `xc` None for Hartree-Fock."""
    from pyscf import dft, gto, scf

    mol = gto.M(
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions / Bohr, strict=True)),
        unit="Bohr", basis=basis, spin=multiplicity - 1, verbose=0,
    )  # fmt: skip
    if xc is None:
        mean_field = (scf.UHF if mol.spin else scf.RHF)(mol)
    else:
        mean_field = (dft.UKS if mol.spin else dft.RKS)(mol, xc=xc)
        mean_field.grids.atom_grid, mean_field.grids.prune = grid, None
    mean_field.run(conv_tol=1e-10)
    return float(mean_field.e_tot), -mean_field.nuc_grad_method().kernel()


@psi4
@pytest.mark.parametrize(
    ("xc", "basis", "name", "multiplicity", "generated"),
    [
        (None, "6-31G*", "H2O", 1, False),  # Psi4's file says Cartesian
        (None, "6-31G(2df,p)", "NH2", 2, True),  # Psi4's library lacks it
        pytest.param("B3LYP", "def2-SVP", "CH3OH", 1, False, marks=pytest.mark.slow),
        pytest.param("PBE0", "def2-SVP", "CH3", 2, False, marks=pytest.mark.slow),
        pytest.param("M06-2X", "cc-pVDZ", "HCN", 1, False, marks=pytest.mark.slow),
        pytest.param("TPSS", "def2-TZVP", "H2O", 1, True, marks=pytest.mark.slow),
    ],
)
def test_energies_and_forces_are_pyscfs(in_engine_process, xc, basis, name, multiplicity, generated):
    atoms = molecule(name)
    atoms.rattle(0.03, seed=0)
    grid = (99, 590)
    settings = Psi4Settings(
        radial_points=grid[0], spherical_points=grid[1], e_convergence_eh=1e-9, d_convergence=1e-8
    )
    level = Level(engine="psi4", method=xc or "HF", basis=basis, density_fitting=False)
    energy, forces = in_engine_process(evaluate, level, atoms, 0, multiplicity, settings, generated)
    expected = in_engine_process(plain_pyscf, atoms, xc, basis, multiplicity, grid)
    assert energy == pytest.approx(expected[0], abs=1e-5)
    np.testing.assert_allclose(forces, expected[1], atol=1e-4)


def dispersion_slope(version, step_bohr=1e-3):
    """D3 or D4 of a charged dimer: gradient, finite differences, energy."""
    from prerelax.engines.pyscf.dispersion import dispersion

    atoms = molecule("CH3OH")
    numbers, positions = atoms.numbers, atoms.positions / Bohr
    energy, gradient = dispersion(numbers, positions, 1, "B3LYPG", version)
    numerical = np.zeros_like(gradient)
    for index in np.ndindex(positions.shape):
        ends = []
        for sign in (1, -1):
            moved = positions.copy()
            moved[index] += sign * step_bohr
            ends.append(dispersion(numbers, moved, 1, "B3LYPG", version)[0])
        numerical[index] = (ends[0] - ends[1]) / (2 * step_bohr)
    return energy, gradient, numerical


@pytest.mark.parametrize("version", ["d3bj", "d4"])
def test_dispersion_is_its_energys_derivative(in_engine_process, version):
    energy, gradient, numerical = in_engine_process(dispersion_slope, version)
    assert energy < -1e-3
    np.testing.assert_allclose(gradient, numerical, atol=1e-8)


def dispersion_of_the_engine(engine, version):
    energies = []
    for dispersion in (None, version):
        calculator = make_calculator(
            Level(engine=engine, method="HF", basis="STO-3G", dispersion=dispersion, density_fitting=False)
        )
        calculator.calculate(molecule("CH4"))
        calculator.close()
        energies.append((calculator.results["energy"], calculator.results["forces"]))
    return energies[1][0] - energies[0][0], energies[1][1] - energies[0][1]


@psi4
@pytest.mark.slow
@pytest.mark.parametrize("version", ["d3bj", "d4"])
def test_dispersion_is_the_same_in_both_engines(in_engine_process, version):
    ours, pyscfs = (in_engine_process(dispersion_of_the_engine, e, version) for e in ("psi4", "pyscf"))
    assert ours[0] == pytest.approx(pyscfs[0], abs=1e-5)
    np.testing.assert_allclose(ours[1], pyscfs[1], atol=2e-3)


@psi4
def test_an_atom_and_a_diatomic():
    energy, forces = evaluate(HF, Atoms("H"), 0, 2)
    assert energy == pytest.approx(-0.46658, abs=1e-4) and forces.tolist() == [[0.0, 0.0, 0.0]]
    _, forces = evaluate(HF, Atoms("N2", [[0, 0, 0], [0, 0, 1.3]]))
    assert forces[0, 2] == pytest.approx(-forces[1, 2], abs=1e-6) and forces[0, 2] > 0.01


@psi4
def test_the_last_geometrys_orbitals_save_iterations_and_nothing_is_left_behind(scratch):
    calculator = Psi4(HF, 0, 1, 1, Psi4Settings())
    atoms = molecule("CH3OH")
    atoms.rattle(0.02, seed=1)
    fresh, _ = evaluate(HF, atoms)
    calculator.calculate(molecule("CH3OH"))
    first = calculator.iterations
    calculator.calculate(atoms)
    assert calculator.iterations < first
    assert calculator.results["energy"] / Hartree == pytest.approx(fresh, abs=1e-6)
    assert len(list(scratch.iterdir())) == 1
    calculator.close()
    assert not list(scratch.iterdir())


@psi4
@pytest.mark.parametrize(
    ("signal_number", "status", "words"),
    [
        (signal.SIGKILL, "resource_error", "killed from outside"),
        (signal.SIGTERM, "unknown_error", r"Psi4 died \(SIGTERM\)"),
    ],
)
def test_a_psi4_that_dies_costs_its_molecule_only(scratch, signal_number, status, words):
    calculator = Psi4(HF, 0, 1, 1, Psi4Settings())
    calculator.calculate(molecule("H2O"))
    before = calculator.results["energy"]
    os.kill(calculator._process._process.pid, signal_number)
    atoms = molecule("H2O")
    atoms.rattle(0.01)
    with pytest.raises(EngineError, match=words) as caught:
        calculator.calculate(atoms)
    assert caught.value.status == status
    calculator.calculate(molecule("H2O"))
    assert calculator.results["energy"] == pytest.approx(before, abs=1e-5)
    calculator.close()
    assert not list(scratch.iterdir())


def program(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo hello; exec cat > /dev/null\n", "not JSON: b'hello"),
        ("echo no license >&2; exit 3\n", r"died \(exit status 3\): no license"),
        ('printf \'{"version": "1.9"}\\n{"energy_eh": -1.\'\n', r"died \(exit status 0\)"),
    ],
)
def test_a_program_that_talks_nonsense_is_one_sentence(tmp_path, monkeypatch, scratch, text, words):
    monkeypatch.setenv(EXECUTABLE_VARIABLE, program(tmp_path / "psi4", text))
    calculator = Psi4(HF, 0, 1, 1, Psi4Settings())
    with pytest.raises(EngineError, match=words) as caught:
        calculator.calculate(molecule("H2O"))
    assert caught.value.status == "unknown_error"
    assert not list(scratch.iterdir())


def test_a_broken_program_refuses_the_shard(tmp_path, monkeypatch):
    monkeypatch.setenv(EXECUTABLE_VARIABLE, program(tmp_path / "psi4", "echo no license >&2; exit 3\n"))
    write_shard(tmp_path / "in.extxyz", [water("a")])
    with pytest.raises(UserError, match="no license"):
        relax_shard(tmp_path / "in.extxyz", tmp_path / "out.extxyz", Relaxation(**HF.model_dump()))


def test_wrong_memory_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv(EXECUTABLE_VARIABLE, program(tmp_path / "psi4", "exec cat\n"))
    monkeypatch.setenv(MEMORY_VARIABLE, "4 GB")
    with pytest.raises(ValueError, match="number of megabytes"):
        Psi4Process({}, threads=1)


def test_folders_of_killed_processes_are_removed(tmp_path, monkeypatch, scratch):
    monkeypatch.setenv(EXECUTABLE_VARIABLE, program(tmp_path / "psi4", "exec cat\n"))
    ended = subprocess.Popen(["true"])
    ended.wait()

    stale = scratch / f"prerelax-psi4-{socket.gethostname()}-{ended.pid}-x"
    alive = scratch / f"prerelax-psi4-{socket.gethostname()}-{os.getpid()}-x"
    elsewhere = scratch / f"prerelax-psi4-another-{ended.pid}-x"
    for folder in (stale, alive, elsewhere):
        folder.mkdir()
    with pytest.raises(KeyError):  # cat answers with the setup itself
        Psi4Process({}, threads=1)
    assert set(scratch.iterdir()) == {alive, elsewhere}


@psi4
def test_a_hopeless_scf_is_scf_failed():
    with pytest.raises(EngineError, match="did not converge") as caught:
        evaluate(HF, STRETCHED, 0, 2, Psi4Settings(max_cycles=2))
    assert caught.value.status == "scf_failed"


@psi4
@pytest.mark.slow
def test_a_stretched_radical_is_rescued():
    """Plain DIIS needs 20 iterations; with 18, second order takes over."""
    level = Level(engine="psi4", method="B3LYP", basis="STO-3G")
    energy, _ = evaluate(level, STRETCHED, 0, 2)
    rescued, _ = evaluate(level, STRETCHED, 0, 2, Psi4Settings(max_cycles=18))
    assert rescued == pytest.approx(energy, abs=1e-5)


def water(identifier, **changes):
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=0)
    fields = {"id": identifier, "numbers": atoms.numbers, "positions": atoms.positions, "start": "mmff94"}
    return Record(**(fields | changes))


def psi4_processes(scratch):
    """Command lines of the running Psi4s whose scratch folder is below this one."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(file.read_bytes().decode(errors="replace"))
    return [line for line in lines if "psi4/server.py" in line and str(scratch) in line]


@psi4
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="running processes are read from /proc")
def test_a_molecule_that_takes_too_long_leaves_no_psi4_running(tmp_path, scratch):
    benzene = molecule("C6H6")
    rows = [water("benzene", numbers=benzene.numbers, positions=benzene.positions), water("water")]
    write_shard(tmp_path / "in.extxyz", rows)
    relaxation = Relaxation(engine="psi4", method="B3LYP", basis="def2-TZVP", optimizer="bfgs", timeout_s=4)
    relax_shard(tmp_path / "in.extxyz", tmp_path / "out.extxyz", relaxation)
    first = read_shard(tmp_path / "out.extxyz")[0]
    assert first.status == "timeout" and "limit of 4 s" in first.message
    deadline = time.monotonic() + 10
    while psi4_processes(scratch) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert psi4_processes(scratch) == []
    left = set(scratch.iterdir())
    level_settings(HF)  # a new Psi4 clears what the killed ones left
    assert left and not list(scratch.iterdir())


@psi4
def test_prerelax_relaxes_water_and_every_other_row_has_its_sentence(tmp_path, scratch):
    iodide = water("HI", numbers=np.array([1, 53]), positions=np.array([[0, 0, 0], [0, 0, 1.6]]))
    rows = [
        water("water"),
        iodide,
        water("broken", positions=np.zeros((3, 3))),
        water("triplet", multiplicity=2),
        water("atom", numbers=np.array([8]), positions=np.zeros((1, 3)), multiplicity=3),
    ]
    write_shard(tmp_path / "in.extxyz", rows)
    call = ["relax", "in.extxyz", "out.extxyz", "--engine", "psi4", "--method", "HF", "--basis", "6-31G*"]
    ran = subprocess.run(
        [sys.executable, "-m", "prerelax", *call], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    out = {row.id: row for row in read_shard(tmp_path / "out.extxyz")}
    assert {name: row.status for name, row in out.items()} == {
        "water": "ok",
        "HI": "unsupported_element",
        "broken": "input_error",
        "triplet": "input_error",
        "atom": "ok",
    }
    assert out["HI"].message == "the basis 6-31G* has no parameters for I"
    positions = out["water"].positions
    bonds = np.linalg.norm(positions[1:] - positions[0], axis=1)
    np.testing.assert_allclose(bonds, 0.947, atol=0.005)  # HF/6-31G*: 0.947 Å
    assert out["water"].n_gradients == out["water"].n_steps + 1 and out["atom"].n_steps == 0
    assert not list(scratch.iterdir())
