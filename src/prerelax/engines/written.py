"""Levels as chemists write them: `B3LYP-D3BJ/def2-SVP`, `PBE0-D4/def2-TZVP SMD(water)`, `GFN2-xTB`, `qm9`."""

import re
import sys

from prerelax.engines import engine_named, validate_level
from prerelax.engines.level import Level
from prerelax.errors import UserError, nearest

XTB = {"gfn2-xtb": "GFN2-xTB", "gfn1-xtb": "GFN1-xTB", "gfn2": "GFN2-xTB", "gfn1": "GFN1-xTB"}
QM9 = "qm9"
EXAMPLES = "B3LYP-D3BJ/def2-SVP, r2SCAN-D4/def2-TZVP, PBE0-D4/def2-TZVP SMD(water), GFN2-xTB or qm9"

_SOLVENT = re.compile(
    r"\s+(?:(?P<model>SMD|ALPB|GBSA|C-?PCM|IEF-?PCM)\((?P<in_model>[^()]+)\)|in\s+(?P<solvent>\S.*))$", re.I
)
_DISPERSION = re.compile(r"-(?P<word>D[234](?:\(?(?:BJ|0|zero)\)?)?)$", re.I)
_KNOWN_DISPERSION = {"d3bj": "d3bj", "d3(bj)": "d3bj", "d4": "d4"}
_COMPOSITE = re.compile(r"-3c$", re.I)
_OF_OTHER_PROGRAMS = re.compile(r"(?:PM[367]|AM1|MNDO|RM1|ANI-|MACE-|AIMNet)", re.I)
_GAUSSIAN_DISPERSION = re.compile(r"-GD(?=[34])", re.I)
_CORRELATED = re.compile(
    r"(?:^|-)(?:MP[234]|CC(?:SD|2)|CAS(?:SCF|PT2)|CISD?|QCISD|B2\w*PLYP|DSD)(?:\W|$)", re.I
)


def written_level(text: str, engine: str | None = None) -> Level:
    """The level that a text means; `engine` in place of tblite for xTB and pyscf for everything else.

    Imports the engine's program to look its words up. Raises UserError in one sentence, with the nearest word
    where one is near.
    """
    rest = " ".join(text.replace("ω", "w").split())
    found: dict[str, str] = {}
    if solvent := _SOLVENT.search(rest):
        found["solvent"] = (solvent["in_model"] or solvent["solvent"]).strip()
        if solvent["model"]:
            found["solvent_model"] = solvent["model"].lower()
        rest = rest[: solvent.start()]
    method, slash, basis = (part.strip() for part in rest.partition("/"))
    method = _GAUSSIAN_DISPERSION.sub("-D", method)
    if not method or (slash and not basis):
        raise UserError(f"{text!r} is no level; write for example {EXAMPLES}")
    if method.lower().startswith(("gfn", "xtb")) or method.lower().endswith("xtb"):
        found["method"] = _xtb(method)
        found["engine"] = engine or "tblite"
        if basis:
            raise UserError(f"{found['method']} has its own basis; leave {basis} out")
    else:
        if _CORRELATED.search(method):
            raise UserError(
                f"{method} is a wave-function method or a double hybrid, for which no engine here has "
                f"gradients; write for example {EXAMPLES}"
            )
        if _COMPOSITE.search(method):
            raise UserError(
                f"{method} is a composite method, which no engine here has; write for example {EXAMPLES}"
            )
        found["engine"] = engine or "pyscf"
        found |= _functional(text, method, basis)
    return _validated(text, found)


def _xtb(method: str) -> str:
    if method.lower() not in XTB:
        raise UserError(f"{method} is no xTB method{nearest(method, dict.fromkeys(XTB.values()))}")
    return XTB[method.lower()]


def _functional(text: str, method: str, basis: str) -> dict[str, str]:
    if method.lower() == QM9 and not basis:
        return {"method": QM9}
    if not basis and _OF_OTHER_PROGRAMS.match(method):
        raise UserError(
            f"{method} is of a program or potential of your own: write a campaign file with `engine: ase` "
            "and its `calculator` (guide: Your own program)"
        )
    if not basis:
        near = nearest(method, (*XTB.values(), QM9), list_known=False)
        raise UserError(f"{text!r} lacks a basis{near or '; write for example ' + method + '/def2-SVP'}")
    suffix = _DISPERSION.search(method)
    if suffix is None or _names_another_functional(method, method[: suffix.start()]):
        return {"method": method, "basis": basis}
    word = suffix["word"].lower()
    if word not in _KNOWN_DISPERSION:
        raise UserError(f"the dispersion {suffix['word']} in {text!r} is not known; write D3BJ or D4")
    return {"method": method[: suffix.start()], "basis": basis, "dispersion": _KNOWN_DISPERSION[word]}


def _names_another_functional(whole: str, without: str) -> bool:
    """Whether a name like wB97X-D3BJ is a functional of its own, not wB97X with a correction."""
    from prerelax.engines.pyscf.names import functional_proper

    try:
        return functional_proper(whole).lower() != functional_proper(without).lower()
    except ValueError:  # a functional of its own that PySCF lacks; the level's validation says so
        return True


def _validated(text: str, found: dict[str, str]) -> Level:
    try:
        engine_named(found["engine"])
        level = Level.model_validate(found)
        validate_level(level)
    except (ValueError, UserError) as error:
        raise UserError(f"the level {text!r}: {error}") from None
    return level


if __name__ == "__main__":  # for processes that may hold torch
    try:
        print(written_level(*sys.argv[1:3]).model_dump_json(exclude_defaults=True))
    except UserError as error:
        sys.exit(f"prerelax: {error}")
