"""PySCF's basis sets as files that Psi4 reads, for the sets that Psi4's library lacks."""

from pyscf import gto

from prerelax.engines.pyscf.names import has_basis, has_core_potential

SHELLS = "SPDFGHI"
FILE_NAME = str.maketrans({"(": "_", ")": "_", ",": "_", "*": "s", "+": "p"})


def gbs_file_name(basis: str) -> str:
    """The file in which Psi4 looks for a basis of this name."""
    return basis.lower().translate(FILE_NAME) + ".gbs"


def gbs_text(basis: str, symbols: list[str]) -> str:
    """The named basis of these elements in Psi4's format, spherical.

    Elements that PySCF lacks, or whose core electrons the basis replaces by a potential, are left out.
    """
    atoms = [
        f"{symbol} 0\n{''.join(_shells(basis, symbol))}****\n"
        for symbol in symbols
        if has_basis(basis, symbol) and not has_core_potential(basis, symbol)
    ]
    return "spherical\n****\n" + "".join(atoms)


def _shells(basis: str, symbol: str) -> list[str]:
    """One block for each contraction; PySCF keeps the contractions of the same primitives together."""
    blocks = []
    for angular, *primitives in gto.basis.load(basis, symbol):
        primitives = [row for row in primitives if isinstance(row, list | tuple)]  # spinor sets have a kappa
        for column in range(1, len(primitives[0])):
            rows = "".join(f"  {row[0]:.12e}  {row[column]:.12e}\n" for row in primitives)
            blocks.append(f"{SHELLS[angular]} {len(primitives)} 1.00\n{rows}")
    return blocks
