"""Stands in for ORCA, Gaussian and NWChem: reads their input, writes what they write, and fails as they do.

Called `stand_in.py PROGRAM MODE INPUT`; the file MODE says how it ends. A log of Gaussian looks as in
outputs/gaussian16_dvb.log, ORCA's files as in its manual, an output of NWChem as ASE's reader shows it.
"""

import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
from morse import morse, springs

BOHR_ANG, HARTREE_EV = 0.529177210544, 27.211386024367243
STATE = re.compile(r"(?:\* xyz )?(-?\d+) (\d+)")
ATOM = re.compile(r"([A-Z][a-z]?)((?:\s+-?\d+\.\d+){3})")
NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8}


def main(program, mode, name):
    if program == "nwchem":
        nwchem(Path(mode).read_text() if Path(mode).exists() else "", Path(name).read_text())
        return
    mode, lines = Path(mode).read_text(), Path(name).read_text().splitlines()
    atoms = [found for line in lines if (found := ATOM.fullmatch(line))]
    charge, multiplicity = next(found for line in lines if (found := STATE.fullmatch(line))).groups()
    numbers = [NUMBERS[each[1]] for each in atoms]
    positions = np.array([each[2].split() for each in atoms], dtype=float)
    energy, forces = morse(positions, int(charge), int(multiplicity))
    gradient = -forces * BOHR_ANG / HARTREE_EV
    write = orca if program == "orca" else gaussian
    write(mode, numbers, positions / BOHR_ANG, energy / HARTREE_EV, gradient)


def nwchem(mode, text):
    """Springs; the output goes to standard output."""
    if mode == "scf":
        print("          Calculation failed to converge\n dft optimize failed                   0")
        sys.exit(1)
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "silent":
        return
    atoms = re.findall(r"^ +([A-Z][a-z]?)((?: +-?\d\S+){3})$", text, re.MULTILINE)
    positions = np.array([each[1].split() for each in atoms], dtype=float)
    said = {word: int(value) for word, value in re.findall(r"(charge|mult) +(-?\d+)", text)}
    energy, forces = springs([each[0] for each in atoms], positions, said["charge"], said["mult"])
    print("                                 NWChem DFT Module\n                                 ------\n")
    print(f"         Total DFT energy = {energy / HARTREE_EV:19.12f}\n")
    if mode == "cut":
        return
    print("                         DFT ENERGY GRADIENTS\n")
    print("    atom               coordinates                        gradient")
    print("                 x          y          z           x          y          z")
    for i, (each, x, force) in enumerate(zip(atoms, positions / BOHR_ANG, forces, strict=True), start=1):
        numbers = [*x, *(-force * BOHR_ANG / HARTREE_EV)]
        print(f"{i:4d} {each[0]:2s}  " + " ".join(f"{number:12.6f}" for number in numbers))
    print("\n Total times  cpu:        0.1s     wall:        0.1s")


def orca(mode, numbers, positions, energy, gradient):
    print("                                 * O   R   C   A *\n")
    if mode == "licence":
        print("Your license has expired on this machine")
        sys.exit(1)
    if mode == "scf":
        print("               SCF NOT CONVERGED AFTER 125 CYCLES\nORCA finished by error termination in SCF")
        sys.exit(55)
    if mode == "unconverged":  # ORCA goes on where it is nearly there
        print("This wavefunction IS NOT FULLY CONVERGED!")
    if mode == "memory":
        print("Error  (ORCA_SCF): not enough memory available")
        sys.exit(1)
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    text = (
        f"#\n# Number of atoms\n#\n {len(numbers)}\n#\n# The current total energy in Eh\n#\n {energy:.12f}\n"
    )
    text += "#\n# The current gradient in Eh/bohr\n#\n" + "".join(f" {x:.12f}\n" for x in gradient.ravel())
    text += "#\n# The atomic numbers and current coordinates in Bohr\n#\n"
    moved = 0.1 if mode == "elsewhere" else 0.0
    for z, x in zip(numbers, positions + moved, strict=True):
        text += f"  {z}  {x[0]:.7f}  {x[1]:.7f}  {x[2]:.7f}\n"
    if mode == "cut":
        text = text[:-60]
    if mode != "silent":
        Path("molecule.engrad").write_text(text)
    if mode != "unfinished":
        print("                             ****ORCA TERMINATED NORMALLY****")


def gaussian(mode, numbers, positions, energy, gradient):
    lines = [" Entering Gaussian System, Link 0=g16_main", " Charge =  0 Multiplicity = 1"]
    endings = {
        "scf": " >>>>>>>>>> Convergence criterion not met.\n Convergence failure -- run terminated.",
        "licence": " No valid license was found for this machine.",
        "memory": " galloc:  could not allocate memory.: Cannot allocate memory",
    }
    if mode in endings:
        lines += [endings[mode], " Error termination via Lnk1e in /g16/l502.exe"]
        Path("molecule.log").write_text("\n".join(lines))
        sys.exit(1)
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    rule = " " + 67 * "-"
    lines += [f" SCF Done:  E(RB3LYP) =  {energy:.9f}     A.U. after   12 cycles", rule]
    lines += [" Center     Atomic                   Forces (Hartrees/Bohr)"]
    lines += [" Number     Number              X              Y              Z", rule]
    for i, (z, g) in enumerate(zip(numbers, gradient, strict=True), start=1):
        lines.append(f"{i:7d}{z:9d}    " + "".join(f"{-x:15.9f}" for x in g))
    lines += [rule, " Normal termination of Gaussian 16 at Wed Apr  4 10:19:28 2018."]
    if mode == "cut":
        lines = lines[:-3]
    if mode == "fewer":
        del lines[-3]
    if mode != "silent":
        Path("molecule.log").write_text("\n".join(lines) + "\n")
    Path("molecule.chk").touch()


if __name__ == "__main__":
    main(*sys.argv[1:4])
