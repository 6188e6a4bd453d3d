"""The verbs of the command line, a module for each section of its help. `prerelax.cli` puts them together.

Modules import what they need when a verb runs: `prerelax --help` is quick.
"""
