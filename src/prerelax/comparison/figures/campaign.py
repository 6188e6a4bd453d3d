"""All figures of a campaign, from its comparison.csv."""

from pathlib import Path

from prerelax.comparison.comparison import read_comparison
from prerelax.comparison.figures.speedup import speedup
from prerelax.comparison.figures.start_energies import start_energies
from prerelax.comparison.figures.steps_vs_steps import steps_vs_steps
from prerelax.comparison.figures.style import save
from prerelax.comparison.figures.table import write_table
from prerelax.comparison.figures.wall_time import wall_time
from prerelax.comparison.pairs import BASELINE, ComparisonError
from prerelax.comparison.summary import summarise

FIGURES = {
    "steps_vs_steps": steps_vs_steps,
    "start_energies": start_energies,
    "speedup": speedup,
    "wall_time": wall_time,
}
"""Name of the files -> function that makes the figure and the table of what it shows."""


def make_figures(comparison: Path, outdir: Path, baseline: str = "mmff94") -> list[Path]:
    """Write every figure as PDF, PNG and the CSV behind it, and the summary as table.html and table.csv.

    The files are the same whatever the results: a figure with nothing to show says so. Raises ComparisonError
    where `comparison` is no comparison or was made with another baseline.
    """
    relaxations = read_comparison(comparison, leave_out=("smiles", "message"))
    found = relaxations.loc[relaxations["pair"] == BASELINE, "start"].unique().tolist()
    if found and found != [baseline]:
        raise ComparisonError(
            f"{comparison}: compared with the baseline {found[0]}, not {baseline}; "
            f"run `prerelax compare --baseline {baseline}` first"
        )
    outdir.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in FIGURES.items():
        figure, data = draw(relaxations, baseline)
        paths += save(figure, data, outdir, name)
    return paths + write_table(summarise(relaxations, baseline), outdir)
