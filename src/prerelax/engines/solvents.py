"""Implicit solvents by name: which engine has which model, and what each calls a solvent."""

from collections.abc import Sequence

from prerelax.engines.level import Level
from prerelax.errors import nearest

PYSCF_MODELS = ("smd", "c-pcm", "ief-pcm")
TBLITE_MODELS = ("alpb", "gbsa", "c-pcm")
"""SMD: Marenich, Cramer and Truhlar, J. Phys. Chem. B 113, 6378 (2009); ALPB and GBSA: Ehlert et al.,
J. Chem. Theory Comput. 17, 4250 (2021); C-PCM and IEF-PCM are electrostatics alone."""

TBLITE_NAMES = {
    "water": "water",
    "acetone": "acetone",
    "acetonitrile": "acetonitrile",
    "aniline": "aniline",
    "benzaldehyde": "benzaldehyde",
    "benzene": "benzene",
    "dichloromethane": "ch2cl2",
    "chloroform": "chcl3",
    "carbon disulfide": "cs2",
    "1,4-dioxane": "dioxane",
    "N,N-dimethylformamide": "dmf",
    "dimethylsulfoxide": "dmso",
    "diethylether": "ether",
    "ethanol": "ethanol",
    "ethylethanoate": "ethylacetate",
    "furan": "furane",
    "n-hexadecane": "hexadecane",
    "n-hexane": "hexane",
    "methanol": "methanol",
    "nitromethane": "nitromethane",
    "1-octanol": "octanol",
    "wet 1-octanol": "woctanol",
    "phenol": "phenol",
    "toluene": "toluene",
    "tetrahydrofuran": "thf",
}
"""SMD's name, or ours where SMD lacks the solvent, -> tblite's. Both are understood at every engine."""


def solvent_model(level: Level, models: Sequence[str]) -> str:
    """The model of a level with a solvent, of those its engine has. Raises ValueError for any other."""
    asked = (level.solvent_model or models[0]).lower()
    model = {"cpcm": "c-pcm", "iefpcm": "ief-pcm"}.get(asked, asked)
    if model not in models:
        raise ValueError(
            f"the engine {level.engine} has no solvent model '{level.solvent_model}'{nearest(model, models)}"
        )
    return model


def tblite_name(solvent: str) -> str:
    """What tblite calls a solvent. Raises ValueError with the nearest name."""
    by_name = {name.lower(): name for pair in TBLITE_NAMES.items() for name in pair}
    if solvent.lower() not in by_name:
        raise ValueError(f"tblite has no solvent '{solvent}'{nearest(solvent, by_name, list_known=False)}")
    name = by_name[solvent.lower()]
    return TBLITE_NAMES.get(name, name)


def smd_name(solvent: str) -> str:
    """What SMD's table in PySCF calls a solvent. Imports PySCF. Raises ValueError with the nearest name."""
    from pyscf.solvent.smd import solvent_db

    by_name: dict[str, str] = {name.lower(): name for name in solvent_db if name}
    aliases = {ours: name for name, ours in TBLITE_NAMES.items()}
    name = by_name.get(aliases.get(solvent.lower(), solvent).lower())
    if name is None:
        hint = nearest(solvent, (*by_name, *aliases), list_known=False)
        raise ValueError(f"SMD's table has no solvent '{solvent}'{hint}")
    return name
