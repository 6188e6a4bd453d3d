"""A finished campaign in a folder: real embedding and force field, relaxations by an engine of springs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prerelax.campaign.config import Campaign, load_campaign
from prerelax.campaign.sharding import Sharding
from prerelax.campaign.stages import shard_path, stages
from prerelax.engines import ENGINES
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard

MOLECULES = "id,smiles\nmethanol,CO\namine,CN\nethane,CC\nnitrile,C#N\nwater,O\n"
CONFIG: dict[str, Any] = {
    "campaign": "springs",
    "molecules": "molecules.csv",
    "shard_size": 2,
    "starts": {"mmff94": {"kind": "forcefield"}},
    "targets": {"gfn2": {"engine": "tblite", "method": "GFN2-xTB"}},
}


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """Not begun; run by `run_stages` in `tmp_path`."""
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    return load_campaign(CONFIG)


Made = dict[tuple[str, int | None], tuple[Path, dict[str, int]]]


@pytest.fixture(scope="session")
def made() -> Made:
    """Results that a test has made from nothing, and what was computed: other tests begin with a copy."""
    return {}


@pytest.fixture
def run_stages(
    campaign: Campaign,
    made: Made,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., dict[str, int]]:
    """What Snakemake would do: make the shards that are missing. Returns molecules relaxed by shard."""
    monkeypatch.setitem(ENGINES, "instant", "instant_engine:Instant")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def run(method: str = "spring", n_shards: int | None = None) -> dict[str, int]:
        results = tmp_path / "results" / campaign.campaign
        begun, key = results.exists(), (method, n_shards)
        if not begun and key in made:
            kept, computed = made[key]
            shutil.copytree(kept, results)
            return computed
        computed = make(results, method, n_shards)
        if not begun:
            made[key] = shutil.copytree(results, tmp_path_factory.mktemp("made") / "results"), computed
        return computed

    def make(results: Path, method: str, n_shards: int | None) -> dict[str, int]:
        sharding = Sharding(tmp_path / campaign.molecules, campaign.shard_size, results)
        sharding.save()
        computed = {}
        for stage in stages(campaign):
            for number, shard in enumerate(sharding.shards[:n_shards]):
                out = shard_path(results, stage, number)
                if out.is_file():
                    continue
                out.parent.mkdir(parents=True, exist_ok=True)
                if stage.kind == "embed":
                    rows = slice(shard.first, shard.last)
                    embed_shard(tmp_path / campaign.molecules, out, rows, campaign.conformers, campaign.seed)
                    continue
                inp = results / str(stage.source) / out.name
                if stage.kind == "forcefield":
                    forcefield_shard(inp, out, "mmff94", None, "mmff94")
                    continue
                relaxation = Relaxation(engine="instant", method=method, optimizer="bfgs")
                named = Named(target="gfn2")
                done = relax_shard(inp, out, relaxation, named=named, progress=lambda _: None)
                computed[out.stem] = done.n_computed
        return computed

    return run
