"""Rows R40 to R73: Kahouli et al., MLST 2024, 5, 035038 (paper M)."""

from prerelax.ledger import morered_generation as generation
from prerelax.ledger import morered_relaxation as relaxation
from prerelax.ledger import morered_training as training
from prerelax.ledger.morered_training import QM7X
from prerelax.ledger.row import Finding, Found, Row

QM9 = ("morered-qm9", "morered-qm9-mini")
NO_NUMBERS = "the paper's numbers are not in its text"


def _measured(found: Found, name: str) -> Finding:
    found.table(f"figures/{name}_numbers")
    return Finding("measured", None, "undecided", NO_NUMBERS)


ROWS = (
    Row(
        "R40",
        "M 3a",
        "the predicted step is proportional to the RMSD",
        "yes",
        QM7X,
        relaxation.step_by_rmsd,
    ),
    Row("R41", "M 3a", "JT has fewer outliers", "yes", QM7X, relaxation.fewer_outliers),
    Row("R42", "M 3b, 13", "the adaptive schedule ends closer", "yes", QM9, generation.schedules),
    Row("R43", "M 4a", "MoreRed is best, by medians with failures as ratio 1", "yes", QM7X, relaxation.best),
    Row("R44", "M 4a", "ITP almost never fails", "almost 0 %", QM7X, relaxation.itp_hardly_fails),
    Row("R45", "M 4a", "median RMSD after: JT, AS", "0.06, 0.05 Å", QM7X, relaxation.rmsd_after),
    Row("R46", "M 4a", "MMFF94 fails most", "> 40 %", QM7X, relaxation.mmff94_fails_most),
    Row(
        "R47",
        "M 4a",
        "MLFF and GFN2-xTB: failures, ratio",
        "> 20 %, ~0.4",
        QM7X,
        relaxation.mlff_and_gfn2_alike,
    ),
    Row("R48", "M 4b", "diffused inputs: MoreRed's failures rise", "yes", QM7X, relaxation.failures_rise),
    Row(
        "R49",
        "M 4b",
        "diffused inputs: MMFF94 mostly returns its input",
        "mostly",
        QM7X,
        relaxation.mmff94_returns_input,
    ),
    Row(
        "R50",
        "M 4b",
        "diffused inputs: GFN2-xTB's ratio and failures more than double",
        "> 2 ×",
        QM7X,
        relaxation.gfn2_doubles,
    ),
    Row("R51", "M 4b", "diffused inputs: the MLFF fails", "~90 %", QM7X, relaxation.mlff_fails_mostly),
    Row("R52", "M 5, 9", "molecules before and after", "drawings", QM7X, relaxation.drawn),
    Row(
        "R53",
        "M 6",
        "MLFF and GFN2-xTB end below the reference",
        "mostly",
        QM7X,
        relaxation.below_reference,
    ),
    Row(
        "R54",
        "M 6",
        "JT and ITP end below 1 kcal/mol",
        "mostly",
        QM7X,
        relaxation.below_one,
    ),
    Row("R55", "M 6", "AS ends higher than JT", "yes", QM7X, relaxation.as_ends_higher),
    Row(
        "R56",
        "M 6",
        "MMFF94 ends far higher than JT",
        "yes",
        QM7X,
        relaxation.mmff94_ends_higher,
    ),
    Row(
        "R57",
        "M 6",
        "retrained on the MLFF's minima, energies are lower",
        "yes",
        QM7X,
        relaxation.retrained_lower,
    ),
    Row("R58", "M 10", "and RMSDs higher", "yes", QM7X, relaxation.retrained_farther),
    Row("R59", "M 7", "noise lies on a shell, from which the step is told", "yes", QM9, generation.shell),
    Row("R60", "M 8a", "AS and JT end nearer than ITP at every RMSD", "yes", QM7X, relaxation.nearest),
    Row("R61", "M 8b", "AS has the least spread over noise", "yes", QM7X, relaxation.least_spread),
    Row("R62", "M 8c", "ITP is poor at large RMSD", "yes", QM7X, relaxation.itp_poor_at_large),
    Row("R63", "M 11", "with SO3net MoreRed stays ahead of the MLFF", "yes", QM7X, relaxation.so3_ahead),
    Row("R64", "M table 1", "valid molecules: adaptive, DDPM", "89.3, 78.2 %", QM9, generation.adaptive_wins),
    Row(
        "R65", "M table 1", "large networks", "94.7, 86.6 %", needs="their sizes are not in the paper's text"
    ),
    Row(
        "R66",
        "M 12 right",
        "validity flattens with the limit on iterations",
        "yes",
        QM9,
        generation.flattens,
    ),
    Row("R67", "M 12 left", "novelty costs more than uniqueness", "yes", QM9, generation.novelty_costs_most),
    Row("R68", "M 17–18", "pictures of generated molecules", "drawings", QM9, generation.pictures),
    Row(
        "R69",
        "M, methods",
        "errors of the MLFF",
        "0.376 kcal/mol, 0.519 kcal/mol/Å",
        QM7X,
        training.mlff_errors,
    ),
    Row("R70", "M 16", "averaged weights are ahead in the beginning", "yes", QM7X, training.average_ahead),
    Row(
        "R71",
        "M, D",
        "seconds per relaxation and step",
        "–",
        QM7X,
        lambda f: _measured(f, "relaxation_seconds"),
    ),
    Row("R72", "M, E", "error and time against size", "–", QM7X, lambda f: _measured(f, "relaxation_sizes")),
    Row(
        "R73",
        "M, text",
        "MoreRed needs 100 times fewer structures than the MLFF",
        "100 ×",
        QM7X,
        relaxation.hundred_times_fewer,
    ),
)
