"""Files beside the user's data are never imported, whatever their names."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard


def test_workers_import_nothing_from_the_current_folder(tmp_path: Path) -> None:
    water = Record(
        id="w",
        numbers=np.array([8, 1, 1]),
        positions=np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]]),
        smiles="[O:1]([H:2])[H:3]",
        start="mmff94",
    )
    write_shard(tmp_path / "in.extxyz", [water])
    (tmp_path / "tblite").mkdir()
    for name in ("queue.py", "re.py", "json.py", "numpy.py", "tblite/__init__.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r})\n")
    words = ["relax", "in.extxyz", "out.extxyz", "--engine", "tblite", "--method", "GFN1-xTB"]
    command = [str(Path(sys.executable).parent / "prerelax"), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()
    assert done.returncode == 0, done.stderr
    assert [row.status for row in read_shard(tmp_path / "out.extxyz")] == ["ok"]
