"""GPU4PySCF: PySCF's levels on a graphics card of NVIDIA's."""
