"""`model: auto`: the shipped model that the cards say fits a molecule, and why."""

from pathlib import Path

import pytest

from prerelax.denoisers.choosing import charges_known, choose, shipped_models
from prerelax.records.shard import read_shard
from prerelax.starts.diffuse import diffuse_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard
from prerelax.starts.options import DiffuseOptions

ETHANOL, THIOPHENE = [6, 6, 8, *[1] * 6], [6, 6, 6, 6, 16, *[1] * 4]
LARGE = [*[6] * 18, *[1] * 20]


@pytest.mark.parametrize(
    ("numbers", "level", "given", "model", "why"),
    [
        (ETHANOL, "B3LYP-D3BJ/def2-SVP", "mmff94", "relaxer-qm9", "the same functional"),
        (ETHANOL, "qm9", "mmff94", "relaxer-qm9", "of the level B3LYP/6-31G(2df,p)"),
        (ETHANOL, "PBE0/def2-TZVP", "mmff94", "relaxer-qm7-pbe0", "of the level PBE0/def2-TZVP"),
        (ETHANOL, "r2SCAN-D4/def2-TZVP", "mmff94", "relaxer-qm9", "a DFT level"),
        (ETHANOL, "GFN2-xTB", "mmff94", "relaxer-organic", "of the level GFN2-xTB"),
        (ETHANOL, "B3LYP/def2-SVP", "uff", "edm-qm9-small", "the same functional"),
        (ETHANOL, "B3LYP/def2-SVP", "", "edm-qm9-small", "the same functional"),
        (THIOPHENE, "B3LYP/def2-SVP", "mmff94", "relaxer-qm7-pbe0", "a DFT level"),
        (LARGE, "B3LYP/def2-SVP", "mmff94", "relaxer-organic", "of GFN2-xTB; none of B3LYP/def2-SVP"),
        ([*ETHANOL, 17], "", "mmff94", "relaxer-organic", "of GFN2-xTB; none of a DFT level knows"),
    ],
)
def test_size_then_level_then_breadth_then_accuracy_decide(
    numbers: list[int], level: str, given: str, model: str, why: str
) -> None:
    choice = choose(numbers, 0, level, given)
    assert choice.model == model
    assert why in choice.why


@pytest.mark.parametrize(
    ("numbers", "charge", "given", "why"),
    [
        ([6, 34, 6, *[1] * 6], 0, "mmff94", "does not know Se"),
        (ETHANOL, 2, "mmff94", "does not know the charge +2"),
        ([6, 17, 1, 1, 1], 0, "uff", "begins at minima of MMFF94"),
    ],
)
def test_where_no_model_fits_the_nearest_says_why(
    numbers: list[int], charge: int, given: str, why: str
) -> None:
    choice = choose(numbers, charge, "B3LYP/def2-SVP", given)
    assert choice.model is None
    assert choice.why.startswith("no shipped model fits: ") and why in choice.why


def test_cards_say_what_the_models_know() -> None:
    knows = {model.name: model.knows for model in shipped_models() if model.knows}
    assert {"relaxer-qm9", "relaxer-drugs-small", "edm-qm9-small"} <= set(knows)
    ions = {name: each["charges"] for name, each in knows.items() if each["charges"] != [0]}
    assert all(each["level"] for each in knows.values()) and ions == {"relaxer-organic": [-1, 0, 1]}
    assert charges_known("auto") == charges_known("relaxer-organic") == {-1, 0, 1}
    assert charges_known("relaxer-qm9") == charges_known("morered-jt-qm9-small") == {0}


def test_ions_are_given_to_the_model_that_knows_them() -> None:
    choice = choose([7, 6, *[1] * 6], 1, "B3LYP/def2-SVP", "mmff94")
    assert choice.model == "relaxer-organic"


DRUGS = """id,smiles
paracetamol,CC(=O)Nc1ccc(O)cc1
chloro,Clc1ccccc1C(=O)O
thiazole,Cc1ncsc1CCO
fluoro,Fc1ccc(cc1)C(C)=O
bromo,BrCCOc1ccccc1
iodo,Ic1ccccc1
phosphate,COP(=O)(OC)OC
silane,CC[SiH3]
ammonium,CC[NH3+]
carboxylate,CC(=O)[O-]
dication,C[NH2+]CCC[NH2+]C
selenide,C[Se]C
"""


def test_each_row_uses_the_model_that_fits_it_or_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(DRUGS)
    embed_shard(tmp_path / "m.csv", tmp_path / "0.extxyz", None, 1, 42)
    forcefield_shard(tmp_path / "0.extxyz", tmp_path / "1.extxyz", "mmff94", None, "mmff94")
    options = DiffuseOptions(model="auto", level="B3LYP-D3BJ/def2-SVP")
    diffuse_shard(tmp_path / "1.extxyz", tmp_path / "2.extxyz", options, "auto")
    rows = {row.id: row for row in read_shard(tmp_path / "2.extxyz")}
    assert rows["paracetamol"].status == "ok"
    assert "model relaxer-qm9: is of B3LYP/6-31G(2df,p), the same functional" in rows["paracetamol"].message
    for name in ("chloro", "fluoro", "bromo", "iodo", "phosphate", "silane", "ammonium", "carboxylate"):
        assert rows[name].status == "ok" and "model relaxer-organic" in rows[name].message, name
    for name, why in [("dication", "charge +2"), ("selenide", "know Se")]:
        assert rows[name].status == "fallback" and why in rows[name].fallback, name
    none = options.model_copy(update={"fallback": "none"})
    diffuse_shard(tmp_path / "1.extxyz", tmp_path / "3.extxyz", none, "auto")
    assert {row.id: row.status for row in read_shard(tmp_path / "3.extxyz")}[
        "selenide"
    ] == "unsupported_element"
