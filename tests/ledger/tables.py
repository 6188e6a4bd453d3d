"""Tables as studies write them, and the rows of the ledger judged by them."""

from pathlib import Path

import pandas as pd

from prerelax.ledger import edm, morered
from prerelax.ledger.row import Finding, Found, judged

ROWS = {row.key: row for row in (*edm.ROWS, *morered.ROWS)}


def written(folder: Path, name: str, table: pd.DataFrame) -> None:
    path = folder / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


def of(key: str, folder: Path) -> Finding:
    """The finding of a row by the results of its full campaign."""
    return judged(ROWS[key], {ROWS[key].campaigns[0]: Found(folder)})
