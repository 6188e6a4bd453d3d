"""The outlier's four geometries with their energies, as paper E's figure 16."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from prerelax.comparison.figures.molecule_drawing import best_view, draw_molecule
from prerelax.comparison.figures.style import (
    DOUBLE_COLUMN_MM,
    GREY,
    figure_that_says,
    in_house_style,
    new_figure,
    number,
)
from prerelax.comparison.figures.words import start_words, target_words
from prerelax.studies.outlier.analysis import PAPER_KCAL_MOL, Outlier


@in_house_style
def outlier(found: Outlier | None, target: str, baseline: str) -> tuple[Figure, pd.DataFrame]:
    """Figure and the numbers behind it: baseline start, denoised start, and what each relaxed to."""
    columns = ["target", "id", "conformer", "start", "geometry", "energy_kcal_mol", "paper_kcal_mol"]
    if found is None:
        return figure_that_says(f"No pair at {target} counts."), pd.DataFrame(columns=columns)
    words = {
        "start": start_words(baseline),
        "denoised": start_words(found.start),
        "relaxed": f"{start_words(baseline)}, relaxed",
        "denoised, relaxed": f"{start_words(found.start)}, relaxed",
    }
    view = best_view(list(found.geometries.values()))
    centre = np.mean(found.geometries["start"], axis=0)
    turned = {name: (geometry - centre) @ view for name, geometry in found.geometries.items()}
    reach = 0.6 + np.abs(np.concatenate(list(turned.values()))).max(axis=0)
    figure = new_figure(DOUBLE_COLUMN_MM, 30 + DOUBLE_COLUMN_MM / len(turned) * reach[1] / reach[0])
    delta = f"{number(found.delta_kcal_mol, 2)} kcal/mol between the minima"
    figure.suptitle(
        f"{target_words(target)}: molecule {found.id}, {delta}, the largest of {found.n_pairs} pairs\n"
        f"{found.turned}",
        x=0.01,
        ha="left",
        fontsize=7,
    )
    for axes, (name, positions) in zip(figure.subplots(1, len(turned)), turned.items(), strict=True):
        draw_molecule(axes, found.smiles, found.numbers, positions)
        axes.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
        axes.set_title(words[name], fontweight="bold", fontsize=6.5)
        text = f"{number(found.energies_kcal_mol[name], 2)} kcal/mol"
        axes.text(0.5, -0.08, text, transform=axes.transAxes, ha="center", va="top")
        paper = f"paper’s outlier {number(PAPER_KCAL_MOL[name], 1)}"
        axes.text(0.5, -0.2, paper, transform=axes.transAxes, ha="center", va="top", color=GREY, fontsize=6)
    rows = [
        (target, found.id, found.conformer, found.start, words[name], energy, PAPER_KCAL_MOL[name])
        for name, energy in found.energies_kcal_mol.items()
    ]
    return figure, pd.DataFrame(rows, columns=columns)
