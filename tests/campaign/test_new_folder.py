"""`prerelax init`: a folder to start in."""

from pathlib import Path

import yaml
from typer.testing import CliRunner

from prerelax.cli import app
from prerelax.shipped import shipped


def test_a_new_folder_holds_what_a_user_edits(tmp_path: Path) -> None:
    folder = tmp_path / "campaigns"
    assert CliRunner().invoke(app, ["init", str(folder)]).exit_code == 0
    example = yaml.safe_load((folder / "config.yaml").read_text())
    assert (folder / example["molecules"]).is_file()
    assert (folder / "config.yaml").read_text() == shipped("config.yaml").read_text()
    profile = yaml.safe_load((folder / "profiles/default/config.yaml").read_text())
    assert profile["rerun-incomplete"] is True
    assert (folder / "slurm/config.yaml").is_file()


def test_nothing_of_the_users_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("campaign: mine\n")
    done = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert done.exit_code != 0
    assert "holds config.yaml already" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert (tmp_path / "config.yaml").read_text() == "campaign: mine\n"
