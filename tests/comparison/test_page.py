"""The campaign's page says what was saved, whatever the results, and nothing leaves its pane."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from rdkit import Chem
from rdkit.Chem import AllChem

from prerelax.campaign.baseline import Baseline
from prerelax.campaign.config import load_campaign
from prerelax.campaign.handing_on import compared_with
from prerelax.comparison.comparison import compare
from prerelax.comparison.page import write_page
from prerelax.comparison.verdict import Agreement, Verdict, sha256_of_comparison
from prerelax.records.record import Record
from prerelax.records.shard import write_shard

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "CCO", "OCCO", "CNC=O", "O=C1CNC1", "OC1CC1", "CC(C)Cc1ccccc1", "C1CCOC1"]
SMILES += ["CC#N", "Cn1cnnc1", "CC(C)(C)O", "NCC(N)=O"]
QM9 = {"engine": "pyscf", "method": "qm9"}
GFN2 = {"engine": "tblite", "method": "GFN2-xTB"}
CONFIG: dict[str, Any] = {
    "campaign": "trial",
    "molecules": "molecules.csv",
    "baseline": {"start": "mmff94", "target": "b3lyp-bfgs"},
    "starts": {
        "mmff94": {"kind": "forcefield"},
        "gfn2": {"kind": "relax", **GFN2},
        "relaxer": {"kind": "diffuse", "model": "relaxer-qm9"},
        "edm-n50": {"kind": "diffuse", "model": "edm-qm9-small", "sampler": "edm", "steps": 50},
    },
    "targets": {
        "b3lyp-bfgs": {**QM9, "optimizer": "bfgs", "starts": ["mmff94"]},
        "b3lyp": {**QM9, "optimizer": "two-level"},
        "gfn2": {**GFN2, "optimizer": "bfgs"},
    },
}
LOOSER = {"targets": CONFIG["targets"] | {"b3lyp": {**QM9, "optimizer": "two-level", "fmax": 0.05}}}
GRADIENTS = {"b3lyp-bfgs": 17, "b3lyp": 4, "gfn2": 30}
MORE = {"mmff94": 2.0, "gfn2": 1.0, "relaxer": 0.8, "edm-n50": 1.2}


def molecule(smiles: str) -> tuple[str, np.ndarray, np.ndarray]:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(atom.GetIdx() + 1)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    return Chem.MolToSmiles(mol), numbers, mol.GetConformer().GetPositions()


def results_of(
    folder: Path, n: int, config: dict[str, Any] = CONFIG, failed: Sequence[str] = (), own: bool = True
) -> Path:
    """Results of a campaign of n molecules with numbers drawn at random; targets in `failed` gave nothing."""
    campaign = load_campaign(config)
    results = folder / "results"
    generator = np.random.default_rng(3)
    drawn = [molecule(smiles) for smiles in SMILES[:n]]
    folders = []
    for target, at in campaign.targets.items():
        for start in campaign.relaxed_starts(target):
            rows = []
            for place in range(n):
                smiles, numbers, positions = drawn[place % len(drawn)]
                n_steps = int(generator.poisson(GRADIENTS[target] * MORE[start]))
                spent = {"GFN2-xTB (tblite)": 20} if start == "gfn2" and own else {}
                rows.append(
                    Record(
                        id=f"molecule-{place:05d}",
                        smiles=smiles,
                        numbers=numbers,
                        positions=positions,
                        start=start,
                        target=target,
                        converged=target not in failed,
                        status="not_converged" if target in failed else "ok",
                        n_steps=n_steps,
                        n_gradients=n_steps + 1,
                        gradients_of_levels=spent,
                        fallback="an ion" if start == "relaxer" and place == 2 else None,
                        energy_ev=-10 + float(generator.choice([0, 0, 0.02])),
                        start_energy_ev=-9.9 + float(generator.gamma(2, 0.05)),
                        connectivity_unchanged=True,
                        rmsd_ang=0.1,
                        rmsd_symmetry_ang=0.1,
                        start_meets=("none", "loose", "default", "tight")[place % 4],
                        meets="default",
                        wall_s=float(n_steps),
                        stages_s={"rdkit": 0.1, start: 0.5, target: float(n_steps)},
                        settings=json.dumps({**at.level.model_dump(), "optimizer": at.chosen_optimizer}),
                    )
                )
            folder = results / "relaxed" / target / start
            write_shard(folder / "0000.extxyz", rows)
            folders.append(folder)
    results.mkdir(exist_ok=True)
    (results / "campaign.yaml").write_text(yaml.safe_dump(config))
    compare(results / "comparison.csv", folders, Baseline.read(compared_with(campaign)))
    return results


@pytest.fixture(scope="module")
def page_of_twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(results_of(tmp_path_factory.mktemp("twelve"), 12))


def first_screen(page: Path) -> str:
    text = page.read_text()
    return re.sub(r"<[^>]+>", " ", text[text.index("<header>") : text.index("</header>")])


def test_the_first_screen_says_what_was_saved(page_of_twelve: Path) -> None:
    page = page_of_twelve
    words = first_screen(page)
    assert re.search(r"\d\.\d times fewer gradients than MMFF94 \+ BFGS", words)
    assert "B3LYP/6-31G(2df,p)" in words and "11 molecules of 12" in words and "95 % interval" in words
    text = page.read_text()
    assert "1 start was made by a fallback" in text and "the best of 4 methods" in text
    assert "target&#x27;s own level" in text, "gfn2 at gfn2 is not ranked"
    assert "Denoised by relaxer-qm9 + two-level" in text
    assert "starts at rest, default" in text
    summary = pd.read_csv(page.parent / "summary.csv")
    shares = summary[["share_start_meets_loose", "share_start_meets_default", "share_start_meets_tight"]]
    assert shares.iloc[0].tolist() == [0.75, 0.5, 0.25] and summary["share_meets_default"].eq(1).all()
    assert not re.search(r"(src|href)=[\"']?http|@import|url\(", text), "the page works offline"


@pytest.mark.parametrize(
    ("changes", "failed", "said"),
    [
        ({}, list(GRADIENTS), "No relaxation converged"),
        ({}, ["b3lyp-bfgs"], "Nothing can be said against MMFF94 + BFGS"),
        ({"compare": "none"}, [], "no saving is claimed"),
        (LOOSER, [], "converged to fmax 0.05 eV/Å"),
        ({"baseline": "mmff94"}, [], "times fewer gradients than MMFF94 + two-level"),
    ],
)
def test_never_an_empty_page(tmp_path: Path, changes: dict[str, Any], failed: list[str], said: str) -> None:
    page = write_page(results_of(tmp_path, 9, CONFIG | changes, failed))
    assert said in first_screen(page)
    assert "molecule-00003" in page.read_text()
    assert ("not converged alike" in page.read_text()) == (changes is LOOSER)


def test_the_verdict_of_this_comparison_alone(tmp_path: Path) -> None:
    results = results_of(tmp_path, 2)
    assert "Not verified" in write_page(results).read_text()
    verdict = Verdict("trial", at="today", comparison_sha256=sha256_of_comparison(results))
    verdict.computed_again["gfn2"] = Agreement(n=20, energy_ev=2e-6)
    verdict.write(results)
    assert "20 rows computed again agree to 2.0e-06 eV" in write_page(results).read_text()
    verdict.problems += ["gfn2: row 3 is gone", "more"]
    verdict.write(results)
    assert "found on today: gfn2: row 3 is gone and 1 more" in write_page(results).read_text()
    with (results / "comparison.csv").open("a") as file:
        file.write("\n")
    assert "Not verified" in write_page(results).read_text()


def test_one_molecule(tmp_path: Path) -> None:
    words = first_screen(write_page(results_of(tmp_path, 1)))
    assert "1 molecule of 1" in words and "Below 8 molecules no interval is given" in words


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = """<script>window.addEventListener("load", () => setTimeout(() => {
  const outside = [];
  const wide = document.documentElement.clientWidth;
  for (const each of document.querySelectorAll("body *:not(script)")) {
    const box = each.getBoundingClientRect();
    if (!box.width || each.closest("svg") || each.closest(".scroll") || each.closest("#viewer")) continue;
    const cut = each.tagName === "IMG" && (box.height > innerHeight + 1 || box.width > wide);
    if (box.left < -1 || box.right > wide + 1 || box.top + scrollY < -1 || cut)
      outside.push(`${each.tagName} ${each.className} ${Math.round(box.left)} ${Math.round(box.right)}`);
  }
  const first = document.querySelector("figure img").getBoundingClientRect().bottom + scrollY;
  const rows = document.querySelectorAll("#molecules tbody tr").length;
  document.title = "PROBED " + JSON.stringify({ outside, first, rows });
}, 300));</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
@pytest.mark.parametrize("size", [(1400, 900), (900, 700)])
def test_nothing_leaves_its_pane(page_of_twelve: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    probed = tmp_path / "probed.html"
    probed.write_text(page_of_twelve.read_text().replace("</body>", PROBE))
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size[0]},{size[1]}"]
    command += ["--virtual-time-budget=5000", probed.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>PROBED (.*?)</title>", dom)
    assert found, dom[:2000]
    seen = json.loads(found[1].replace("&amp;", "&"))
    assert seen["outside"] == [] and seen["rows"] == 12
    assert seen["first"] <= size[1], "the first figure is on the first screen"


@pytest.mark.slow
def test_a_hundred_thousand_rows(tmp_path: Path) -> None:
    config = CONFIG | {"targets": {name: CONFIG["targets"][name] for name in ("b3lyp-bfgs", "b3lyp")}}
    results = results_of(tmp_path, 20_000, config)
    page = write_page(results)
    assert page.stat().st_size < 20e6
    assert "A random sample, 300 of 20000 molecules" in page.read_text()
