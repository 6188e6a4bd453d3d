"""Names of functionals, basis sets and dispersion corrections as PySCF knows them."""

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

from prerelax.errors import nearest

QM9 = "qm9"
"""the level of the QM9 data set (`qm9_level`)"""

COMMON_FUNCTIONALS = (
    "B3LYP", "B3LYPG", "PBE", "PBE0", "BLYP", "BP86", "TPSS", "TPSSh", "r2SCAN", "M06-2X", "wB97X-D3BJ",
    "wB97X-V", "wB97M-V", "B97M-V", "CAM-B3LYP", "revPBE", "PW6B95", "SVWN", "HF",
)  # fmt: skip
"""Offered when a name is misspelt; every name PySCF knows is accepted."""

COMMON_BASES = (
    "def2-SVP", "def2-TZVP", "def2-TZVPP", "def2-QZVP", "def2-TZVPD", "cc-pVDZ", "cc-pVTZ", "aug-cc-pVDZ",
    "aug-cc-pVTZ", "6-31G", "6-31G*", "6-31G**", "6-31G(2df,p)", "6-311G(d,p)", "6-311+G(d,p)", "STO-3G",
    "3-21G",
)  # fmt: skip


_DENSITY_PARTS = {170: "B97D-D3BJ", 399: "wB97X-D3BJ or wB97X-V", 471: "wB97X-D3BJ or wB97X-V"}
"""Functionals fitted with a dispersion that PySCF lacks, by libxc's number, and what to write instead: libxc
has their density part, under names such as wB97XD and B97-D."""


def functional_proper(method: str) -> str:
    """The functional of a method that may name its dispersion too, e.g. wb97x-d3bj.

    Raises ValueError for one that PySCF lacks, or that is another one in other programs and in PySCF's own
    next versions, as wB97X-D4: PySCF says so by a FutureWarning.
    """
    from pyscf.scf.dispersion import parse_dft

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            functional: str = parse_dft(method)[0]
    except NotImplementedError as error:
        raise ValueError(f"PySCF has no {method}{_relatives(method)}") from error
    except FutureWarning as error:
        raise ValueError(f"PySCF's {method} is not that of other programs{_relatives(method)}") from error
    return functional


def _relatives(method: str) -> str:
    """The common functionals of the same family, e.g. wB97X-D3BJ and wB97X-V for wB97X-D."""
    family = method.lower().partition("-")[0]
    found = [name for name in COMMON_FUNCTIONALS if name.lower().startswith(family)]
    return f"; write for example {' or '.join(found)}" if found else ""


def validate_functional(method: str, dispersion: str | None = None) -> None:
    """Raise ValueError with one sentence where PySCF has no functional of this name, or only a part of it."""
    from pyscf.dft import libxc

    if method.strip().lower() == "lda":
        raise ValueError("PySCF's LDA is Slater's exchange alone; write SVWN")
    functional = functional_proper(method)
    try:
        if not method.strip():
            raise KeyError(method)
        parts = libxc.parse_xc(functional)[1]
    except (KeyError, ValueError):
        if method.lower().startswith("gfn"):
            raise ValueError(f"{method} is a method of the engine tblite, not of pyscf") from None
        hint = _nearest(method, (*COMMON_FUNCTIONALS, QM9), libxc.XC_CODES)
        raise ValueError(f"PySCF knows no functional '{method}'{hint}") from None
    numbers = {int(number) for number, _ in parts} & set(_DENSITY_PARTS)
    if numbers and dispersion is None and functional.lower() == method.lower():
        instead = _DENSITY_PARTS[numbers.pop()]
        raise ValueError(f"PySCF has {method} without its dispersion; write {instead}")


def _nearest(word: str, common: Iterable[str], every: Iterable[str]) -> str:
    """A common name where one is near, else any that PySCF knows."""
    return nearest(word, common, list_known=False) or nearest(word, every, list_known=False)


def validate_basis(basis: str | None) -> None:
    """Raise ValueError with one sentence where PySCF has no basis of this name."""
    from pyscf import gto

    if not basis:
        raise ValueError(
            "the engine pyscf needs a basis, e.g. 'def2-TZVP' (only the level qm9 brings its own)"
        )
    if "\n" in basis or Path(basis).is_file():
        raise ValueError(f"basis '{basis}' is a file or a text; give the name of a basis that PySCF knows")
    # PySCF reads only the part of a Pople set's polarisation that the element needs, so both parts are tried.
    candidates = ("H", "C") if "(" in basis else ("H", "C", "O", "Na", "Fe", "I")
    combine = all if "(" in basis else any
    if not combine(has_basis(basis, symbol) for symbol in candidates):
        hint = _nearest(basis, COMMON_BASES, gto.basis.ALIAS)
        raise ValueError(f"PySCF knows no basis '{basis}'{hint}")


def has_basis(basis: str, symbol: str) -> bool:
    """Whether PySCF has functions of the named basis for this element."""
    from pyscf import gto

    return _loads(gto.basis.load, basis, symbol)


def has_core_potential(basis: str, symbol: str) -> bool:
    """Whether the named basis replaces this element's core electrons by a potential."""
    from pyscf import gto

    return _loads(gto.basis.load_ecp, basis, symbol)


def _loads(load: Callable[[str, str], object], basis: str, symbol: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(load(basis, symbol))
        except (
            Exception
        ):  # PySCF 2.14 answers with KeyError, FileNotFoundError, RuntimeError, BasisNotFoundError
            return False


def dispersion_functional(method: str) -> str:
    """The name under which D3 and D4 list a functional: they know one B3LYP, whatever its VWN."""
    name = method.lower().replace("-", "")
    return "b3lyp" if name in ("b3lypg", "b3lyp5", "b3lyp3") else name
