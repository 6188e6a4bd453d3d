"""A relaxation's settings: one declaration for every door, and keys of journals that stay as they were."""

import json
from pathlib import Path
from typing import Any

import pytest

from prerelax.engines import Level
from prerelax.errors import UserError
from prerelax.relaxation.settings import Relaxation, Resources
from prerelax.settings import model_from

KNOWN = json.loads((Path(__file__).parent / "settings_in_journals.json").read_text())
"""What journals written before the models were one have in their keys, versions left out."""


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row["settings"]["optimizer"])
def test_journals_of_before_are_taken_up(row: dict[str, Any]) -> None:
    settings = Relaxation(**row["relaxation"]).settings()
    unlike = {"versions", "ase"}
    changed = {"kick_version", "thermochemistry_version"}  # kicks and Gibbs energies are others since then
    assert {n: value for n, value in settings.items() if n not in unlike | changed} == row["settings"]
    assert unlike <= set(settings)
    assert bool(changed & set(settings)) == row["relaxation"].get("kick", False)


def test_a_single_point_is_one_whatever_the_level() -> None:
    level = Level(engine="pyscf", method="PBE", basis="STO-3G")
    point = Relaxation.single_point(level)
    assert (point.level, point.chosen_optimizer, point.max_steps) == (level, "bfgs", 0)


def test_one_default_optimizer_for_every_engine() -> None:
    optimizers = {
        engine: Relaxation(engine=engine, method="m").chosen_optimizer
        for engine in ("tblite", "mlff", "pyscf", "psi4", "dft")
    }
    assert set(optimizers.items()) == {
        ("tblite", "bfgs-hessian"),
        ("mlff", "bfgs-hessian"),
        ("pyscf", "two-level"),
        ("psi4", "two-level"),
        ("dft", "two-level"),
    }


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"fmax": -1.0}, "fmax must be more than 0, not -1.0"),
        ({"fmax": float("inf")}, "fmax must be finite, not inf"),
        ({"max_steps": -1}, "max_steps must be at least 0, not -1"),
        ({"kick": True}, "kick leaves saddle points that check_minimum finds; choose cheap or target for it"),
        ({"hessian": "gfn2"}, "the key hessian is now called cheap_level"),
        ({"cheap_level": "gnf2"}, "did you mean gfn2"),
        ({"only": {"max_atom": 3}}, "unknown key only.max_atom; did you mean max_atoms?"),
    ],
)
def test_wrong_values_are_one_sentence(said: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        model_from(Relaxation, {"engine": "tblite", "method": "GFN2-xTB", **said})
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_resources_are_at_least_one() -> None:
    with pytest.raises(UserError, match="workers must be at least 1, not 0"):
        model_from(Resources, {"workers": 0})
