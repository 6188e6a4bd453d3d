"""Conformers by replica exchange between noise levels (docs/guide/conformers.md)."""
