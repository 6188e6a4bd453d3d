"""Conformers by replica exchange between noise levels (docs/conformers.md)."""
