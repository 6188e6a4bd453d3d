"""The internal coordinates, the difference of two levels in them, and what minimising with it needs."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.units import kcal, mol

from prerelax.relaxation.level_difference import LevelDifference
from prerelax.relaxation.primitives import ACROSS, BEND, CONTACT, STRAIGHT, STRETCH, TORSION, primitives
from prerelax.relaxation.two_level import without_rigid

STEP = 1e-5


def rattled(name, amplitude=0.05, seed=0):
    atoms = molecule(name)
    atoms.rattle(amplitude, seed=seed)
    return atoms.numbers, atoms.positions.ravel()


def disiloxane(angle_deg):
    half = np.deg2rad(angle_deg) / 2
    positions = [np.zeros(3)]
    for sign in (-1, 1):
        along = np.array([sign * np.sin(half), np.cos(half), 0.0])
        across = np.array([np.cos(half), -sign * np.sin(half), 0.0])
        positions.append(1.63 * along)
        for turn in np.deg2rad([0, 120, 240]):
            around = np.cos(turn) * across + np.array([0, 0, np.sin(turn)])
            positions.append(2.13 * along + 1.4 * around)
    return Atoms("OSiH3SiH3", positions)


def numerically(function, x):
    rows = []
    for i in range(x.size):
        shift = np.zeros(x.size)
        shift[i] = STEP
        rows.append((np.asarray(function(x + shift)) - function(x - shift)) / (2 * STEP))
    return np.array(rows)


def learned(name, points=3, seed=0):
    """A difference learned from random gradients at some geometries, which are returned with them."""
    numbers, x = rattled(name)
    difference = LevelDifference(primitives(numbers, x.reshape(-1, 3)), x)
    rng = np.random.default_rng(seed)
    space = difference.coordinates.derivatives(x)
    known = []
    for _ in range(points):
        place = x + rng.normal(scale=0.05, size=x.size)
        gradient = space.T @ rng.normal(scale=0.05, size=len(space))
        difference.learn(place, gradient)
        known.append((place, gradient))
    return difference, known


def test_a_folded_molecule_has_new_contacts():
    water = molecule("H2O")
    numbers = np.tile(water.numbers, 2)

    def pair(apart):
        return np.vstack([water.positions, water.positions + np.array([0.0, 0.0, apart])]).ravel()

    far = primitives(numbers, pair(9.0).reshape(-1, 3))
    assert len(far.atoms[CONTACT]) == 0
    assert far.with_new_contacts(numbers, pair(4.4)) is None, "not so close that it matters"
    near = far.with_new_contacts(numbers, pair(3.0))
    assert near is not None and len(near.atoms[CONTACT]) == 9
    assert near.with_new_contacts(numbers, pair(2.9)) is None, "these are known"
    x = pair(3.0)
    assert near.derivatives(x).shape == (len(near.values(x)), x.size) == (len(near.kinds), 18)
    assert len(near.types) == len(near.shared) == len(near.kinds)
    assert len(set(near.types[near.kinds == CONTACT].tolist())) == 9


@pytest.mark.parametrize("name", ["CH3CH2OH", "CH3CHO", "C6H6", "H2CO"])
def test_derivatives_are_those_of_the_values(name):
    numbers, x = rattled(name)
    coordinates = primitives(numbers, x.reshape(-1, 3))

    def from_here(y):
        return coordinates.change(coordinates.values(y), coordinates.values(x))

    np.testing.assert_allclose(numerically(from_here, x).T, coordinates.derivatives(x), atol=1e-6)


def test_coordinates_of_ethanol_and_of_a_pair_of_waters():
    numbers, x = rattled("CH3CH2OH")
    coordinates = primitives(numbers, x.reshape(-1, 3))
    assert [len(coordinates.atoms[kind]) for kind in (STRETCH, TORSION)] == [8, 12]
    water = molecule("H2O")
    pair = np.vstack([water.positions, water.positions + np.array([0.0, 0.0, 3.0])])
    both = primitives(np.tile(water.numbers, 2), pair)
    assert len(both.atoms[CONTACT]) == 9, "atoms of different molecules are contacts"


def test_a_torsion_turns_the_shorter_way_round():
    numbers, x = rattled("CH3CH2OH")
    coordinates = primitives(numbers, x.reshape(-1, 3))
    values = coordinates.values(x)
    torsion = int(np.flatnonzero(coordinates.kinds == TORSION)[0])
    turned = values.copy()
    turned[torsion] = -np.sign(values[torsion]) * (2 * np.pi - abs(values[torsion]))
    assert abs(coordinates.change(turned, values)[torsion]) < 1e-9


def test_a_linear_bend_is_known_by_its_cosine():
    numbers, x = molecule("C2H2").numbers, molecule("C2H2").positions.ravel()
    coordinates = primitives(numbers, x.reshape(-1, 3))
    assert np.all(np.isfinite(coordinates.derivatives(x)))
    assert coordinates.kinds.tolist() == [STRETCH] * 3 + [STRAIGHT] * 2
    assert coordinates.values(x)[3:] == pytest.approx(-1.0)


def test_which_way_a_line_bends_is_told_by_its_neighbours():
    """Acetonitrile's nitrogen by the hydrogens of the methyl group; acetylene has no such neighbour."""
    atoms = molecule("CH3CN")
    coordinates = primitives(atoms.numbers, atoms.positions)
    carbon = int(coordinates.atoms[STRAIGHT][0][1])
    nitrogen = int(np.flatnonzero(atoms.numbers == 7)[0])
    across = coordinates.atoms[ACROSS]
    assert atoms.numbers[across[:, 0]].tolist() == [1, 1, 1] and set(across[:, 2]) == {nitrogen}
    assert carbon not in across
    moved = atoms.positions.copy()
    moved[nitrogen] += np.cross(moved[nitrogen] - moved[carbon], [1.0, 2.0, 3.0]) * 0.02
    angles = coordinates.values(moved.ravel()) - coordinates.values(atoms.positions.ravel())
    assert np.ptp(angles[coordinates.kinds == ACROSS]) > 0.02
    assert abs(angles[coordinates.kinds == STRAIGHT][0]) < 0.005
    assert not len(primitives(molecule("C2H2").numbers, molecule("C2H2").positions).atoms[ACROSS])


def straightened():
    """Disiloxane's coordinates at an angle of 140°, and with the cosine that stands for it when straight."""
    bent, straight = disiloxane(140.0), disiloxane(175.0)
    first = primitives(bent.numbers, bent.positions)
    assert first.with_bends_of(bent.numbers, bent.positions.ravel()) is None
    coordinates = first.with_bends_of(bent.numbers, straight.positions.ravel())
    assert coordinates is not None
    return first, coordinates, straight


def test_a_bend_that_becomes_straight_is_known_by_its_cosine():
    """Torsions about it mean nothing then; what is known of all other coordinates stays."""
    first, coordinates, straight = straightened()
    x = straight.positions.ravel()
    assert [len(first.atoms[kind]) for kind in (BEND, TORSION, STRAIGHT)] == [13, 6, 0]
    assert [len(coordinates.atoms[kind]) for kind in (BEND, TORSION, STRAIGHT)] == [12, 0, 1]
    assert coordinates.atoms[STRETCH].tolist() == first.atoms[STRETCH].tolist()
    assert coordinates.values(x)[coordinates.kinds == STRAIGHT] == pytest.approx(np.cos(np.deg2rad(175.0)))
    assert len(coordinates.names) == len(coordinates.types) == len(coordinates.values(x))
    assert coordinates.with_bends_of(straight.numbers, x) is None, "it is known"
    np.testing.assert_allclose(numerically(coordinates.values, x).T, coordinates.derivatives(x), atol=1e-6)
    difference = LevelDifference(coordinates, x)
    difference.learn(
        x, coordinates.derivatives(x).T @ np.random.default_rng(0).normal(size=len(coordinates.kinds))
    )
    linear = disiloxane(180.0).positions.ravel()
    for y in (x, linear):
        np.testing.assert_allclose(numerically(lambda z: difference(z)[0], y), difference(y)[1], atol=1e-6)


def test_a_bend_that_is_straight_no_longer_has_its_angle_and_torsions():
    bent, less, straight = disiloxane(140.0), disiloxane(165.0), disiloxane(175.0)
    first = primitives(straight.numbers, straight.positions)
    assert [len(first.atoms[kind]) for kind in (BEND, TORSION, STRAIGHT)] == [12, 0, 1]
    assert first.with_bends_of(less.numbers, less.positions.ravel()) is None, "it does not come and go"
    coordinates = first.with_bends_of(bent.numbers, bent.positions.ravel())
    assert coordinates is not None
    assert [len(coordinates.atoms[kind]) for kind in (BEND, TORSION, STRAIGHT)] == [13, 6, 0]
    assert coordinates.is_regular_at(less.positions.ravel())
    assert not coordinates.is_regular_at(straight.positions.ravel())


@pytest.mark.parametrize("name", ["CH3CH2OH", "C2H2", "CH3CN"])
def test_the_gradient_is_the_energy_s_derivative(name):
    difference, known = learned(name)
    x = known[0][0] + np.random.default_rng(3).normal(scale=0.05, size=known[0][0].size)
    np.testing.assert_allclose(numerically(lambda y: difference(y)[0], x), difference(x)[1], atol=1e-6)


def test_known_gradients_are_kept():
    """Where the target is known the corrected surface has its gradient, so the search ends rightly."""
    difference, known = learned("CH3CHO")
    for x, gradient in known:
        np.testing.assert_allclose(difference(x)[1], gradient, atol=2e-3)


def test_a_linear_bend_does_not_mislead():
    """No coordinate explains what two levels differ by there: the term over positions must."""
    atoms = molecule("C3H4_C3v")
    x, hydrogen = atoms.positions.ravel(), int(np.argmax(atoms.positions[:, 2]))  # of the alkyne, along z
    across = 3 * hydrogen

    def levels_differ(y):
        gradient = np.zeros(y.size)
        gradient[across] = 0.5 * (y[across] - x[across] + 0.1)
        return gradient

    difference, random = (
        LevelDifference(primitives(atoms.numbers, atoms.positions), x),
        np.random.default_rng(1),
    )
    place = x
    for _ in range(3):
        difference.learn(place, levels_differ(place))
        place = place + random.normal(scale=0.03, size=x.size)
    missed = [
        np.linalg.norm(difference(y)[1] - levels_differ(y))
        for y in place + random.normal(scale=0.03, size=(8, x.size))
    ]
    assert max(missed) < 0.1


def test_a_step_tells_of_what_lies_beyond_it():
    """Where torsions differ by force constants, the gradients of half a step tell the one at its end."""
    numbers, x = rattled("trans-butane", amplitude=0.02)
    coordinates = primitives(numbers, x.reshape(-1, 3))
    turning = coordinates.kinds == TORSION
    way = coordinates.derivatives(x)[turning].sum(axis=0)
    way *= 0.1 / np.linalg.norm(way)

    def levels_differ(y):
        turned = coordinates.change(coordinates.values(y), coordinates.values(x))
        return coordinates.derivatives(y).T @ (0.03 * turning * (turned - 0.2))

    difference, half, end = LevelDifference(coordinates, x), x + way / 2, x + way
    for place in (x, half):
        difference.learn(place, levels_differ(place))
    missed = np.linalg.norm(difference(end)[1] - levels_differ(end))
    assert missed < 0.05 * np.linalg.norm(levels_differ(end) - levels_differ(half))


def test_torsions_may_turn_half_a_round():
    """So far apart that a difference of angles, the shorter way round, is no covariance any more."""
    atoms = molecule("CH3COCH3")
    x = atoms.positions.ravel()
    difference = LevelDifference(primitives(atoms.numbers, x.reshape(-1, 3)), x)
    one, other = carbons_of_methyls(atoms)
    places = [turned_methyl(atoms, one, turn) for turn in range(0, 360, 45)]
    places += [turned_methyl(atoms, other, turn) for turn in range(20, 380, 45)]
    for place in places:
        difference.learn(place, 0.01 * difference.coordinates.derivatives(place).sum(axis=0))
    for place in places:
        known = 0.01 * difference.coordinates.derivatives(place).sum(axis=0)
        np.testing.assert_allclose(difference(place)[1], known, atol=2e-3)


def test_far_away_nothing_is_claimed():
    numbers, x = rattled("H2O")
    difference = LevelDifference(primitives(numbers, x.reshape(-1, 3)), x)
    stretches = difference.coordinates.derivatives(x)[:2]
    difference.learn(x, 0.1 * stretches.sum(axis=0))
    stretched = x.reshape(-1, 3) * 3.0
    assert np.abs(difference(stretched.ravel())[1]).max() < 1e-4


def test_what_one_methyl_shows_holds_for_the_other_and_for_both_senses():
    atoms = molecule("CH3COCH3")
    x = atoms.positions.ravel()
    coordinates = primitives(atoms.numbers, x.reshape(-1, 3))
    turning = coordinates.kinds == TORSION
    assert len(np.unique(coordinates.types[turning])) == 2, "H-C-C-O and H-C-C-C"
    first, second = (turned_methyl(atoms, carbon, 12.0) for carbon in carbons_of_methyls(atoms))
    back = turned_methyl(atoms, carbons_of_methyls(atoms)[0], -12.0)
    difference = LevelDifference(coordinates, x)
    difference.learn(x, np.zeros(x.size))
    push = coordinates.derivatives(first).T @ (0.05 * turning)
    difference.learn(first, push)
    told = [difference(place)[0] - difference(x)[0] for place in (first, second, back)]
    assert told[0] > 1e-3
    assert all(told[0] / 3 < each < 1.5 * told[0] for each in told[1:]), told


def carbons_of_methyls(atoms):
    return [i for i in range(len(atoms)) if atoms.numbers[i] == 6 and len(hydrogens_of(atoms, i)) == 3]


def hydrogens_of(atoms, carbon):
    near = atoms.get_distances(carbon, range(len(atoms))) < 1.2
    return [i for i in np.flatnonzero(near) if atoms.numbers[i] == 1]


def turned_methyl(atoms, carbon, degrees):
    """[3 n_atoms] Å with the methyl turned about its bond to the carbonyl's carbon."""
    turned = atoms.copy()
    middle = next(i for i in range(len(atoms)) if atoms.numbers[i] == 6 and not hydrogens_of(atoms, i))
    one, *others = hydrogens_of(atoms, carbon)
    oxygen = int(np.flatnonzero(atoms.numbers == 8)[0])
    turned.rotate_dihedral(oxygen, middle, carbon, one, degrees, indices=[one, *others])
    return turned.positions.ravel()


def test_the_hessian_is_the_gradient_s_derivative_along_a_bond():
    """A stretch along its own axis has no curvature of its own: there the Hessian is whole."""
    numbers, x = rattled("N2")
    difference = LevelDifference(primitives(numbers, x.reshape(-1, 3)), x)
    axis = difference.coordinates.derivatives(x)[0]
    difference.learn(x, 0.3 * axis)
    difference.learn(x + 0.05 * axis, 0.2 * axis)
    place = x + 0.02 * axis
    along = numerically(lambda y: difference(y)[1], place) @ axis @ axis
    assert axis @ difference.hessian(place) @ axis == pytest.approx(along, rel=0.05)


def test_noise_between_near_geometries_is_no_slope_of_a_torsion():
    """Four gradients 0.001 Å apart, as at the end of a relaxation, and what is said of a methyl group turned
    by 20 degrees."""
    ethylamine, methyl = molecule("CH3CH2NH2"), [3, 4, 5]
    x = ethylamine.positions.ravel()
    first, second = ethylamine.positions[:2]
    turned, hydrogens = ethylamine.copy(), ethylamine[methyl]
    hydrogens.rotate(20, second - first, center=first)
    turned.positions[methyl] = hydrogens.positions
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        coordinates = primitives(ethylamine.numbers, ethylamine.positions)
        gradient = without_rigid(rng.normal(scale=0.05, size=x.size), x)
        one, four = (LevelDifference(coordinates, x) for _ in range(2))
        one.learn(x, gradient)
        four.learn(x, gradient)
        for _ in range(3):
            noise = without_rigid(rng.normal(scale=3e-4, size=x.size), x)
            four.learn(x + without_rigid(rng.normal(scale=5e-4, size=x.size), x), gradient + noise)
        rise = [each(turned.positions.ravel())[0] - each(x)[0] for each in (one, four)]
        found.append((rise[1] - rise[0]) * mol / kcal)
    assert np.sqrt(np.mean(np.square(found))) < 0.08
