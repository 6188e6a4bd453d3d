"""Drug-like molecules as they come: what the relaxer for drugs says of each row."""

from pathlib import Path

import numpy as np
import pytest

from prerelax.molecules.graph import connectivity_unchanged
from prerelax.records.record import Record
from prerelax.records.shard import read_shard
from prerelax.starts.diffuse import diffuse_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard
from prerelax.starts.options import DiffuseOptions

MODEL = "relaxer-drugs-small"
FILE = Path(__file__).parents[1] / "bad_input" / "drugs.csv"


@pytest.fixture(scope="module")
def denoised(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    folder = tmp_path_factory.mktemp("drugs")
    (folder / "all.csv").write_text(FILE.read_text() + f"icosapeptide,{'NC(C)C(=O)' * 20}O,0\n")
    embed_shard(folder / "all.csv", folder / "rdkit.extxyz", None, 1, 42)
    forcefield_shard(folder / "rdkit.extxyz", folder / "mmff94.extxyz", "mmff94", 50, "mmff94", "none")
    options = DiffuseOptions(model=MODEL, fallback="none")
    diffuse_shard(folder / "mmff94.extxyz", folder / "out.extxyz", options, "s")
    return {row.id: row for row in read_shard(folder / "out.extxyz")}


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("salt", "input_error", "2 separate fragments"),
        ("hydrochloride", "input_error", "2 separate fragments"),
        ("ammonium", "ok", "charge +1"),
        ("carboxylate", "ok", "charge -1"),
        ("cyclophane", "embed_failed", "no 3-D geometry"),
        ("boronic-acid", "forcefield_unavailable", "parameters for B"),
        ("selenide", "forcefield_unavailable", "Se"),
        ("chlorpromazine", "ok", ""),
        ("icosapeptide", "ok", "203 atoms"),
    ],
)
def test_each_row_has_a_status_and_a_reason(
    name: str, status: str, said: str, denoised: dict[str, Record]
) -> None:
    row = denoised[name]
    assert row.status == status and said in row.message
    if status == "ok":
        assert np.isfinite(row.positions).all()
        assert connectivity_unchanged(row.smiles, row.numbers, row.positions)
