"""A worker process that embeds large molecules, so that one that takes too long can be ended."""

import base64
from collections.abc import Callable
from typing import Any

from rdkit import Chem

from prerelax.engines.serving import Line, Tell, serve
from prerelax.starts.embed import embedded_positions, why_not


def _prepare(setup: Line) -> Callable[[Line, Tell], Line]:
    return _embed


def _embed(task: Line, tell: Tell) -> Line:
    binary: Any = base64.b64decode(task["mol"])  # RDKit's types say text
    mol = Chem.Mol(binary)
    positions = embedded_positions(mol, task["seed"])
    why = "" if positions is not None else why_not(mol, task["seed"])
    return {"positions": None if positions is None else positions.tolist(), "why": why}


if __name__ == "__main__":
    serve(_prepare)
