"""What a denoiser does not know, breaks, or is not sure of: a status, a reason, and GFN2-xTB in its place."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from prerelax.denoisers.checkpoint import CONFIG, WEIGHTS, find_model
from prerelax.molecules.graph import connectivity_unchanged, mol_from_mapped_smiles
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.diffuse import diffuse_shard
from prerelax.starts.embed import embed_again, embed_shard
from prerelax.starts.fallback import FALLBACK, MAX_ATOMS, subject_of
from prerelax.starts.forcefield import forcefield_shard
from prerelax.starts.found_before import minima_known
from prerelax.starts.known_minima import diffused_shard
from prerelax.starts.options import DiffuseOptions

MODEL = "edm-qm9-small"

ROWS = {
    "ethanol": "CCO,0,1",
    "thiol": "CS,0,1",
    "ammonium": "C[NH3+],1,1",
    "methyl": "[CH3],0,2",
    "oxygen": "[O][O],0,3",
    "helium": "[He],0,1",
    "hydrogen-atom": "[H],0,2",
    "hydrogen": "[H][H],0,1",
    "nitrogen": "N#N,0,1",
    "fluorine": "FF,0,1",
    "large": f"{'C' * 34},0,1",
}


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    folder = tmp_path_factory.mktemp("molecules")
    lines = [f"{name},{row}" for name, row in ROWS.items()]
    (folder / "m.csv").write_text("\n".join(["id,smiles,charge,multiplicity", *lines]))
    embed_shard(folder / "m.csv", folder / "rdkit.extxyz", None, 1, 42)
    forcefield_shard(folder / "rdkit.extxyz", folder / "uff.extxyz", "uff", None, "uff")
    return {record.id: record for record in read_shard(folder / "uff.extxyz")}


Denoise = Callable[..., list[Record]]


@pytest.fixture
def denoise(tmp_path: Path) -> Denoise:
    def run(*records: Record, **options: Any) -> list[Record]:
        write_shard(tmp_path / "in.extxyz", records)
        workers = options.pop("workers", 1)
        chosen = DiffuseOptions.model_validate({"model": MODEL, "sampler": "few", **options})
        diffuse_shard(tmp_path / "in.extxyz", tmp_path / "out.extxyz", chosen, "s", workers=workers)
        return read_shard(tmp_path / "out.extxyz")

    return run


UNKNOWN = {
    "thiol": "not trained on S",
    "ammonium": "charge +1",
    "methyl": "open shell (multiplicity 2)",
    "oxygen": "open shell (multiplicity 3)",
    "hydrogen-atom": "open shell",
    "helium": "not trained on He",
    "fluorine": "not trained on F",
}


def test_molecules_that_no_denoiser_knows_are_relaxed_with_gfn2(
    molecules: dict[str, Record], denoise: Denoise, tmp_path: Path
) -> None:
    ethanol, *rows = denoise(molecules["ethanol"], *(molecules[name] for name in UNKNOWN))
    assert (ethanol.status, ethanol.fallback) == ("ok", None)
    relax_shard(tmp_path / "in.extxyz", tmp_path / "gfn2.extxyz", FALLBACK, named=Named(start="gfn2"))
    _, *minima = read_shard(tmp_path / "gfn2.extxyz")
    for row, why, minimum in zip(rows, UNKNOWN.values(), minima, strict=True):
        assert (row.status, row.start) == ("fallback", "s")
        assert why in row.message and "GFN2-xTB" in row.message
        assert row.fallback is not None and row.fallback in row.message
        assert row.n_gradients_cheap >= 1
        np.testing.assert_allclose(row.positions, minimum.positions, atol=1e-4)


@pytest.mark.parametrize("name", ["hydrogen", "nitrogen"])
def test_two_atoms_are_denoised(name: str, molecules: dict[str, Record], denoise: Denoise) -> None:
    row = denoise(molecules[name])[0]
    assert row.status in ("ok", "fallback")
    assert connectivity_unchanged(row.smiles, row.numbers, row.positions)


def test_very_large_molecules_fall_back(molecules: dict[str, Record], denoise: Denoise) -> None:
    large = molecules["large"]
    assert len(large.numbers) > MAX_ATOMS
    row = denoise(large, fallback="none")[0]
    assert row.status == "ok" and f"{len(large.numbers)} atoms" in row.message
    assert row.residual_ang is not None and "not sure" in row.message  # as the residual says by itself


def test_ions_are_not_denoised_silently_without_a_fallback(
    molecules: dict[str, Record], denoise: Denoise
) -> None:
    ion, ethanol = denoise(molecules["ammonium"], molecules["ethanol"], fallback="none")
    assert (ion.status, ion.fallback) == ("ok", None)
    assert "charge +1" in ion.message
    assert ethanol.message == ""


def test_a_model_that_knows_ions_is_asked(
    molecules: dict[str, Record], denoise: Denoise, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(find_model("relaxer-drugs-small"), mine)
    (mine / "SHA256SUMS").unlink()
    with (mine / "config.yaml").open("a") as config:
        config.write("knows: {charges: [0, 1]}\n")
    (ion,) = denoise(molecules["ammonium"], model=str(mine), fallback="none")
    assert (ion.status, ion.message) == ("ok", "")
    other = subject_of(replace(molecules["ammonium"], charge=-1), [0, 1])
    assert other.objection == "charge -1; this denoiser knows neutral molecules and charges +1"


def test_fragments_fall_back(molecules: dict[str, Record], denoise: Denoise) -> None:
    ethanol = molecules["ethanol"]
    apart = ethanol.positions + np.array([8.0, 0.0, 0.0])
    shifted = _with_shifted_map(ethanol.smiles, len(ethanol.numbers))
    dimer = replace(
        ethanol,
        smiles=f"{ethanol.smiles}.{shifted}",
        numbers=np.tile(ethanol.numbers, 2),
        positions=np.vstack([ethanol.positions, apart]),
    )
    without_smiles = replace(dimer, id="2", smiles="")
    for row in denoise(dimer, without_smiles):
        assert row.status == "fallback"
        assert "2 separate fragments" in row.message


def _with_shifted_map(smiles: str, by: int) -> str:
    mol = mol_from_mapped_smiles(smiles)
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(atom.GetIdx() + 1 + by)
    from rdkit import Chem

    return str(Chem.MolToSmiles(mol))


def test_a_frame_of_other_atoms_than_the_smiles_is_an_input_error(
    molecules: dict[str, Record], denoise: Denoise
) -> None:
    ethanol = molecules["ethanol"]
    fewer = replace(ethanol, numbers=ethanol.numbers[:-1], positions=ethanol.positions[:-1])
    another = replace(ethanol, id="2", numbers=np.where(ethanol.numbers == 8, 7, ethanol.numbers))
    order = np.argsort(ethanol.numbers, kind="stable")
    shuffled = replace(ethanol, id="3", numbers=ethanol.numbers[order], positions=ethanol.positions[order])
    nonsense = replace(ethanol, id="4", smiles="C1CC")
    rows = denoise(fewer, another, shuffled, nonsense, replace(ethanol, id="5"))
    assert [row.status for row in rows] == ["input_error"] * 4 + ["ok"]
    assert "H6" in rows[0].message and "H5" in rows[0].message
    assert "another order" in rows[2].message
    for row, given in zip(rows[:4], (fewer, another, shuffled, nonsense), strict=True):
        np.testing.assert_allclose(row.positions, given.positions, atol=1e-7)


def test_a_geometry_of_other_bonds_than_the_smiles_is_never_ok(
    molecules: dict[str, Record], denoise: Denoise
) -> None:
    ethanol = molecules["ethanol"]
    moved = ethanol.positions.copy()
    hydroxyl = int(np.flatnonzero(ethanol.numbers == 1)[-1])
    moved[hydroxyl] = moved[0] + 1.09 * _unit(moved[0] - moved[1:].mean(axis=0))
    row = denoise(replace(ethanol, positions=moved))[0]
    assert row.status != "ok"
    if row.proceeds:
        assert connectivity_unchanged(row.smiles, row.numbers, row.positions)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_clashing_atoms_give_the_molecule_or_an_error(molecules: dict[str, Record], denoise: Denoise) -> None:
    ethanol = molecules["ethanol"]
    on_one_spot = ethanol.positions.copy()
    on_one_spot[3] = on_one_spot[4] + 0.01
    close = ethanol.positions.copy()
    close[3] = close[4] + [0.5, 0.0, 0.0]
    squeezed = 0.6 * ethanol.positions
    given = [replace(ethanol, id=str(i), positions=x) for i, x in enumerate((on_one_spot, close, squeezed))]
    infinite = replace(ethanol, id="infinite", positions=ethanol.positions * np.inf)
    rows = denoise(*given, *(replace(each, id=f"{each.id} bare", smiles="") for each in given), infinite)
    for row in rows:
        assert row.status == "ok" or row.message
        # Without SMILES a geometry that fits no bond orders may be whatever it is, but not ok.
        if row.status == "ok" or (row.proceeds and row.smiles):
            assert connectivity_unchanged(ethanol.smiles, ethanol.numbers, row.positions), row.id


def test_what_no_program_could_compute_is_an_input_error(denoise: Denoise) -> None:
    water = np.array([[0.0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]])
    bad = {
        "no atoms": Record("empty"),
        "dummy": Record("dummy", np.array([0, 1, 1]), water),
        "element 100": Record("fermium", np.array([100, 1, 1]), water),
        "not finite": Record("nan", np.array([8, 1, 1]), water * np.nan, smiles="[O:1]([H:2])[H:3]"),
        "number all its atoms": Record("unmapped", np.array([8, 1, 1]), water, smiles="O"),
        "multiplicity 2": Record("doublet", np.array([8, 1, 1]), water, multiplicity=2),
    }
    rows = denoise(*bad.values())
    assert {row.status for row in rows} == {"input_error"}
    for words, row in zip(bad, rows, strict=True):
        assert words in row.message, row.id


def test_rows_without_smiles_are_judged_by_the_graph_of_their_geometry(
    molecules: dict[str, Record], denoise: Denoise
) -> None:
    ethanol = molecules["ethanol"]
    row = denoise(replace(ethanol, smiles=""))[0]
    assert row.status == "ok"
    assert connectivity_unchanged(ethanol.smiles, ethanol.numbers, row.positions)


@pytest.fixture(scope="module")
def sceptic(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> str:
    """The shipped model, sure of nothing."""
    folder = tmp_path_factory.mktemp("sceptic")
    (folder / WEIGHTS).symlink_to(repository / "models" / MODEL / WEIGHTS)
    config = yaml.safe_load((repository / "models" / MODEL / CONFIG).read_text())
    config["confidence"] = {**(config.get("confidence") or {}), "limit_ang": 1e-6}
    (folder / CONFIG).write_text(yaml.safe_dump(config))
    return str(folder)


def test_a_model_that_is_not_sure_says_so(
    molecules: dict[str, Record], denoise: Denoise, sceptic: str
) -> None:
    alone = denoise(molecules["ethanol"], model=sceptic, fallback="none")[0]
    assert alone.status == "ok" and "not sure" in alone.message
    row = denoise(molecules["ethanol"], model=sceptic)[0]
    assert row.status == "fallback"
    assert "not sure" in row.message and "limit 0.0000" in row.message
    assert row.residual_ang == pytest.approx(alone.residual_ang)
    assert row.denoised_energy_left_kcal_mol is None and alone.denoised_energy_left_kcal_mol > 0
    assert np.abs(row.positions - alone.positions).max() > 1e-3
    assert row.wall_s > 0 and row.stages_s["s"] == pytest.approx(row.wall_s)


def test_fallbacks_are_named_behind_the_next_stages(
    molecules: dict[str, Record], denoise: Denoise, tmp_path: Path
) -> None:
    thiol, ethanol = denoise(molecules["thiol"], molecules["ethanol"])
    relax_shard(tmp_path / "out.extxyz", tmp_path / "r.extxyz", FALLBACK, named=Named(target="gfn2"))
    relaxed = read_shard(tmp_path / "r.extxyz")
    assert [row.status for row in relaxed] == ["ok", "ok"]
    assert [row.fallback for row in relaxed] == [thiol.fallback, None]
    assert [row.residual_ang for row in relaxed] == [None, ethanol.residual_ang]
    expected = ethanol.denoised_energy_left_kcal_mol
    assert [row.denoised_energy_left_kcal_mol for row in relaxed] == [None, expected]
    assert relaxed[0].n_steps == 0


def test_another_start_forgets_what_the_denoiser_said(
    molecules: dict[str, Record], denoise: Denoise, tmp_path: Path
) -> None:
    (denoised,) = denoise(molecules["ethanol"])
    assert denoised.denoised_energy_left_kcal_mol and denoised.residual_ang and denoised.n_iterations
    given, folder = tmp_path / "out.extxyz", tmp_path
    forcefield_shard(given, folder / "uff.extxyz", "uff", None, "uff")
    relax_shard(given, folder / "gfn2.extxyz", FALLBACK, named=Named(start="gfn2"))
    embed_again(given, folder / "embedded.extxyz", 1, "embedded")
    diffused_shard(given, folder / "noised.extxyz", [5], "noised")
    relax_shard(given, folder / "minimum.extxyz", FALLBACK, named=Named(target="gfn2"))
    rows = minima_known([denoised], [folder / "minimum.extxyz"], "known")
    for start in ("uff", "gfn2", "embedded", "noised"):
        rows[len(rows)] = read_shard(folder / f"{start}.extxyz")[0]
    for row in rows.values():
        assert row.proceeds and row.start != denoised.start
        said = row.residual_ang, row.denoised_energy_left_kcal_mol, row.n_iterations, row.first_step
        assert said == (None,) * 4, row.start


def test_a_geometry_that_is_not_the_denoised_one_has_no_energy_left(
    molecules: dict[str, Record], denoise: Denoise
) -> None:
    held = replace(molecules["ethanol"], constraints="atoms 1 2")
    broken, kept = denoise(molecules["hydrogen"], held, fallback="none")
    assert broken.status == "connectivity_changed" and kept.status == "ok"
    assert broken.residual_ang is not None and kept.residual_ang is not None
    assert broken.denoised_energy_left_kcal_mol is None and kept.denoised_energy_left_kcal_mol is None
    fallen = denoise(molecules["hydrogen"])[0]
    assert fallen.status == "fallback" and fallen.n_iterations == broken.n_iterations


def test_a_killed_job_finds_its_fallbacks_again(
    molecules: dict[str, Record], denoise: Denoise, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    left = tmp_path / ".out-fallback"
    left.mkdir()
    write_shard(left / "in.extxyz", [molecules["thiol"]])
    relax_shard(left / "in.extxyz", left / "out.extxyz", FALLBACK, named=Named(start="s"))
    before = read_shard(left / "out.extxyz")[0]
    capfd.readouterr()
    row = denoise(molecules["thiol"])[0]
    assert row.status == "fallback"
    np.testing.assert_allclose(row.positions, before.positions, atol=1e-7)
    assert "gradients" not in capfd.readouterr().err
    assert not left.exists()


def test_the_process_of_the_denoiser_never_meets_tblite(molecules: dict[str, Record], tmp_path: Path) -> None:
    write_shard(tmp_path / "in.extxyz", [molecules["thiol"]])
    code = (
        "import sys; from pathlib import Path; from prerelax.starts.diffuse import diffuse_shard; "
        "from prerelax.starts.options import DiffuseOptions; "
        f"diffuse_shard(Path('in.extxyz'), Path('out.extxyz'), DiffuseOptions(model='{MODEL}'), 's'); "
        "assert 'torch' in sys.modules and not any(m.startswith('tblite') for m in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_shard(tmp_path / "out.extxyz")[0].status == "fallback"
