"""What molecules swapped in flight gain over batches that wait for their slowest, and what one step costs.

    python benchmarks/morered_batching.py --model morered-jt-qm9-small --sampler jt --limit 1000
    python benchmarks/morered_batching.py --step-only          # network of the published size, random weights

The first part relaxes MMFF94 geometries of `qm9_val.npz` twice with the same noise: in flight, and in fixed
batches whose arrived molecules are still computed until the last one has arrived, as the original code does.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from prerelax.denoisers.checkpoint import load_model
from prerelax.diffusion.morered import Limits, Molecule, Sampler, relax, sampler_of
from prerelax.diffusion.noise import SeededNoise
from prerelax.molecules.topology import bonds_from_geometry, topological_distances
from prerelax.networks.batch import Batch, centred, make_batch
from prerelax.networks.morered import JointNetwork, MoreRedOptions


def read_molecules(path: Path, limit: int, elements: tuple[int, ...], bond_graph: bool) -> list[Molecule]:
    """The first `limit` molecules with known elements, at their MMFF94 geometry."""
    data = np.load(path)
    ends = np.cumsum(data["n_atoms"])
    found: list[Molecule] = []
    for start, end in zip(ends - data["n_atoms"], ends, strict=True):
        numbers, positions = data["numbers"][start:end], data["positions_mmff94"][start:end]
        if set(numbers.tolist()) <= set(elements) and np.isfinite(positions).all():
            bonds = bonds_from_geometry(numbers, data["positions"][start:end])
            found.append(Molecule(numbers, positions, topological_distances(bonds) if bond_graph else None))
        if len(found) == limit:
            break
    return found


@torch.no_grad()
def relax_waiting(
    molecules: list[Molecule], sampler: Sampler, noise: SeededNoise, batch_size: int, max_iterations: int
) -> list[int]:
    """Iterations of every molecule, in batches that are computed whole until their last molecule arrives."""
    iterations: list[int] = []
    for first in range(0, len(molecules), batch_size):
        part = molecules[first : first + batch_size]
        rows = list(range(first, first + len(part)))
        topologies = [m.topological_distance for m in part if m.topological_distance is not None]
        batch = make_batch([m.numbers for m in part], [m.positions for m in part], topologies or None)
        batch = batch.with_positions(centred(batch.positions, batch))
        start = sampler.first_step(batch)
        arrived_at = torch.full((len(part),), max_iterations)
        arrived = torch.zeros(len(part), dtype=torch.bool)
        for iteration in range(max_iterations):
            countdown = torch.zeros_like(batch.n_atoms) if start is None else (start - iteration).clamp_min(0)
            step, predicted = sampler.predict(batch, countdown)
            fresh = centred(noise.positions(rows, batch.n_atoms.tolist()).double(), batch)
            of_atoms = step[batch.molecule_index]
            moved = sampler.schedule.step_back(batch.positions, predicted, fresh, of_atoms).float()
            frozen = arrived[batch.molecule_index][:, None]
            batch = batch.with_positions(torch.where(frozen, batch.positions, moved))
            arrived_at[~arrived & (step <= 0)] = iteration + 1
            arrived |= step <= 0
            if bool(arrived.all()):
                break
        iterations += arrived_at.tolist()
    return iterations


def compare_batching(options: argparse.Namespace) -> None:
    model = load_model(options.model)
    sampler = sampler_of(model, options.sampler, options.steps)
    bond_graph = model.network.uses_bond_graph
    molecules = read_molecules(options.data, options.limit, sampler.elements, bond_graph)
    ids = [str(i) for i in range(len(molecules))]

    began = time.perf_counter()
    relaxed = relax(
        molecules,
        sampler,
        SeededNoise(ids, 0),
        Limits(max_iterations=options.max_iterations, batch_size=options.batch_size),
    )
    in_flight_s = time.perf_counter() - began
    began = time.perf_counter()
    waiting = relax_waiting(
        molecules, sampler, SeededNoise(ids, 0), options.batch_size, options.max_iterations
    )
    waiting_s = time.perf_counter() - began

    counts = np.array([len(r.steps) for r in relaxed])
    quartiles = np.percentile(counts, [25, 50, 75]).astype(int).tolist()
    print(f"{len(molecules)} molecules, sampler {options.sampler or 'default'}, batch {options.batch_size}")
    print(f"iterations: quartiles {quartiles}, most {counts.max()}")
    print(f"not converged: {sum(r.status == 'not_converged' for r in relaxed)}")
    print(f"same number of iterations both ways: {np.mean(counts == np.array(waiting)):.1%}")
    print(f"in flight                {in_flight_s:8.1f} s  {len(molecules) / in_flight_s:8.2f} molecules/s")
    print(f"waiting for the slowest  {waiting_s:8.1f} s  {len(molecules) / waiting_s:8.2f} molecules/s")
    print(f"speedup {waiting_s / in_flight_s:.2f}")


@torch.no_grad()
def time_one_step(data: Path, n_features: int, batch_size: int) -> None:
    """Molecules per second of one call of the joint network, and the share of its parts."""
    molecules = read_molecules(data, batch_size, (1, 6, 7, 8), bond_graph=False)
    batch = make_batch([m.numbers for m in molecules], [m.positions for m in molecules])
    torch.manual_seed(0)
    network = JointNetwork(MoreRedOptions(n_features=n_features)).eval()
    network.noise_and_atom_times(batch)
    seconds = min(_timed(lambda: network.noise_and_atom_times(batch)) for _ in range(5))
    print(f"one step, batch {len(molecules)}, 3 x {n_features}, {torch.get_num_threads()} threads:")
    print(f"  {seconds:.3f} s, {len(molecules) / seconds:.0f} molecules/s")
    for part, share in _shares(network, batch).items():
        print(f"  {part:36s} {share:5.1%}")


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _shares(network: JointNetwork, batch: Batch) -> dict[str, float]:
    trunk = network.representation
    parts: dict[str, list[nn.Module]] = {
        "dense layers before the messages": list(trunk.interactions),
        "exchange of scalars and vectors": list(trunk.mixing),
        "heads": [network.time_head, network.noise_head],
        "radial basis": [trunk.radial_basis],
    }
    spent: dict[str, float] = defaultdict(float)
    hooks = []
    for part, modules in parts.items():
        for module in modules:
            began: list[float] = []
            hooks.append(module.register_forward_pre_hook(lambda *_, b=began: b.append(time.perf_counter())))
            hooks.append(
                module.register_forward_hook(
                    lambda *_, b=began, p=part: spent.__setitem__(p, spent[p] + time.perf_counter() - b.pop())
                )
            )
    repeats = 5
    total = _timed(lambda: [network.noise_and_atom_times(batch) for _ in range(repeats)])
    for hook in hooks:
        hook.remove()
    spent["neighbours, filters and messages"] = total - sum(spent.values())
    return {part: seconds / total for part, seconds in sorted(spent.items(), key=lambda item: -item[1])}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="name or folder; without it only one step is timed")
    parser.add_argument("--sampler", choices=("jt", "as", "itp", "ddpm"))
    parser.add_argument("--steps", type=int, help="for ddpm")
    parser.add_argument("--limit", type=int, default=1000, help="molecules")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--max-iterations", type=int, default=1000)
    parser.add_argument("--features", type=int, default=256, help="of the network whose step is timed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--step-only", action="store_true")
    folder = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=folder / "qm9_val.npz")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    time_one_step(options.data, options.features, options.batch_size)
    if options.model and not options.step_only:
        compare_batching(options)


if __name__ == "__main__":
    main()
