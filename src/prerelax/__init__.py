"""Molecules to DFT-quality minima with few DFT gradients, from geometries denoised by a diffusion model."""

__all__ = ["Campaign", "DiffusionRelaxation", "__version__", "relax_smiles"]


def __getattr__(name: str) -> object:
    # Imported when asked for, so that the command line and the workflow start fast.
    if name == "__version__":
        from importlib.metadata import version

        return version("prerelax")
    if name in ("Campaign", "DiffusionRelaxation", "relax_smiles"):
        from prerelax import api

        return getattr(api, name)
    raise AttributeError(f"module 'prerelax' has no attribute {name!r}")
