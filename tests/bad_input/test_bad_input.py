"""Files as chemists really send them: each bad row gets a status and a reason, the other rows finish.

Every file of this folder goes through the first two stages of the chain. Rows not named here must be `ok`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from prerelax.errors import UserError
from prerelax.molecules.input_files import count_rows
from prerelax.records.shard import read_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard

FOLDER = Path(__file__).parent

INPUT_ERRORS = {
    "rows.csv": {
        "unparsable": "position 3",
        "open-ring": "unclosed ring",
        "valence": "atom 2 (N)",
        "aromatic": "[nH]",
        "no-smiles": "SMILES is empty",
        "(row 7)": "id is empty",
        "salt": "2 separate fragments",
        "placeholder": "not an element",
        "charge-contradicts": "add up to -1",
        "charge-is-no-number": "whole number",
        "multiplicity-impossible": "18 electrons",
        "multiplicity-negative": "impossible",
        "good-first (row 14)": "row 1 has the same id",
    },
    "duplicates.csv": {"water (row 3)": "row 1", "water (row 4)": "row 1"},
    "ids.csv": {},
    "charged_and_open_shell.csv": {"methyl-singlet": "9 electrons"},
    "structures.xyz": {
        "not-a-number": "atoms 2 are not numbers",
        "one-spot": "atoms 2 and 3 are 0.00 Å apart",
        "no-such-cation": "charge +3",
        "ion": "charge -2",
        "triplet": "impossible for 10 electrons",
        "element": "Xq",
        "column": "atom line 1",
        "empty": "no atoms",
        "two-waters": "2 separate fragments",
        "count-too-large": "only 3 follow",
        "count-too-small": "more follow",
        "cut-off": "only 2 follow",
    },
    "records.sdf": {
        "one-hydrogen-missing": "atoms 3",
        "ammonium-without-charge": "atom 2 (N)",
        "field-contradicts": "charge 1 contradicts",
        "salt": "2 separate fragments",
        "one-spot": "atoms 2 and 3",
        "garbled": "cannot be read",
        "good (row 12)": "row 1",
        "cut-off": "cut off",
    },
    "truncated.sdf": {"cut-off": "cut off"},
    "embed.csv": {},
    "forcefield.csv": {},
    "drugs.csv": {"salt": "2 separate fragments", "hydrochloride": "2 separate fragments"},
}
LATER_ERRORS = {
    "embed.csv": {
        "trans-ring": ("embed_failed", "stereochemistry"),
        "cyclopropyne": ("embed_failed", "multiple bonds"),
    },
    "forcefield.csv": {
        "boronic-acid": ("fallback", "parameters for B (atom 2); UFF instead"),
        "selenide": ("fallback", "Se"),
        "hydrogen": ("fallback", "UFF instead"),
    },
    "drugs.csv": {
        "cyclophane": ("embed_failed", "no 3-D geometry"),
        "boronic-acid": ("fallback", "parameters for B"),
        "selenide": ("fallback", "Se"),
    },
    "charged_and_open_shell.csv": {"oxygen": ("fallback", "UFF instead")},
}


@pytest.mark.parametrize("name", INPUT_ERRORS)
def test_bad_rows_have_a_status_and_good_ones_finish(name: str, tmp_path: Path) -> None:
    rdkit, mmff94 = tmp_path / "rdkit.extxyz", tmp_path / "mmff94.extxyz"
    embed_shard(FOLDER / name, rdkit, rows=None, conformers=1, seed=42)
    forcefield_shard(rdkit, mmff94, "mmff94", None, "mmff94")
    records = read_shard(mmff94)
    assert len(records) == count_rows(FOLDER / name)
    assert len({record.id for record in records}) == len(records)

    expected = {key: ("input_error", part) for key, part in INPUT_ERRORS[name].items()} | LATER_ERRORS.get(
        name, {}
    )
    found = {record.id: record.status for record in records if record.status != "ok"}
    assert found == {key: status for key, (status, _) in expected.items()}
    for record in records:
        if record.id in expected:
            assert expected[record.id][1] in record.message
            assert "\n" not in record.message
        if record.status in ("input_error", "embed_failed"):
            assert not len(record.numbers)
        else:
            assert len(record.numbers) == record.smiles.count(":")


def test_input_errors_name_their_row(tmp_path: Path) -> None:
    embed_shard(FOLDER / "rows.csv", tmp_path / "a.extxyz", slice(3, 5), conformers=1, seed=42)
    assert [record.message[:5] for record in read_shard(tmp_path / "a.extxyz")] == ["row 4", "row 5"]


def test_ids_are_what_the_file_says(tmp_path: Path) -> None:
    embed_shard(FOLDER / "ids.csv", tmp_path / "a.extxyz", None, conformers=1, seed=42)
    ids = [record.id for record in read_shard(tmp_path / "a.extxyz")]
    assert ids == ["000123", "T", "1e5", "True", "nan", "-", 'a "b", c', "C:\\molecules\\é"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("empty.csv", "empty"),
        ("no_smiles_column.csv", "no column 'smiles'"),
        ("unclosed_quote.csv", "after its row 1"),
        ("absent.csv", "no such file"),
    ],
)
def test_useless_files_are_one_sentence_and_leave_no_shard(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        embed_shard(FOLDER / name, tmp_path / "a.extxyz", None, conformers=1, seed=42)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_takes_nothing_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "methanol.csv").write_text("id,smiles\nmethanol,CO\n")
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
    limited += "sys.argv[0] = 'prerelax'; from prerelax.cli import main; main()"
    command = [sys.executable, "-c", limited, "embed", "methanol.csv", "out.extxyz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0 and "File too large" in done.stderr
    assert not (tmp_path / "out.extxyz").exists()
