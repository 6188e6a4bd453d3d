"""What a pilot teaches of two levels: terms by type, and what they say of other molecules."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule

from prerelax.errors import UserError
from prerelax.relaxation.learned_difference import (
    LearnedDifference,
    SeenPath,
    fitted,
    is_probable,
    read_learned,
    types_of,
)
from prerelax.relaxation.level_difference import LevelDifference
from prerelax.relaxation.primitives import BEND, STRETCH, TORSION, primitives
from prerelax.relaxation.settings import Relaxation

PILOT = ("CH3OH", "CH3CH2OH", "CH3OCH3", "C2H6", "CH4", "C3H8", "H3CNH2", "isobutane")


def coordinates_of(name):
    atoms = molecule(name)
    return primitives(atoms.numbers, atoms.positions), atoms.positions.ravel()


def true_gradient(coordinates, x):
    """Of a difference in which each kind of bond, bend and torsion has a law of its own."""
    values = coordinates.values(x)
    by_value = np.zeros(len(values))
    for place, (name, kind) in enumerate(zip(coordinates.names, coordinates.kinds, strict=True)):
        value, hydrogen = values[place], "H" in name
        if kind == STRETCH:
            by_value[place] = 0.2 + 1.5 * (value - 1.1) if hydrogen else -0.3 + 2.0 * (value - 1.5)
        elif kind == BEND:
            by_value[place] = 0.3 * (value - 1.9)
        elif kind == TORSION:
            by_value[place] = -3 * 0.01 * np.sin(3 * value) / coordinates.shared[place]
    return coordinates.derivatives(x).T @ by_value


def seen(name, points=4):
    coordinates, x = coordinates_of(name)
    rng = np.random.default_rng(len(name))
    places = np.array([x + rng.normal(scale=0.05, size=x.size) for _ in range(points)])
    return SeenPath(coordinates, places, np.array([true_gradient(coordinates, place) for place in places]))


@pytest.fixture(scope="module")
def learned():
    return LearnedDifference("PBE/def2-SVP (pyscf)", "gfn1", 8, 32, fitted([seen(name) for name in PILOT]))


def test_names_of_coordinates_are_types_from_fine_to_rough():
    assert types_of("stretch C4-H1") == ["stretch C4-H1", "stretch C-H", "stretch X-H"]
    assert types_of("torsion H1-O2-C4-C3") == ["torsion C4-O2", "torsion C-O", "torsion"]
    assert types_of("bend C3-N3-O1") == ["bend C3-N3-O1", "bend C-N-O", "bend"]
    assert types_of("contact") == []


def test_a_molecule_that_was_not_in_the_pilot_is_foretold(learned):
    path = seen("trans-butane")
    expected = learned.expected(path.coordinates)
    for place, difference in zip(path.places, path.differences, strict=True):
        slopes = expected(path.coordinates.values(place))[1]
        told = path.coordinates.derivatives(place).T @ slopes
        assert np.linalg.norm(told - difference) < 0.1 * np.linalg.norm(difference)


def test_a_pilot_goes_on_from_what_is_known(learned):
    path = seen("trans-butane")
    more = LearnedDifference("", "gfn1", 1, 4, fitted([path], learned))
    assert more.terms["stretch H1-O2"] == learned.terms["stretch H1-O2"]  # butane has none
    errors = []
    for each in (learned, more):
        slopes = each.expected(path.coordinates)(path.coordinates.values(path.places[1]))[1]
        told = path.coordinates.derivatives(path.places[1]).T @ slopes
        errors.append(np.linalg.norm(told - path.differences[1]))
    assert errors[1] < errors[0]
    again = fitted([path], more)
    for of, terms in again.items():
        np.testing.assert_allclose(terms[1:], more.terms[of][1:], atol=0.05)


def test_the_first_gradient_is_met_and_the_next_one_nearly_known(learned):
    path = seen("trans-butane", points=2)
    errors = []
    for expected in (None, learned.expected(path.coordinates)):
        difference = LevelDifference(path.coordinates, path.places[0], expected=expected)
        difference.learn(path.places[0], path.differences[0])
        np.testing.assert_allclose(difference(path.places[0])[1], path.differences[0], atol=2e-3)
        errors.append(np.linalg.norm(difference(path.places[1])[1] - path.differences[1]))
    assert errors[1] < 0.2 * errors[0]


def test_energy_gradient_and_curvature_with_it_fit_each_other(learned):
    path = seen("CH3CH2OH", points=2)
    difference = LevelDifference(
        path.coordinates, path.places[0], expected=learned.expected(path.coordinates)
    )
    difference.learn(path.places[0], path.differences[0])
    x, step = path.places[1], 1e-5
    rng = np.random.default_rng(0)
    along = rng.normal(size=x.size)
    along /= np.linalg.norm(along)
    ahead, behind = difference(x + step * along), difference(x - step * along)
    assert (ahead[0] - behind[0]) / (2 * step) == pytest.approx(difference(x)[1] @ along, abs=1e-6)
    values, expected = path.coordinates.values(x), learned.expected(path.coordinates)
    shift = step * rng.normal(size=len(values))
    change = (expected(values + shift)[1] - expected(values - shift)[1]) / 2
    np.testing.assert_allclose(change, expected(values)[2] * shift, atol=1e-9)


def test_bonds_of_elements_that_the_pilot_lacks_are_not_known(learned):
    coordinates, x = coordinates_of("CH3SH")
    first = learned.expected(coordinates)(coordinates.values(x))[1]
    lacking = [place for place, name in enumerate(coordinates.names) if "S" in name and "torsion" not in name]
    assert "stretch X-H" in learned.terms and not first[lacking].any()
    assert first[coordinates.names.index("stretch C4-H1")] != 0.0
    nothing = LearnedDifference("", "gfn1", 0, 0, {}).expected(coordinates)
    assert nothing(coordinates.values(x))[0] == 0.0


def test_what_no_terms_by_type_can_say_is_improbable():
    path = seen("CH3CH2OH")
    assert is_probable(path)
    rng = np.random.default_rng(0)
    assert not is_probable(replace(path, differences=rng.normal(scale=0.3, size=path.differences.shape)))


def test_it_is_read_as_it_was_written_and_only_for_its_level(learned, tmp_path):
    file = tmp_path / "guide.json"
    learned.write(file)
    assert read_learned(file) == learned
    level = {"engine": "pyscf", "method": "pbe", "basis": "def2-svp"}
    relaxation = Relaxation(**level, learned=file)
    assert relaxation.learned_difference() == learned
    assert "learned_sha256" in relaxation.settings()
    assert "learned_sha256" not in Relaxation(**level).settings()
    assert Relaxation(**level, learned=file, optimizer="bfgs").learned_difference() is None
    other = Relaxation(engine="pyscf", method="PBE0", basis="def2-SVP", learned=file)
    with pytest.raises(UserError, match=r"learned for PBE/def2-SVP \(pyscf\) with the cheap level gfn1"):
        other.settings()


@pytest.mark.parametrize("change", [{"terms": {"bend": [1, 2]}}, {"terms": {"bend": [1, 2, "x"]}}, {"a": 1}])
def test_other_files_are_refused(learned, tmp_path, change):
    file = tmp_path / "guide.json"
    learned.write(file)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(UserError, match="is not what `prerelax data guide` writes"):
        read_learned(file)
