"""Normal-mode displacements: orthonormal modes, statistics of energies, nothing moved or turned."""

from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.data import atomic_masses
from scipy import stats

from prerelax.relaxation.first_hessian import finite_difference_hessian
from prerelax.set_making.normal_modes import SOFT_CM, NormalModes, displacements, frequency_cm, normal_modes

WATER = np.array([8, 1, 1])
GEOMETRY = np.array([[0.0, 0.0, 0.119], [0.0, 0.763, -0.477], [0.0, -0.763, -0.477]])


def springs(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy in eV and gradient of springs between all atoms, at rest in GEOMETRY."""
    points, gradient, energy = x.reshape(-1, 3), np.zeros((3, 3)), 0.0
    for i, j, k in ((0, 1, 50.0), (0, 2, 50.0), (1, 2, 10.0)):
        rest = np.linalg.norm(GEOMETRY[i] - GEOMETRY[j])
        bond = points[i] - points[j]
        length = np.linalg.norm(bond)
        energy += 0.5 * k * (length - rest) ** 2
        gradient[i] += k * (length - rest) * bond / length
        gradient[j] -= k * (length - rest) * bond / length
    return energy, gradient.ravel()


@pytest.fixture(scope="module")
def hessian() -> np.ndarray:
    return finite_difference_hessian(lambda x: springs(x)[1], GEOMETRY.ravel(), central=True)


@pytest.fixture(scope="module")
def modes(hessian: np.ndarray) -> NormalModes:
    return normal_modes(hessian, WATER, GEOMETRY)


def test_modes_are_orthonormal_in_mass_weighted_coordinates(modes: NormalModes, hessian: np.ndarray) -> None:
    masses = np.repeat(atomic_masses[WATER], 3)
    assert modes.vectors.shape == (3, 9)
    np.testing.assert_allclose(modes.vectors * masses @ modes.vectors.T, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(
        modes.vectors @ hessian @ modes.vectors.T, np.diag(modes.force_constants), atol=1e-8
    )
    assert np.all(modes.frequencies_cm > SOFT_CM)


def test_force_constants_are_the_curvature_of_the_energy(modes: NormalModes) -> None:
    for vector, constant in zip(modes.vectors, modes.force_constants, strict=True):
        q = 1e-3
        energies = [springs(GEOMETRY.ravel() + step * vector)[0] for step in (-q, 0.0, q)]
        assert (energies[0] - 2 * energies[1] + energies[2]) / q**2 == pytest.approx(constant, rel=1e-4)


def test_energies_and_modes_have_the_temperature(modes: NormalModes, hessian: np.ndarray) -> None:
    temperature = 300.0
    n = 20_000
    shifts, harmonic = displacements(modes, n, temperature, np.random.default_rng(3))
    flat = shifts.reshape(n, -1)
    np.testing.assert_allclose(harmonic, 0.5 * np.einsum("ni,ij,nj->n", flat, hessian, flat), rtol=1e-6)
    mean = 3 * units.kB * temperature / 2
    assert stats.kstest(harmonic, "expon", args=(0, mean)).pvalue > 1e-3
    masses = np.repeat(atomic_masses[WATER], 3)
    coordinates = flat * masses @ modes.vectors.T
    per_mode = (0.5 * modes.force_constants * coordinates**2).mean(0)
    np.testing.assert_allclose(per_mode, units.kB * temperature / 2, rtol=0.05)
    assert abs(coordinates.mean(0) / coordinates.std(0)).max() < 0.03  # both ways alike


def test_small_displacements_have_their_harmonic_energy(modes: NormalModes) -> None:
    shifts, harmonic = displacements(modes, 50, 1.0, np.random.default_rng(4))
    energies = [springs((GEOMETRY + shift).ravel())[0] for shift in shifts]
    np.testing.assert_allclose(energies, harmonic, rtol=0.02)


def test_nothing_is_moved_or_turned(modes: NormalModes) -> None:
    shifts, _ = displacements(modes, 100, 1500.0, np.random.default_rng(5))
    masses = atomic_masses[WATER][:, None]
    centred = GEOMETRY - (masses * GEOMETRY).sum(0) / masses.sum()
    np.testing.assert_allclose((masses * shifts).sum(1), 0, atol=1e-9)
    np.testing.assert_allclose((masses * np.cross(centred, shifts)).sum(1), 0, atol=1e-9)
    assert np.abs(shifts).max() > 0.05


def test_more_displacements_begin_with_the_same_ones(modes: NormalModes) -> None:
    few, many = (displacements(modes, n, 1500.0, np.random.default_rng(6))[0] for n in (5, 9))
    np.testing.assert_array_equal(few, many[:5])


def test_soft_modes_move_no_farther_than_at_the_limit() -> None:
    constants = (np.array([30.0, 2 * SOFT_CM]) / frequency_cm(np.ones(1))[0]) ** 2
    modes = NormalModes(np.eye(2, 6), constants)
    shifts, harmonic = displacements(modes, 20_000, 1500.0, np.random.default_rng(7))
    spread = shifts.reshape(-1, 6)[:, :2].std(0)
    assert spread[0] / spread[1] == pytest.approx(2.0, rel=0.05)
    assert 0.45 < harmonic.mean() / (units.kB * 1500.0) < 0.55  # the soft mode's half is missing


def test_qm7x_itself_has_exponential_energies(data_folder: Path) -> None:
    """Of 100 displacements of one molecule, above the lowest; a canonical ensemble would look otherwise."""
    with np.load(data_folder / "qm7x_one_molecule_100.npz") as arrays:
        energies, n_atoms = arrays["ePBE0+MBD"].ravel(), arrays["atNUM"].shape[1]
    energies = energies - energies.min()
    n_modes = 3 * n_atoms - 6
    assert stats.kstest(energies, "expon", args=(0, energies.mean())).pvalue > 0.1
    canonical = stats.kstest(energies, "gamma", args=(n_modes / 2, 0, energies.mean() / (n_modes / 2)))
    assert canonical.pvalue < 1e-10
    assert 1000 < energies.mean() / (n_modes * units.kB / 2) < 2000  # K
