"""What cannot stand is found when a campaign starts, and moved aside."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prerelax.campaign.config import Campaign, load_campaign
from prerelax.campaign.inspection import check_writable, move_aside, told, unfit_shards
from prerelax.campaign.sharding import Sharding
from prerelax.denoisers.model_folders import model_digests
from prerelax.engines.level import Level
from prerelax.errors import UserError
from prerelax.records.record import Record
from prerelax.records.seal import refusal_path, table_path
from prerelax.records.shard import ShardError, read_shard, write_shard
from prerelax.relaxation.settings import Relaxation

Run = Callable[..., dict[str, int]]
CONFIG: dict[str, Any] = {"campaign": "c", "molecules": "molecules.csv"}


@pytest.fixture
def results(campaign: Campaign, run_stages: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run_stages()
    return Path("results") / campaign.campaign


def unfit(campaign: Campaign, results: Path, stage: str) -> dict[str, str]:
    shards = Sharding(campaign.molecules, campaign.shard_size, results).shards
    found = unfit_shards(campaign, results, shards)
    return {each.frames.stem: each.sentence for each in found if each.frames.parent == results / stage}


def cut_at_a_frame(frames: Path) -> None:
    text = frames.read_text()
    frames.write_text(text[: text.index("\n", text.index("mmff94", len(text) // 2) // 2)])


def test_a_whole_campaign_stands(campaign: Campaign, results: Path) -> None:
    assert unfit(campaign, results, "molecules") == unfit(campaign, results, "starts/mmff94") == {}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda frames: frames.write_bytes(b""), "not a whole shard (0 bytes"),
        (cut_at_a_frame, "not a whole shard"),
        (lambda frames: table_path(frames).unlink(), "missing beside its shard"),
        (lambda frames: table_path(frames).write_bytes(b"PAR1"), "not a whole table"),
        (lambda frames: write_shard(frames, read_shard(frames)[:1]), "1 rows where the campaign has 2"),
        (lambda frames: write_shard(frames, []), "0 rows where the campaign has 2"),
    ],
)
def test_a_damaged_shard_is_made_again(
    campaign: Campaign, results: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(results / "starts/mmff94/0001.extxyz")
    found = unfit(campaign, results, "starts/mmff94")
    assert list(found) == ["0001"]
    assert reason in found["0001"]


def test_what_a_reader_refused_is_made_again_and_kept_aside(
    campaign: Campaign, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = results / "starts/mmff94/0000.extxyz"
    whole = frames.read_bytes()
    frames.write_bytes(whole.replace(b"0.", b"1.", 1))
    assert unfit(campaign, results, "starts/mmff94") == {}, "of the same size: known on reading alone"
    with pytest.raises(ShardError, match="changed since it was written"):
        read_shard(frames)
    shards = Sharding(campaign.molecules, campaign.shard_size, results).shards
    (shard,) = [each for each in unfit_shards(campaign, results, shards) if each.frames == frames]

    assert told([shard]) == {str(frames)}
    assert "0000.extxyz: not a whole shard (changed since" in capsys.readouterr().err
    move_aside([shard])
    assert not frames.exists() and not table_path(frames).exists() and not refusal_path(frames).exists()
    assert len(list(frames.parent.glob("moved-aside/*/0000.*"))) == 2


def test_rows_that_uff_made_instead_are_no_other_settings(campaign: Campaign, results: Path) -> None:
    frames = results / "starts/mmff94/0000.extxyz"
    first, *rest = read_shard(frames)
    said = json.loads(first.settings or "{}") | {"method": "uff"}
    write_shard(frames, [replace(first, settings=json.dumps(said | {"instead_of": "mmff94"})), *rest])
    assert unfit(campaign, results, "starts/mmff94") == {}
    write_shard(frames, [replace(first, settings=json.dumps(said)), *rest])
    assert 'method "uff", not "mmff94"' in unfit(campaign, results, "starts/mmff94")["0000"]


def test_rows_of_other_settings_are_named_with_their_hours(campaign: Campaign, results: Path) -> None:
    assert 'engine "instant", not "tblite"' in unfit(campaign, results, "relaxed/gfn2/mmff94")["0000"]
    frames = results / "relaxed/gfn2/mmff94/0000.extxyz"
    level = Level(engine="tblite", method="GFN2-xTB")
    for fmax, n_unfit in ((0.03, 2), (0.001, 3)):
        text = json.dumps(Relaxation(**level.model_dump(), fmax=fmax).settings())
        write_shard(frames, [replace(row, settings=text, wall_s=1800) for row in read_shard(frames)])
        found = unfit(campaign, results, "relaxed/gfn2/mmff94")
        assert len(found) == n_unfit
    assert "made with fmax_ev_ang 0.001, not 0.03 (2 rows, 1.00 h); it is moved aside" in found["0000"]
    text = json.dumps(Relaxation(**level.model_dump(), convergence="tight").settings())
    write_shard(frames, [replace(row, settings=text) for row in read_shard(frames)])
    assert "made with another convergence (2 rows" in unfit(campaign, results, "relaxed/gfn2/mmff94")["0000"]


@pytest.mark.parametrize("folder", ["results/c", "results/other", ".snakemake"])
def test_a_folder_in_which_one_may_not_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results/c").mkdir(parents=True)
    check_writable(Path(folder))
    closed = Path(folder) if Path(folder).exists() else Path(folder).parent
    really = os.access  # root may write everywhere
    monkeypatch.setattr(
        os, "access", lambda path, mode: path.absolute() != closed.absolute() and really(path, mode)
    )
    with pytest.raises(UserError, match=f"{closed.absolute()}: you may not write here"):
        check_writable(Path(folder))


@pytest.fixture
def of_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Rows of settings `made`, and what is said of them where the config has the start `asked`."""
    monkeypatch.chdir(tmp_path)
    Path("molecules.csv").write_text("id,smiles\nw,O\n")

    def judged(asked: dict[str, Any], made: dict[str, Any]) -> dict[str, str]:
        starts = {"mmff94": {"kind": "forcefield"}, "made": {"from": "mmff94", **asked}}
        campaign = load_campaign({**CONFIG, "starts": starts, "targets": {}})
        row = Record(id="w", start="made", settings=json.dumps(made))
        frames = Path("results") / campaign.campaign / "starts/made/0000.extxyz"
        write_shard(frames, [row])
        return unfit(campaign, frames.parents[2], "starts/made")

    return judged


def test_every_option_of_a_start_is_looked_at(
    of_start: Callable[..., dict[str, str]], repository: Path
) -> None:
    shutil.copytree(repository / "models/morered-pair-qm9-small", "model")
    diffuse: dict[str, Any] = {"kind": "diffuse", "model": "model"}
    digests = model_digests("model")
    assert list(digests) == ["model_sha256", "time_model_sha256"]
    made = {"verb": "diffuse", **digests, "seed": 0, "fixed_types": False, "noise_free": False}
    assert of_start(diffuse, made) == {}, "rows of earlier versions, which say nothing of the fallback"
    made |= {"fallback": "gfn2"}
    assert of_start(diffuse, made) == {}
    for changed, said in (
        ({"sampler": "itp"}, 'sampler null, not "itp"'),
        ({"steps": 9}, "steps null, not 9"),
        ({"max_iterations": 9}, "max_iterations null, not 9"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"fallback": "none"}, 'fallback "gfn2", not "none"'),
    ):
        assert f"made with {said} (1 row, 0.00 h);" in of_start(diffuse | changed, made)["0000"]
    embedded = {"verb": "embed", "method": "ETKDGv3", "seed": 42}
    assert of_start({"kind": "embed-again"}, embedded) == {}
    assert "made with seed 42, not 7 (" in of_start({"kind": "embed-again", "seed": 7}, embedded)["0000"]
    noised = {"verb": "diffused", "steps": [5, 9], "seed": 0}
    assert of_start({"kind": "diffused", "steps": [5, 9]}, noised) == {}
    assert "steps [5, 9], not [5]" in of_start({"kind": "diffused", "steps": [5]}, noised)["0000"]


def test_another_calculator_or_other_weights_are_noticed(
    of_start: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRERELAX_SITE", "site.yaml")
    Path("site.yaml").write_text("{}")
    Path("mine.py").write_text("")
    Path("mine.model").write_bytes(b"1")
    level: dict[str, Any] = {"engine": "ase", "calculator": "mine:Mine", "method": "mine.model"}
    start = {"kind": "relax", "optimizer": "bfgs", **level}
    made = Relaxation(optimizer="bfgs", **level).settings()
    assert of_start(start, made) == of_start(start, made | {"versions": {"ase": "0"}}) == {}
    for changed, said in (
        ({"calculator": "mine:Other"}, 'calculator "mine:Mine", not "mine:Other"'),
        ({"options": {"a": 1}}, 'options null, not {"a": 1}'),
        ({"electrons": {"info": {"charge": "q"}}}, 'electrons null, not {"info"'),
    ):
        assert f"made with {said}" in of_start(start | changed, made)["0000"]
    guided: dict[str, Any] = {"engine": "tblite", "method": "GFN2-xTB", "optimizer": "two-level"}
    guided |= {"cheap_level": level}
    by = Relaxation(**guided).settings()
    older = by | {"hessian": by["hessian"] | {"versions": {"ase": "0"}}}  # type: ignore[operator]
    assert of_start({"kind": "relax", **guided}, by) == of_start({"kind": "relax", **guided}, older) == {}
    Path("mine.model").write_bytes(b"2")
    assert "made with another model (" in of_start(start, made)["0000"]
    assert "made with another cheap level (" in of_start({"kind": "relax", **guided}, by)["0000"]


@pytest.mark.parametrize("name", ["config.yaml", "time/config.yaml", "time/weights.safetensors"])
def test_every_file_of_a_model_counts(
    of_start: Callable[..., dict[str, str]], repository: Path, name: str
) -> None:
    shutil.copytree(repository / "models/morered-pair-qm9-small", "model")
    made = {"verb": "diffuse", **model_digests("model")}
    (Path("model") / name).write_bytes((Path("model") / name).read_bytes() + b"\n")
    found = of_start({"kind": "diffuse", "model": "model"}, made)
    assert "made with another model (" in found["0000"]


def test_a_models_reference_model_counts(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(repository / "models/relaxer-qm9", folder)
    assert list(model_digests(folder)) == ["model_sha256", "reference_model_sha256"]
