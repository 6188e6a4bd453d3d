"""Any ASE calculator as an engine: programs and potentials by name, or a class of the user's own.

A calculator never runs in prerelax's process: `server` holds it, under whichever interpreter has its package,
and `process` asks it over a pipe.
"""
