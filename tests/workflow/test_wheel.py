"""The built wheel alone: in an empty environment and an empty folder, far from the source tree."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pandas as pd
import pytest

# The example as `prerelax init` writes it, but for what takes minutes.
MOLECULES = "id,smiles\nmethanol,CO\nformaldehyde,C=O\n"
CONFIG = """campaign: tiny
molecules: examples/molecules.csv
starts:
  mmff94: {kind: forcefield}
  relaxer: {kind: diffuse, model: relaxer-qm9}
targets:
  gfn2: {engine: tblite, method: GFN2-xTB}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(repository)], check=True)
    return next(folder.glob("prerelax-*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """`bin` of a new environment with the wheel; the dependencies are borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = folder / f"lib/python{sysconfig.get_python_version()}/site-packages"
    borrowed = Path(sysconfig.get_path("purelib"))
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "__pycache__" in name]
    install = ["--quiet", "--no-deps", "--no-index", "--target", str(packages), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "install", *install], check=True)
    # A .pth's folders come after the new environment's own, and .pth files in them are not read: the
    # source tree, which an editable installation names in one, is out of reach.
    (packages / "borrowed.pth").write_text(f"{borrowed}\n")
    program = "import sys; from {} import main; sys.exit(main())"
    for name, module in {"prerelax": "prerelax.cli", "snakemake": "snakemake.cli"}.items():
        script = folder / "bin" / name
        script.write_text(f"#!{folder}/bin/python\n{program.format(module)}\n")
        script.chmod(0o755)
    return folder / "bin"


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    foreign = ("VIRTUAL_ENV", "SNAKEMAKE_PROFILE", "PYTHONPATH", "PRERELAX_MODELS")
    kept = {k: v for k, v in os.environ.items() if k not in foreign} | {
        "PATH": "/usr/local/bin:/usr/bin:/bin"
    }
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=folder, env=kept, capture_output=True, text=True, check=False)


def test_a_wheel_finds_its_own_models(environment: Path, tmp_path: Path, repository: Path) -> None:
    code = "from prerelax.denoisers.model_folders import models_folder; print(models_folder())"
    found = Path(run(environment / "python", "-c", code, folder=tmp_path).stdout.strip())
    assert found.is_relative_to(environment.parent)
    shipped = {path.parent.name for path in (repository / "models").glob("*/config.yaml")}
    assert {path.parent.name for path in found.glob("*/weights.safetensors")} == shipped


@pytest.mark.slow
def test_a_wheel_runs_a_campaign_in_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    begun = run(environment / "prerelax", "init", folder=tmp_path)
    assert begun.returncode == 0, begun.stderr
    example = run(environment / "snakemake", "--dry-run", folder=tmp_path)
    assert example.returncode == 0, example.stderr
    assert "relax_dft" in example.stdout + example.stderr
    assert "profiles/default" in example.stderr

    (tmp_path / "examples/molecules.csv").write_text(MOLECULES)
    (tmp_path / "config.yaml").write_text(CONFIG)
    done = run(environment / "snakemake", "--cores", "2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "results/tiny/comparison.csv")
    assert list(table.status) == ["ok"] * 4
    reported = run(environment / "snakemake", "--report", "report.html", folder=tmp_path)
    assert reported.returncode == 0, reported.stderr
