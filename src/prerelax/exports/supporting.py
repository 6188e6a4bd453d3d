"""Supporting information of a publication: methods in a paragraph, citations, energies and coordinates."""

import json
from collections.abc import Sequence
from pathlib import Path

from prerelax.campaign.targets import Target
from prerelax.exports.minima import Minimum
from prerelax.molecules.program_inputs import geometry_lines

CITATIONS = {
    "pyscf": "PySCF: Q. Sun et al., J. Chem. Phys. 2020, 153, 024109.",
    "gpu4pyscf": "GPU4PySCF: R. Li et al., J. Phys. Chem. A 2025, 129, 1459.",
    "psi4": "Psi4: D. G. A. Smith et al., J. Chem. Phys. 2020, 152, 184108.",
    "tblite": "tblite: A. Katbashev et al., J. Phys. Chem. A 2025, 129, 2667.",
    "gfn2-xtb": "GFN2-xTB: C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 2019, 15, 1652.",
    "gfn1-xtb": "GFN1-xTB: S. Grimme, C. Bannwarth, P. Shushkov, J. Chem. Theory Comput. 2017, 13, 1989.",
    "d3bj": "D3(BJ): S. Grimme, S. Ehrlich, L. Goerigk, J. Comput. Chem. 2011, 32, 1456.",
    "d4": "D4: E. Caldeweyher et al., J. Chem. Phys. 2019, 150, 154122.",
    "smd": "SMD: A. V. Marenich, C. J. Cramer, D. G. Truhlar, J. Phys. Chem. B 2009, 113, 6378.",
    "alpb": "ALPB: S. Ehlert et al., J. Chem. Theory Comput. 2021, 17, 4250.",
    "geometric": "geomeTRIC: L.-P. Wang, C. Song, J. Chem. Phys. 2016, 144, 214108.",
    "sella": "Sella: E. D. Hermes et al., J. Chem. Theory Comput. 2022, 18, 6974.",
    "mmff94": "MMFF94: T. A. Halgren, J. Comput. Chem. 1996, 17, 490.",
    "diffuse": "Denoised starts: D. Rothchild et al., Chem. Sci. 2024, doi:10.1039/D3SC05877H; K. Kahouli et "
    "al., Mach. Learn.: Sci. Technol. 2024, arXiv:2404.10935.",
}
"""What each program or method asks to be cited for."""
ALWAYS = (
    "RDKit: https://www.rdkit.org.",
    "ETKDGv3: S. Wang et al., J. Chem. Inf. Model. 2020, 60, 2044.",
    "ASE: A. H. Larsen et al., J. Phys.: Condens. Matter 2017, 29, 273002.",
)


def write_supporting_information(minima: Sequence[Minimum], target: Target, out: Path) -> None:
    """Markdown: methods, citations, a table of energies, and the coordinates of every minimum."""
    settings = json.loads(minima[0].record.settings or "{}") if minima else {}
    starts = [json.loads(each.record.start_settings or "{}") for each in minima]
    parts = ["# Supporting information", "## Methods", _methods(target, settings, minima)]
    parts += ["## Citations", "\n".join(f"- {line}" for line in _citations(settings, starts))]
    parts += ["## Energies", _energies(minima), "## Coordinates (Å)"]
    for each in minima:
        geometry = geometry_lines(each.record.numbers, each.record.positions)
        parts.append(f"### {each.name}\n\n{_heading(each)}\n\n```\n{geometry}\n```")
    out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _methods(target: Target, settings: dict[str, object], minima: Sequence[Minimum]) -> str:
    versions = settings.get("versions")
    used = (
        ", ".join(f"{name} {version}" for name, version in versions.items())
        if isinstance(versions, dict)
        else ""
    )
    unconverged = [each.name for each in minima if not each.record.converged]
    limit = (
        f"the largest force on an atom fell below {target.fmax_ev_ang:g} eV/Å"
        if target.criteria is None
        else "the changes of geometry and the gradient met four criteria of Gaussian's kind "
        f"(largest gradient component {target.criteria.gradient_max:g} Hartree/bohr)"
    )
    sentences = [
        "Geometries were embedded with RDKit (ETKDGv3), pre-relaxed as the table's column `start` says, and "
        f"minimised at {target.level} with prerelax's optimizer {target.chosen_optimizer} until {limit}.",
        f"Programs: {used}." if used else "",
        f"Not converged: {', '.join(unconverged)}." if unconverged else "",
    ]
    return " ".join(filter(None, sentences))


def _citations(settings: dict[str, object], starts: Sequence[dict[str, object]]) -> list[str]:
    words = {str(value).lower() for value in settings.values() if isinstance(value, str)}
    words |= {str(value).lower() for start in starts for value in start.values() if isinstance(value, str)}
    return [*ALWAYS, *(citation for word, citation in CITATIONS.items() if word in words)]


def _energies(minima: Sequence[Minimum]) -> str:
    lines = [
        "| molecule | start | E / Hartree | relative to its lowest conformer / kcal/mol |",
        "| --- | --- | --- | --- |",
    ]
    for each in minima:
        relative = "" if each.relative_kcal_mol is None else f"{each.relative_kcal_mol:.2f}"
        lines.append(f"| {each.name} | {each.record.start} | {each.energy_hartree or 0:.8f} | {relative} |")
    return "\n".join(lines)


def _heading(each: Minimum) -> str:
    record = each.record
    words = f"{each.plain_smiles}, charge {record.charge}, multiplicity {record.multiplicity}"
    imaginary = "" if record.n_imaginary is None else f", {record.n_imaginary} imaginary frequencies"
    return f"{words}, E = {each.energy_hartree or 0:.8f} Hartree{imaginary}"
