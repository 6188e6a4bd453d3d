"""A local campaign killed at random instants: no row is lost, none computed twice but those in hand.

Ten kills; PRERELAX_FAULTS=5 makes fifty, and PRERELAX_SEED other ones.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml

from prerelax.campaign.config import load_campaign
from prerelax.comparison.verification import verify

SEED = int(os.environ.get("PRERELAX_SEED", "3"))
SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
MOLECULES = "id,smiles\nmethanol,CO\nethane,CC\nbroken,C1CC\nwater,O\nammonia,N\nalanine,CC(N)C(=O)O\n"
CONFIG = {
    "campaign": "c",
    "molecules": "molecules.csv",
    "shard_size": 3,
    "starts": {"mmff94": {"kind": "forcefield"}, "uff": {"kind": "forcefield", "method": "uff"}},
    "targets": {"gfn1": {"engine": "tblite", "method": "GFN1-xTB", "optimizer": "bfgs", "fmax": 0.001}},
}


def begun(folder: Path, repository: Path, *more: str) -> "subprocess.Popen[bytes]":
    (folder / "molecules.csv").write_text(MOLECULES)
    (folder / "campaign.yaml").write_text(yaml.safe_dump(CONFIG))
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(repository / "Snakefile")]
    command += ["--configfile", "campaign.yaml", "--cores", "2", "results/c/comparison.csv", *more]
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, start_new_session=True)


def comparison(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "results/c/comparison.csv", dtype={"id": str}, keep_default_na=False)
    return table[[name for name in table.columns if "wall" not in name]]


@pytest.mark.slow
def test_kills_lose_nothing(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = max(1, round(10 * float(os.environ.get("PRERELAX_FAULTS", "1"))))
    whole = tmp_path / "whole"
    whole.mkdir()
    clock = time.monotonic()
    assert begun(whole, repository).wait() == 0, (whole / "said.txt").read_text()
    seconds = time.monotonic() - clock

    choose = random.Random(SEED)
    kills = campaigns = 0
    again: Counter[str] = Counter()
    while kills < rounds:
        folder = tmp_path / f"killed-{campaigns}"
        folder.mkdir()
        campaigns += 1
        while True:
            run = begun(folder, repository)
            try:
                code = run.wait(choose.uniform(0.05, 0.6) * seconds if kills < rounds else None)
                assert code == 0, (folder / "said.txt").read_text()[-3000:]
                break
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, choose.choice(SIGNALS))
                run.wait()
                kills += 1
                begun(folder, repository, "--unlock").wait()
        pd.testing.assert_frame_equal(comparison(folder), comparison(whole))
        monkeypatch.chdir(folder)
        assert verify(load_campaign(CONFIG), Path(), 0).problems == []
        for journal in folder.rglob("*.jsonl"):
            finished = Counter(
                json.loads(line)["key"]
                for line in journal.read_text().splitlines()
                if line.startswith('{"key"')
            )
            again.update({key: count - 1 for key, count in finished.items() if count > 1})
    with capsys.disabled():
        print(f"\n{kills} kills of {campaigns} campaigns, seed {SEED}: finished twice: {sum(again.values())}")
    assert not again
