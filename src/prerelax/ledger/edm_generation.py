"""Rows R1 to R4, R6, R7 and R36: how the EDM paper's network makes molecules (figures 2, 3, 14 and 15)."""

from prerelax.ledger.criteria import estimated, more, rising, unless
from prerelax.ledger.edm_campaigns import QM9
from prerelax.ledger.row import Finding, Found, Row, Verdict

VALID_SHARE = 0.5
"""Of its molecules that a network must make with allowed valences before its chains prove anything."""


def _elements(found: Found) -> Finding:
    step = _settled(found, "molecules")
    n = int(found.quantity("figures/phases_numbers", "molecules")["ours"])
    words = "steps left when the schedule alone makes half of the molecules"
    null = float(found.quantity("figures/phases_numbers", words)["ours_of_1000"])
    if abs(step - null) <= 5:
        return Finding(f"{step:.0f}", n, "undecided", f"the schedule alone gives {null:.0f}")
    verdict: Verdict = "same" if 40 <= step <= 60 else "opposite"
    return unless(
        _invalid(found),
        Finding(f"{step:.0f}", n, verdict, f"same: 40 to 60; the schedule alone gives {null:.0f}"),
    )


def _at_once(found: Found) -> Finding:
    atoms, molecules = _settled(found, "atoms"), _settled(found, "molecules")
    verdict: Verdict = "same" if atoms - molecules < 20 else "opposite"
    words = f"atoms at {atoms:.0f}, molecules at {molecules:.0f}"
    return unless(_invalid(found), Finding(words, None, verdict, "same: within 20 steps of 1000"))


def _valences(found: Found) -> Finding:
    valence, element = _settled(found, "molecules", "valence"), _settled(found, "molecules")
    verdict: Verdict = "same" if valence < element else "opposite"
    words = f"{valence:.0f} against {element:.0f} steps left"
    return unless(_invalid(found), Finding(words, None, verdict, "same: fewer steps left"))


def _settled(found: Found, whom: str, what: str = "element") -> float:
    words = f"steps left when half of the {whom} have their final {what}"
    return float(found.quantity("figures/phases_numbers", words)["ours_of_1000"])


def _invalid(found: Found) -> str:
    """Why the generating network proves nothing; empty where it makes molecules."""
    share_valid = float(found.quantity("figures/phases_numbers", "share of finished molecules")["ours"])
    return "" if share_valid >= VALID_SHARE else f"{100 * share_valid:.0f} % of its molecules are valid"


def _step_size(found: Found) -> Finding:
    """Nothing decides: the schedule shrinks the steps of a network that knows nothing as well."""
    table = found.table("figures/phases")
    shown = rising(table["steps_left"], table["step_size_ang"], "step size against steps left")
    return unless("the schedule alone shrinks the steps of any network", shown)


def _chain_end(found: Found, words: str, than: float) -> Finding:
    """Whether what the numbers of the chain's end call `words` lies above a number."""
    row = found.quantity("figures/chain_end_numbers", words)
    n = int(found.table("figures/chain_end")["id"].nunique())
    return unless(_invalid(found), more(estimated(row, n=n), than))


def _samples(found: Found) -> Finding:
    table = found.table("figures/samples")
    valid = int((table["allowed_atoms"] == 1).sum())
    words = f"drawn; {valid} of {len(table)} with allowed valences alone"
    return Finding(words, len(table), "undecided", "a drawing is judged by eye")


ROWS = (
    Row("R1", "E 2", "elements are final near step 50", "50", QM9, _elements),
    Row("R2", "E 2", "all elements of a molecule are decided at once", "yes", QM9, _at_once),
    Row("R3", "E 2", "valences come after the elements", "yes", QM9, _valences),
    Row("R4", "E 2", "the step size shrinks as n falls", "yes", QM9, _step_size),
    Row(
        "R6",
        "E 3",
        "the energy falls along the chain's end",
        "consistently",
        QM9,
        lambda f: _chain_end(f, "the same, chain averaged", 0.75),
    ),
    Row(
        "R7",
        "E 3",
        "the chain lies below the straight line",
        "yes",
        QM9,
        lambda f: _chain_end(f, "share of geometries at which the chain is lower", 0.5),
    ),
    Row("R36", "E 14–15", "samples", "drawings", QM9, _samples),
)
