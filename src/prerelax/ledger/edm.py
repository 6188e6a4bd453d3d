"""Rows R1 to R39: Rothchild et al., Chem. Sci. 2024, 15, 13506 (paper E)."""

from prerelax.ledger import edm_alignment as alignment
from prerelax.ledger import edm_boltzmann as boltzmann
from prerelax.ledger import edm_generation as generation
from prerelax.ledger import edm_paths as paths
from prerelax.ledger import edm_savings as savings
from prerelax.ledger import edm_training as training
from prerelax.ledger.row import Row


def _number(row: Row) -> int:
    return int(row.key.removeprefix("R"))


_BY_SUBJECT = (
    *generation.ROWS,
    *paths.ROWS,
    *alignment.ROWS,
    *boltzmann.ROWS,
    *savings.ROWS,
    *training.ROWS,
)
ROWS = tuple(sorted(_BY_SUBJECT, key=_number))
