"""What two-level expects of a DFT method before its first gradient, by the kind of method.

GFN1-xTB is too soft for any of them, in stretches and bends, and most for Hartree-Fock (scale factors of
frequencies: Merrick, Moran and Radom, J. Phys. Chem. A 2007, 111, 11683). How much for which type of
coordinate was learned once, from small molecules at one level of each kind
(`benchmarks/pilot_of_kinds.py`, `learned_difference`).
"""

import re
from pathlib import Path
from typing import Literal

Kind = Literal["hartree-fock", "gga", "hybrid"]
FOLDER = Path(__file__).parent / "differences"
NO_DFT_ENGINES = frozenset({"tblite", "mlff"})

_DISPERSION = re.compile(r"-(d2|d3|d4|d3bj|d3\(?bj\)?|d3zero|d3m|nl|vv10)$")
_HARTREE_FOCK = re.compile(r"(r|u|ro)?hf(-3c)?")
_GGA = re.compile(
    r"lda|svwn5?|(rev|r)?pbe(pbe|sol)?|blyp|olyp|bp(86)?|bpw91|pw91|mpwpw91|hcth.*|n12|b97(-d)?|b97-?3c|b97m.*|"
    r"(rev)?tpss|r?scan|r2scan(-3c|l)?|(rev)?m06-?l|m11-?l|mn1[25]-?l"
)
_HYBRID = re.compile(
    r"qm9|b3lyp[5g]?|b3pw91|b3p86|(rev)?pbe0|pbe1pbe|pbeh-?3c|bh(and)?hlyp|x3lyp|o3lyp|tpssh|tpss0|r2scan[0h]|"
    r"scan0|hse0[36]|cam-?b3lyp|lc-.*|w?b97x.*|wb97.*|b97-[123]|m05.*|(rev)?m06(-2x|-hf)?|m08.*|m11|mn15|pw6b95"
)


def kind_of(engine: str, method: str) -> Kind | None:
    """The kind of method by its name; None for what is no DFT, as far as that shows.

    Of a DFT engine an unknown functional counts as a hybrid, which lies between the two others; of an ASE
    calculator, whose method is a name that the user chose, as no DFT.
    """
    if engine in NO_DFT_ENGINES:
        return None
    name = _DISPERSION.sub("", re.split(r"[/\s]", method.lower().replace("ω", "w").strip())[0])
    if _HARTREE_FOCK.fullmatch(name):
        return "hartree-fock"
    if _GGA.fullmatch(name):
        return "gga"
    return "hybrid" if engine != "ase" or _HYBRID.fullmatch(name) else None


def expected_of(engine: str, method: str, guide: str) -> Path | None:
    """What the kind of method has beyond the cheap level `guide`, as `LearnedDifference` writes it.

    None where nothing is known.
    """
    kind = kind_of(engine, method)
    path = FOLDER / f"{kind}-{guide}.json"
    return path if kind is not None and path.exists() else None
