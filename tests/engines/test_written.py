"""Levels as chemists write them."""

import pytest

from prerelax.engines.written import written_level
from prerelax.errors import UserError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("B3LYP-D3BJ/def2-SVP", "pyscf B3LYP d3bj def2-SVP"),
        ("b3lyp-d3(bj)/def2-svp", "pyscf b3lyp d3bj def2-svp"),
        ("r2SCAN-D4/def2-TZVP", "pyscf r2SCAN d4 def2-TZVP"),
        ("PBE0-D3BJ/def2-TZVP SMD(water)", "pyscf PBE0 d3bj def2-TZVP water smd"),
        (" PBE0 / 6-31G(2df,p)  in ethanol", "pyscf PBE0 6-31G(2df,p) ethanol"),
        ("B3LYP-GD3BJ/def2-SVP", "pyscf B3LYP d3bj def2-SVP"),
        ("HF/3-21G", "pyscf HF 3-21G"),
        ("ωB97X-D3BJ/def2-SVP", "pyscf wB97X-D3BJ def2-SVP"),
        ("CAM-B3LYP/def2-SVP", "pyscf CAM-B3LYP def2-SVP"),
        ("M06-2X/def2-SVP", "pyscf M06-2X def2-SVP"),
        ("qm9", "pyscf qm9"),
        ("GFN2-xTB", "tblite GFN2-xTB"),
        ("gfn1", "tblite GFN1-xTB"),
        ("GFN2-xTB ALPB(water)", "tblite GFN2-xTB water alpb"),
    ],
)
def test_what_is_written_is_what_is_meant(text: str, said: str) -> None:
    level = written_level(text)
    fields = (level.engine, level.method, level.dispersion, level.basis, level.solvent, level.solvent_model)
    assert " ".join(filter(None, fields)) == said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("B3LPY-D3BJ/def2-SVP", "did you mean B3LYP"),
        ("B3LYP/def2-SPV", "did you mean def2-SVP"),
        ("B3LYP-D3/def2-SVP", "write D3BJ or D4"),
        ("B3LYP-D3BJ", "lacks a basis; write for example B3LYP-D3BJ/def2-SVP"),
        ("GFN3-xTB", "did you mean GFN"),
        ("GFN2-xTB/def2-SVP", "has its own basis"),
        ("xtb", "is no xTB method; known are GFN2-xTB, GFN1-xTB$"),
        ("MP2/cc-pVDZ", "wave-function method"),
        ("DLPNO-CCSD(T)/cc-pVTZ", "wave-function method"),
        ("B2PLYP-D3BJ/def2-TZVP", "double hybrid"),
        ("wB97X-D/def2-SVP", "PySCF has no wB97X-D; write for example wB97X-D3BJ or wB97X-V"),
        ("wB97X-D3/def2-SVP", "PySCF has no wB97X-D3"),
        ("wB97XD/def2-SVP", "PySCF has wB97XD without its dispersion; write wB97X-D3BJ or wB97X-V"),
        ("B97-D/def2-SVP", "without its dispersion; write B97D-D3BJ"),
        ("B97-D3BJ/def2-SVP", "that of other programs is B97D-D3BJ here"),
        ("LDA/def2-SVP", "exchange alone; write SVWN"),
        ("B3LYP*/def2-SVP", "did you mean B3LYP"),
        ("wB97X-D4/def2-SVP", "not that of other programs; write for example wB97X-D3BJ"),
        ("qm", "did you mean qm9"),
        ("PM7", "write a campaign file with `engine: ase`"),
        ("ANI-2xt", "write a campaign file with `engine: ase`"),
        ("r2SCAN-3c", "composite method"),
        ("PBE0/def2-SVP SMD(watter)", "did you mean water"),
        ("", "is no level"),
        ("/def2-SVP", "is no level"),
    ],
)
def test_what_is_not_known_is_told_with_the_nearest_word(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as error:
        written_level(text)
    assert "\n" not in str(error.value)
