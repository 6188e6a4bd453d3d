"""A finished campaign in a folder, made once: real embedding, force field, GFN1-xTB, comparison and model."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from prerelax.campaign.baseline import Baseline
from prerelax.campaign.config import Campaign, load_campaign
from prerelax.campaign.sharding import Sharding
from prerelax.campaign.stages import shard_path, stages
from prerelax.comparison.comparison import compare
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard

MOLECULES = "id,smiles\nmethanol,CO\namine,CN\nbroken,C1CC\nnitrile,C#N\nwater,O\n"
CONFIG: dict[str, Any] = {
    "campaign": "c",
    "molecules": "molecules.csv",
    "shard_size": 2,
    "starts": {"mmff94": {"kind": "forcefield"}, "uff": {"kind": "forcefield", "method": "uff"}},
    "targets": {"gfn1": {"engine": "tblite", "method": "GFN1-xTB"}},
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the campaign ran; leave it as it is."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "molecules.csv").write_text(MOLECULES)
    campaign, results = load_campaign(CONFIG), folder / "results/c"
    sharding = Sharding(folder / campaign.molecules, campaign.shard_size, results)
    sharding.save()
    (results / "campaign.yaml").write_text(yaml.safe_dump(CONFIG))
    for stage in stages(campaign):
        for number, shard in enumerate(sharding.shards):
            out = shard_path(results, stage, number)
            out.parent.mkdir(parents=True, exist_ok=True)
            inp, name = results / str(stage.source) / out.name, stage.name.rsplit("/", 1)[1:]
            if stage.kind == "embed":
                embed_shard(folder / campaign.molecules, out, slice(shard.first, shard.last), 1, 42)
            elif stage.kind == "forcefield":
                forcefield_shard(inp, out, "mmff94" if name == ["mmff94"] else "uff", None, name[0])
            else:
                said = campaign.targets["gfn1"].model_dump(include=set(Relaxation.model_fields))
                relax_shard(inp, out, Relaxation(**said), named=Named(target="gfn1"), progress=_quiet)
    folders = [results / "relaxed/gfn1" / start for start in campaign.starts]
    compare(results / "comparison.csv", folders, Baseline.read("mmff94"), len(sharding.shards))
    return folder


def _quiet(progress: object) -> None:
    pass


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it to damage, and the current folder."""
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    monkeypatch.chdir(copy)
    yield copy


@pytest.fixture
def campaign() -> Campaign:
    return load_campaign(CONFIG)


@pytest.fixture(scope="session")
def times() -> Callable[[int], int]:
    """A number of tries, or as many of them as PRERELAX_FAULTS says: 0.1 for a tenth."""
    part = float(os.environ.get("PRERELAX_FAULTS", "1"))
    return lambda count: max(1, round(count * part))
