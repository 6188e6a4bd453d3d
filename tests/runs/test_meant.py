"""The campaign that a line means: valid, the same for the same line, and never over somebody's edits."""

from pathlib import Path

import pytest

from prerelax.campaign.stages import read_campaign
from prerelax.engines.level import Level
from prerelax.engines.written import written_level
from prerelax.errors import UserError
from prerelax.runs.meant import Wanted, meant

DFT = written_level("B3LYP-D3BJ/def2-SVP")
XTB = Level(engine="tblite", method="GFN2-xTB")


@pytest.fixture
def molecules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my drugs: a.csv").write_text("smiles\n" + "CCO\n" * 20)
    monkeypatch.chdir(tmp_path)
    yield Path("my drugs: a.csv")
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("level", "start", "compare", "relaxed"),
    [
        (DFT, "auto", "none", {"b3lyp-d3bj-def2-svp": ["auto"]}),
        (DFT, "mmff94", "none", {"b3lyp-d3bj-def2-svp": ["mmff94"]}),
        (DFT, "relaxer-qm9", "none", {"b3lyp-d3bj-def2-svp": ["relaxer-qm9"]}),
        (
            DFT,
            "auto",
            "5",
            {"b3lyp-d3bj-def2-svp": ["auto"], "b3lyp-d3bj-def2-svp-practice": ["gfn2"]},
        ),
        (XTB, "gfn2", "none", {"gfn2-xtb": ["gfn2"]}),
        (XTB, "auto", "all", {"gfn2-xtb": ["mmff94", "auto"]}),
        (XTB, "rdkit", "none", {"gfn2-xtb": ["rdkit"]}),
    ],
)
def test_lines_mean_valid_campaigns(
    molecules: Path, level: Level, start: str, compare: str, relaxed: dict[str, list[str]]
) -> None:
    campaign = meant(Wanted(molecules, level, start, compare), 2)
    campaign.write()
    read = read_campaign(campaign.path)
    assert read.molecules == molecules
    assert read.campaign == campaign.name == campaign.path.stem
    assert {target: read.relaxed_starts(target) for target in read.targets} == relaxed
    assert read.shard_size == (3 if level == DFT else 25)
    first = next(iter(read.targets.values()))
    assert first.level == level
    campaign.write()  # the same line again
    assert meant(Wanted(molecules, level, start, compare), 2) == campaign


def test_every_basis_has_a_file_of_its_own(molecules: Path) -> None:
    bases = ["6-31G", "6-31G*", "6-31G**", "6-31+G*", "6-31++G*", "6-31G(d)", "6-311+G(d,p)", "6-311++G(d,p)"]
    levels = [Level(engine="pyscf", method="B3LYP", basis=basis) for basis in bases]
    assert len({meant(Wanted(molecules, level), 2).name for level in levels}) == len(bases)


def test_an_edited_file_is_not_written_over(molecules: Path) -> None:
    campaign = meant(Wanted(molecules, XTB), 2)
    campaign.write()
    meant(Wanted(molecules, XTB), 7).write()  # other cores: only the size of shards differs
    text = campaign.path.read_text().replace("GFN2-xTB", "GFN1-xTB")
    campaign.path.write_text(text)
    with pytest.raises(UserError, match="is not what this line means"):
        campaign.write()
    assert campaign.path.read_text() == text


@pytest.mark.parametrize(
    ("start", "compare", "says"),
    [
        ("mmf94", "none", "did you mean mmff94"),
        ("relaxer-qm", "none", "did you mean relaxer-qm"),
        ("auto", "some", "write all, none, or a number"),
        ("auto", "0", "write all, none, or a number"),
        ("mmff94", "all", "is the usual start itself"),
    ],
)
def test_wrong_words_are_told(molecules: Path, start: str, compare: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        meant(Wanted(molecules, XTB, start, compare), 2)


def test_lines_about_other_things_have_other_names(molecules: Path) -> None:
    wanted = [
        Wanted(molecules, XTB),
        Wanted(molecules, DFT),
        Wanted(molecules, XTB, "mmff94"),
        Wanted(molecules, XTB, "auto", "all"),
    ]
    assert len({meant(each, 2).name for each in wanted}) == 4


@pytest.mark.parametrize(
    ("level", "start", "relaxed"),
    [(DFT, "auto", ["gfn2"]), (XTB, "auto", ["gfn1"]), (DFT, "mmff94", ["mmff94"])],
)
def test_conformers_are_sorted_out_below_the_target(
    molecules: Path, level: Level, start: str, relaxed: list[str]
) -> None:
    campaign = meant(Wanted(molecules, level, start, conformers=20), 2)
    campaign.write()
    read = read_campaign(campaign.path)
    assert campaign.name.endswith("-conformers-20") and read.conformers_of("mmff94") == 20
    assert read.keep is not None and read.keep.at == ("gfn1" if level == XTB else "gfn2")
    assert read.relaxed_starts(next(iter(read.targets))) == relaxed


def test_several_levels_have_the_same_starts(molecules: Path) -> None:
    campaign = meant(Wanted(molecules, XTB, compare="3", more_levels=(DFT,)), 2)
    campaign.write()
    read = read_campaign(campaign.path)
    assert campaign.name == "my-drugs-a-gfn2-xtb-b3lyp-d3bj-def2-svp-compared"
    assert {name: read.relaxed_starts(name) for name in read.targets} == {
        "gfn2-xtb": ["auto"],
        "b3lyp-d3bj-def2-svp": ["auto"],
        "b3lyp-d3bj-def2-svp-practice": ["gfn2"],
    }
    with pytest.raises(UserError, match="named twice"):
        meant(Wanted(molecules, XTB, more_levels=(XTB,)), 2)
