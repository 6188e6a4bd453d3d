"""What two-level expects of a DFT method before its first gradient, by the kind of method.

GFN1-xTB is too soft for any of them, in stretches and bends, and most for Hartree-Fock (scale factors of
frequencies: Merrick, Moran and Radom, J. Phys. Chem. A 2007, 111, 11683). How much for which type of
coordinate was learned once, from small molecules at one level of each kind
(`benchmarks/pilot_of_kinds.py`, `learned_difference`).
"""

import re
from pathlib import Path
from typing import Literal

from prerelax.relaxation.learned_difference import LearnedDifference, read_learned

Kind = Literal["hartree-fock", "gga", "hybrid"]
FOLDER = Path(__file__).parent / "differences"
"""Whoever changes a file there raises `TWO_LEVEL_VERSION`."""
GUIDES = frozenset({"gfn1"})
DFT_ENGINES = frozenset({"pyscf", "psi4", "gpu4pyscf", "dft"})

_DISPERSION = re.compile(r"[-+]?(g?d[234](m?bj|bj2b|\(bj\)|zero|m)?|nl|vv10)$")
_OPEN_SHELL = re.compile(r"^(ro|r|u)")
_HARTREE_FOCK = re.compile(r"hf(-3c)?|scf")
_GGA = re.compile(
    r"lda|svwn5?|(rev|r)?pbe(pbe|sol)?|[bo]lyp|xlyp|bp(86)?|bpw91|pw91|mpwpw91|hcth.*|gam|n12|b97(-?d|-?3c|m.*)?|"
    r"(rev)?tpss(tpss)?|r?scan|r2scan(-3c|l)?|(rev)?m06-?l|m11-?l|mn1[25]-?l|(m?gga|lda)-xc?-.*"
)
_HYBRID = re.compile(
    r"qm9|b3lyp[5g]?|b3pw91|b3p86|(rev)?pbe0|pbe1pbe|pbeh-?3c|bh(and)?hlyp|x3lyp|o3lyp|tpssh|tpss0|r2scan[0h]|"
    r"scan0|hse(0[36]|h1pbe)|cam-?b3lyp|lc-(?!dftb).*|w?b97x.*|wb97.*|b97-[123]|m0[5-8](-?2x|-?hf|-?hx|-?so)?|"
    r"revm06|m11|mn15|pw6b95|hyb-.*"
)


def kind_of(engine: str, method: str) -> Kind | None:
    """The kind of method by its name; None where that is no name of a DFT or Hartree-Fock method.

    With a DFT engine an unknown functional counts as a hybrid, which lies between the two others. The method
    of an ASE calculator is a name that the user chose: one that is not known here may be anything.
    """
    for word in re.split(r"[/\s!]+", method.lower().replace("ω", "w").replace("_", "-")):
        exchange, _, correlation = word.partition(",")
        name = _DISPERSION.sub("", word if correlation not in ("", exchange) else exchange).strip("-")
        for each in (name, _OPEN_SHELL.sub("", name), exchange):
            if _HARTREE_FOCK.fullmatch(each):
                return "hartree-fock"
            if _GGA.fullmatch(each):
                return "gga"
            if _HYBRID.fullmatch(each):
                return "hybrid"
    return "hybrid" if engine in DFT_ENGINES else None


def expected_of(engine: str, method: str, guide: str) -> LearnedDifference | None:
    """What the kind of method has beyond the cheap level `guide`; None where nothing is known."""
    kind = kind_of(engine, method)
    return read_learned(FOLDER / f"{kind}-{guide}.json") if kind and guide in GUIDES else None
