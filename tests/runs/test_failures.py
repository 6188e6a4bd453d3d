"""What a line says when its campaign cannot begin, or did not come to its end."""

import shutil
from pathlib import Path

import pytest

from prerelax.campaign.config import load_campaign
from prerelax.campaign.inspection import check_weights
from prerelax.denoisers.model_folders import ModelError, find_model
from prerelax.runs.run import _why


def test_the_last_line_of_each_failed_job_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.log").write_text("ethanol ok\nprerelax: the disk is full\n\n")
    Path("b.log").write_text("")
    failed = "Error in rule relax_dft:\n    log: {} (check log file(s) for error details)\n"
    Path("run.log").write_text("    log: fine.log\n" + failed.format("a.log") * 2 + failed.format("b.log"))
    assert _why(Path("run.log")).splitlines() == [
        "a.log: prerelax: the disk is full",
        "b.log: said nothing; killed, most likely for its memory or time",
        "it did not run to its end; all that was said: run.log",
    ]


def test_without_a_failed_job_the_end_of_what_was_said_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("Building DAG of jobs...\nMissingInputException: m.csv\n")
    assert "MissingInputException: m.csv" in _why(tmp_path / "run.log")


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_weights_that_cannot_be_read_stop_a_campaign(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(find_model("edm-qm9-small"), folder)
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    starts = {"mmff94": {"kind": "forcefield"}, "mine": {"kind": "diffuse", "model": str(folder)}}
    campaign = load_campaign({"campaign": "x", "molecules": "m.csv", "starts": starts})
    check_weights(campaign)
    weights = folder / "weights.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        weights.unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors (cannot be read|is missing)"):
        check_weights(campaign)
