"""Figures: one function each, and `make_figures` for all of a campaign's."""

from prerelax.comparison.figures.campaign import make_figures

__all__ = ["make_figures"]
