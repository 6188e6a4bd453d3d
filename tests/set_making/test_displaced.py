"""Generated sets with energies and forces, in worker processes and by real programs."""

import csv
from pathlib import Path

import numpy as np
import pytest

from prerelax.datasets.qm7x import read_qm7x
from prerelax.engines import ENGINES, Level
from prerelax.errors import UserError
from prerelax.molecules.topology import bonds_from_geometry
from prerelax.relaxation.journal import journal_path
from prerelax.relaxation.settings import Only, Relaxation
from prerelax.set_making.displaced import Outcome, displace
from prerelax.set_making.options import DisplacementOptions
from prerelax.starts.embed import embed_shard

GFN1, GFN2 = Level(engine="tblite", method="GFN1-xTB"), Level(engine="tblite", method="GFN2-xTB")
SMILES = {"water": "O", "hcn": "C#N", "broken": "C1CC", "butane": "CCCC", "silane": "[SiH4]"}


@pytest.fixture(scope="session")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("displaced")
    rows = "".join(f"{name},{smiles}\n" for name, smiles in SMILES.items())
    (folder / "molecules.csv").write_text(f"id,smiles\n{rows}")
    embed_shard(folder / "molecules.csv", folder / "in.extxyz", None, 1, 42)
    return folder / "in.extxyz"


def made(shard: Path, out: Path, minima: Level = GFN1, labels: Level = GFN2, **changes: float) -> Outcome:
    only = Only(max_heavy_atoms=3, elements=("H", "C", "N", "O", "S", "Cl"))
    options = {"displacements": 6, **changes}
    return displace(
        shard,
        out,
        DisplacementOptions(
            minima=Relaxation(**minima.model_dump(), fmax=0.005, only=only), labels=labels, **options
        ),
        progress=lambda progress: None,
    )


def rows_of(out: Path) -> list[dict[str, str]]:
    with out.with_suffix(".csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def odd_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "odd", "odd_engines:OddEngine")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "relaxation"))


def test_a_set_of_minima_and_displacements_resumes_and_grows(
    shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("ODD_ENGINE_LOG", str(log))
    out, labels = tmp_path / "set.npz", Level(engine="odd", method="count")
    outcome = made(shard, out, labels=labels)
    assert (outcome.n_equilibria, outcome.n_structures, outcome.n_computed) == (2, 14, 14)
    assert outcome.structures_per_s > 0 and outcome.minima_per_s > 0
    assert len(log.read_text().splitlines()) == 14
    whole = read_qm7x(out)
    assert whole.displacement is not None and whole.equilibrium is not None
    assert whole.displacement.tolist() == [*range(7), *range(7)]
    first = np.cumsum(whole.n_atoms) - whole.n_atoms
    for row in (0, 7):  # minima of GFN1-xTB feel forces of GFN2-xTB, displaced ones larger ones
        forces = np.linalg.norm(np.split(whole.forces, first[1:])[row], axis=1).max()
        assert 0.02 < forces < 1.5
        assert np.all(whole.energies[row + 1 : row + 7] > whole.energies[row] - 0.1)
    table = rows_of(out)
    assert [r["status"] for r in table].count("ok") == 14
    reasons = {r["id"]: (r["status"], r["message"]) for r in table if r["status"] != "ok"}
    assert reasons["broken"][0] == "input_error"
    assert reasons["butane"] == ("skipped", "4 heavy atoms, the target takes at most 3")
    assert reasons["silane"] == ("skipped", "the target does not take Si")

    again = made(shard, out, labels=labels)
    assert again.n_computed == 0 and len(log.read_text().splitlines()) == 14
    lines = journal_path(out).read_text().splitlines(keepends=True)
    torn = [line for line in lines if '"key"' in line]
    journal_path(out).write_text("".join(torn[:-3]) + torn[-3][:100])  # killed in the midst of writing
    assert made(shard, out, labels=labels).n_computed == 3
    grown = made(shard, out, labels=labels, displacements=8)
    assert grown.n_computed == 4 and grown.n_structures == 18
    np.testing.assert_array_equal(read_qm7x(out).energies[:7], whole.energies[:7])
    assert made(shard, tmp_path / "set.npz", labels=labels, seed=1).n_computed == 14 - 2 + 2


def test_what_fails_is_a_row_and_the_rest_goes_on(shard: Path, tmp_path: Path) -> None:
    out = tmp_path / "set.npz"
    # The program of the minima crashes on nitrogen, and at this temperature water falls apart now and then.
    outcome = made(
        shard, out, minima=Level(engine="odd", method="crash"), temperature_k=60_000.0, displacements=30
    )
    table = rows_of(out)
    failed = {r["id"]: r for r in table if r["displacement"] == "0"}
    assert failed["hcn"]["status"] == "unknown_error" and "SIGSEGV" in failed["hcn"]["message"]
    apart = [r for r in table if r["status"] == "connectivity_changed"]
    assert apart and all(r["message"].startswith("displaced ") and r["energy_ev"] == "" for r in apart)
    assert all(r["id"] == "water" for r in apart)
    assert outcome.n_structures == sum(r["status"] == "ok" for r in table) > 1
    whole = read_qm7x(out)
    assert len(whole) == outcome.n_structures
    parts = np.split(whole.positions, np.cumsum(whole.n_atoms)[:-1])
    assert all(bonds_from_geometry(np.array([8, 1, 1]), p, 2.0).any(axis=1).all() for p in parts)


def test_imaginary_frequencies_and_other_bonds_leave_a_minimum_out() -> None:
    from prerelax.records.record import Record
    from prerelax.relaxation.molecule import RelaxationResult
    from prerelax.set_making.displaced import _verdict

    x = np.array([[0.0, 0.0, 0.119], [0.0, 0.763, -0.477], [0.0, -0.763, -0.477]])
    water = Record("w", np.array([8, 1, 1]), x, smiles="[O:1]([H:2])[H:3]")
    ok = {"status": "ok", "positions": x, "hessian": np.eye(9), "n_imaginary": 0}
    assert _verdict(water, RelaxationResult(**ok)) == ("ok", "")
    saddle = RelaxationResult(**{**ok, "n_imaginary": 2, "lowest_frequency_cm": -812.4})
    status, message = _verdict(water, saddle)
    assert status == "not_converged" and "imaginary frequencies: 2" in message and "812i" in message
    status, _ = _verdict(water, RelaxationResult(**{**ok, "positions": 2 * x}))
    assert status == "connectivity_changed"
    status, message = _verdict(
        water, RelaxationResult(**{**ok, "hessian": None, "message": "not checked: x"})
    )
    assert (status, message) == ("not_converged", "not checked: x")
    assert _verdict(water, RelaxationResult("timeout", "stopped"))[0] == "timeout"


def test_a_shard_without_a_molecule_that_can_be_used_says_so(shard: Path, tmp_path: Path) -> None:
    options = DisplacementOptions(minima=Relaxation(**GFN1.model_dump(), only=Only(max_atoms=1)))
    with pytest.raises(UserError, match="no structure has energies and forces"):
        displace(shard, tmp_path / "none.npz", options)
    assert {r["status"] for r in rows_of(tmp_path / "none.npz")} == {"skipped", "input_error"}
