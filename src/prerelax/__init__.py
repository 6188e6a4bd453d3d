"""Molecules to DFT-quality minima with few DFT gradients, from geometries denoised by a diffusion model."""

from importlib.metadata import version

__version__ = version("prerelax")
