"""What the papers' figures call starts and targets, by the keys that the papers' campaigns give them."""

import re

_STARTS = {
    "rdkit": "data set's geometry",
    "mmff94": "MMFF94",
    "mmff94-200": "MMFF94, 200 iterations",
    "uff": "UFF",
    "gfn2": "GFN2-xTB",
    "edm-few": "EDM, few calls",
    "edm-n50-uff": "EDM, n = 50, from UFF",
}
_TARGETS = {"gfn2": "GFN2-xTB", "gfn2-small": "GFN2-xTB, small molecules", "qm9": "B3LYP/6-31G(2df,p)"}


def start_words(key: str) -> str:
    """A start as people call it; one that is none of the papers' keeps its key."""
    if (of_edm := re.fullmatch(r"(edm|last|epoch([\d-]+))-n(\d+)", key)) is None:
        return _STARTS.get(key, key)
    kind, epoch, steps = of_edm.groups()
    made_by = {"edm": "EDM", "last": "last epoch"}.get(kind, f"epoch {str(epoch).replace('-', '.')}")
    return f"{made_by}, n = {steps}"


def target_words(key: str) -> str:
    """The level of a target of the papers' campaigns; another one is called `target KEY`."""
    return _TARGETS.get(key, f"target {key}")
