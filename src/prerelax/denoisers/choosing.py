"""`model: auto`: the shipped denoiser that fits a molecule best, by what the models' cards say of themselves.

A card begins with the fields of `Knows` between two lines of `---`; an adapted model has them in its config.
Imports no torch.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from ase.data import chemical_symbols

from prerelax.denoisers.model_config import Knows
from prerelax.denoisers.model_folders import CARD, ModelError, find_model, list_models, read_model_config
from prerelax.reading import read_yaml

AUTO = "auto"
_XTB = ("gfn1-xtb", "gfn2-xtb")


@dataclass(frozen=True)
class Shipped:
    """What a shipped model says of itself."""

    name: str
    elements: frozenset[int]
    knows: Knows

    def objection(self, elements: Collection[int], charge: int, given: str) -> str:
        """Why it does not fit a molecule of these atomic numbers whose geometry is a minimum of `given`."""
        if foreign := set(elements) - self.elements:
            return f"{self.name} does not know {', '.join(chemical_symbols[z] for z in sorted(foreign))}"
        if charge not in self.knows.get("charges", [0]):
            return f"{self.name} does not know the charge {charge:+d}"
        wanted = self.knows.get("given")
        if wanted and wanted != given:
            return f"{self.name} begins at minima of {wanted.upper()}"
        return ""

    def rank(self, n_atoms: int, level: str) -> tuple[bool, int, float, float]:
        """Lower is better: size, level, the largest molecules learned from, the error of bonds on its card.

        The errors of two cards are of molecules of different sizes: the smaller, the easier.
        """
        largest = self.knows.get("max_atoms", float("inf"))
        distance = _distance(self.knows.get("level", ""), level)
        return n_atoms > largest, distance, -largest, self.knows.get("bond_mae_ang", float("inf"))


@dataclass(frozen=True)
class Choice:
    """The model for a molecule, or none, and why."""

    model: str | None
    why: str


def choose(numbers: Sequence[int], charge: int, level: str, given: str) -> Choice:
    """The shipped model for a molecule of these atomic numbers [n_atoms].

    `level` is that of the minima that are wanted, such as `B3LYP-D3BJ/def2-SVP`; `given` is the method whose
    minimum the geometry is, such as `mmff94`, or empty.
    """
    models = [model for model in shipped_models() if model.knows]
    objections = {model.name: model.objection(set(numbers), charge, given) for model in models}
    fit = [model for model in models if not objections[model.name]]
    if not fit:
        nearest = min(models, key=lambda m: (len(set(numbers) - m.elements), m.rank(len(numbers), level)))
        return Choice(None, f"no shipped model fits: {objections[nearest.name]}")
    best = min(fit, key=lambda model: model.rank(len(numbers), level))
    of = best.knows.get("level", "")
    words = {0: f"is of the level {of}", 1: f"is of {of}, the same functional", 2: f"is of {of}, a DFT level"}
    distance = _distance(of, level)
    why = words.get(distance, f"is of {of}; none of {level or 'a DFT level'} knows such a molecule")
    larger = f", on up to {best.knows['max_atoms']} atoms" if best.rank(len(numbers), level)[0] else ""
    return Choice(best.name, f"model {best.name}: {why}{larger}")


def charges_known(model: str) -> set[int]:
    """The charges of molecules that a model, or with `auto` any shipped one, may be asked about."""
    models = shipped_models() if model == AUTO else (_read(model),)
    return {0}.union(*(each.knows.get("charges", []) for each in models))


@cache
def shipped_models() -> tuple[Shipped, ...]:
    """All shipped models, with what they say of themselves; read once."""
    return tuple(_read(name) for name in list_models())


def _read(name: str) -> Shipped:
    folder = find_model(name)
    config: Any = read_model_config(folder)
    network = config["network"].get("stage") or config["network"]
    knows: Knows = config.get("knows") or _of_card(folder / CARD)
    for key in ("charges", "elements"):
        if not isinstance(knows.get(key) or [], list):
            raise ModelError(f"{folder}: knows.{key} must be a list")
    return Shipped(name, frozenset(network.get("elements") or ()), knows)


def _of_card(path: Path) -> Knows:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not text.startswith("---\n"):
        return Knows()
    found: Any = read_yaml(text.split("---\n")[1], str(path))
    return cast(Knows, found) if isinstance(found, dict) else Knows()


def _distance(known: str, wanted: str) -> int:
    """0: the same level; 1: the same functional; 2: both density functional theory; 3: neither."""
    a, b = known.lower(), wanted.lower()
    b = {"qm9": "b3lyp/6-31g(2df,p)"}.get(b, b)
    if a == b:
        return 0
    functional = [text.partition("/")[0].partition("-d")[0] for text in (a, b)]
    if functional[0] == functional[1]:
        return 1
    return 2 if a not in _XTB and b not in _XTB else 3
