"""Molecules drawn at random, a campaign in small, and what the papers' full campaigns train on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from prerelax.campaign.config import Campaign, load_campaign
from prerelax.campaign.molecule_file import draw_molecules, make_molecule_file
from prerelax.campaign.section import ConfigError
from prerelax.campaign.stages import read_campaign
from prerelax.campaign.starts import DiffuseStart
from prerelax.campaign.trainings import training
from prerelax.datasets.structures import collect, read_npz, write_npz
from prerelax.errors import UserError
from prerelax.molecules.input_files import count_rows, read_rows
from prerelax.studies import load_studies

FULL = ("edm-qm9", "edm-drugs", "morered-qm7x", "morered-qm9")


def full(repository: Path, name: str, **more: object) -> Campaign:
    path = repository / f"config/campaigns/{name}.yaml"
    said = {"extends": str(path), **more}
    return load_campaign(said)


def test_rows_are_drawn_in_random_order_by_their_seed(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("id,smiles,batch\n" + "".join(f"m{i},{'C' * (i + 1)},b{i}\n" for i in range(20)))
    for seed in (1, 2):
        draw_molecules(table, tmp_path / f"{seed}.csv", 6, seed)
    one, two = ([row.id for row in read_rows(tmp_path / f"{seed}.csv")] for seed in (1, 2))
    assert len(one) == 6 and set(one) != set(two)
    assert one != sorted(one, key=lambda name: int(name[1:])), "not in the file's order"
    first = next(read_rows(tmp_path / "1.csv"))
    assert first.others == {"batch": f"b{first.id[1:]}"} and len(first.text) == int(first.id[1:]) + 1
    draw_molecules(table, tmp_path / "all.csv", 50, 1)
    assert count_rows(tmp_path / "all.csv") == 20
    (tmp_path / "list.smi").write_text("CC\nCO methanol\n")
    draw_molecules(tmp_path / "list.smi", tmp_path / "list.csv", 2, 0)
    assert {(row.id, row.text) for row in read_rows(tmp_path / "list.csv")} == {
        ("list-1", "CC"),
        ("methanol", "CO"),
    }
    (tmp_path / "a.xyz").write_text("1\na\nH 0 0 0\n")
    with pytest.raises(UserError, match="of SMILES or npz sets only"):
        draw_molecules(tmp_path / "a.xyz", tmp_path / "a.csv", 1, 0)


def test_sets_are_drawn_from_as_sets_and_made_again_for_newer_ones(tmp_path: Path) -> None:
    hydrogen = np.array([1, 1])
    write_npz(tmp_path / "m.npz", collect((i, hydrogen, np.full((2, 3), float(i))) for i in range(9)))
    campaign = load_campaign({"campaign": "x", "molecules": str(tmp_path / "m.npz"), "draw": 4, "seed": 3})
    make_molecule_file(campaign, tmp_path)
    drawn = tmp_path / campaign.molecule_file
    assert drawn.name == "drawn-4-3.npz"
    part = read_npz(drawn)
    assert len(part) == 4 and np.array_equal(part.positions[::2, 0], part.ids)
    before = drawn.stat().st_mtime_ns
    make_molecule_file(campaign, tmp_path)
    assert drawn.stat().st_mtime_ns == before


@pytest.mark.parametrize("name", FULL)
def test_a_full_campaign_reads_what_the_documented_commands_make(name: str, repository: Path) -> None:
    """None of our own sets, no shipped network, and no molecule that it tests is trained on."""
    text = (repository / f"config/campaigns/{name}.yaml").read_text()
    assert "PRERELAX_DATA" not in text and "shared/data" not in text
    campaign = full(repository, name)
    load_studies(campaign)
    for denoiser, said in campaign.denoisers.items():
        config = training(campaign, denoiser)
        if said.data.set is None:
            assert config.data.unlike == [str(campaign.molecule_file)]
            assert all(str(path).startswith(("sets/", "results/")) for path in config.data.files)
    models = [start.model for start in campaign.starts.values() if isinstance(start, DiffuseStart)]
    assert set(models) <= set(campaign.denoisers) or "\nstarts:" not in text, "of the defaults none is made"


@pytest.mark.parametrize("name", FULL)
def test_in_small_everything_is_there_and_little_of_it(name: str, repository: Path) -> None:
    whole, small = full(repository, name), full(repository, name, limit=2)
    assert small.campaign == f"{name}-limit-2" and small.draw == 2
    assert list(small.starts) == list(whole.starts) and list(small.targets) == list(whole.targets)
    assert load_studies(small).keys() == load_studies(whole).keys()
    for denoiser, said in small.denoisers.items():
        assert said.network == whole.denoisers[denoiser].network
        assert said.optimization.max_epochs is not None and said.optimization.max_epochs <= 12
        assert said.data.limit == 16 and said.data.validation <= 2
        kept = set(said.run.keep_epochs)
        for start in small.starts.values():
            if isinstance(start, DiffuseStart) and start.model == denoiser and start.epoch is not None:
                assert start.epoch in kept or start.epoch == said.optimization.max_epochs


def test_a_limit_is_a_number_of_molecules(tmp_path: Path) -> None:
    base: dict[str, Any] = {"campaign": "x", "molecules": "m.csv"}
    for wrong in (0, "two", True):
        with pytest.raises((ConfigError, UserError), match="limit must be a number of molecules"):
            load_campaign(base | {"limit": wrong})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(base | {"limit": 3, "draw": 2}))
    small = read_campaign(tmp_path / "c.yaml")
    assert (small.campaign, small.draw) == ("x-limit-3", 2)
