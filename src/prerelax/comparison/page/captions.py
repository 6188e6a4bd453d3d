"""What the figures and tables of a page show, in words."""

HEADLINE = (
    "Bars: gradients summed over the relaxations that count for a method, divided by their number. Points: "
    "relaxations. Times fewer: over those that count for the method and for usual practice."
)
FIGURES = {
    "speedup": (
        "Gradients saved against the baseline: every molecule, the middle half, the median and its 95 "
        "% interval (none below 8 molecules); below, with an open circle, only pairs that ended in "
        "one minimum. Hollow grey points are starts made by a fallback; they are in no "
        "number."
    ),
    "steps_vs_steps": (
        "Optimizer steps against the baseline's; below the diagonal steps were saved. Hollow grey "
        "circles are starts made by a fallback; they are in no number. An arrow is the energy from the "
        "baseline's minimum to this one, where they are two."
    ),
    "start_energies": (
        "Energy of each start above the minimum that it relaxes to: molecules, the middle half with "
        "its median, and the mean (black), fallbacks left out. What lies below 0.01 kcal/mol is drawn "
        "there."
    ),
    "wall_time": (
        "Mean seconds per molecule from SMILES to minimum, fallbacks left out: pale, making the start; "
        "full, the relaxation."
    ),
}
PRACTICE = (
    "Gradients: energy and force evaluations at the target's level, wherever they were spent. Per "
    "relaxation: their sum divided by the number of relaxations; medians are of molecules, conformers "
    "averaged. Times fewer: the baseline's sum over this one's, with its 95 % interval. Saved: median of the "
    "molecules and its interval; no interval below 8 molecules. p: Wilcoxon's signed-rank test of the same "
    "molecules, two-sided. Hours saved: all stages before the relaxation included, summed over the "
    "molecules; core hours with one core a molecule, and as many hours of the clock where one "
    "molecule runs at a time. All of starts made as asked for; with fallbacks: of all. A start made "
    "at the target's own level saves nothing and is not ranked. Starts at rest: the share of all that "
    "meet Gaussian's default, or loose, criteria before any step."
)
MOLECULES = "ΔE in kcal/mol: relaxed minimum minus the usual one's. Click a heading to sort."
