"""What compiled messages would gain: PaiNN's sums over neighbours in C++ instead of torch's operators.

    OMP_NUM_THREADS=1 python benchmarks/compiled_messages.py [--model relaxer-qm9] [--data SET.npz]
    OMP_NUM_THREADS=1 python benchmarks/compiled_messages.py --train CONFIG.yaml

Needs g++ and a processor, not a GPU. The first line prints the largest difference of geometries and
gradients, and seconds of a batch of 64 molecules, with and without gradient. The second runs `prerelax train
CONFIG --resume` with the compiled messages: the numbers are the same but for rounding.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prerelax.datasets.structures import read_npz
from prerelax.denoisers.checkpoint import load_model
from prerelax.networks import messages, painn
from prerelax.networks.batch import Batch
from prerelax.networks.neighbours import Neighbours
from prerelax.networks.staged import StagedNetwork
from prerelax.training import train
from prerelax.training.data import BatchStream
from prerelax.training.staged_loss import geometries

SOURCE = Path(__file__).with_suffix(".cpp")
FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-shared", "-fPIC")
BATCHES = 10


class Sizes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("atoms", "F", "K", "with_vectors")]


class NeighbourLists:
    """Pairs sorted by receiver, as the compiled code reads them."""

    def __init__(self, neighbours: Neighbours) -> None:
        counts = torch.bincount(neighbours.receiver, minlength=neighbours.n_atoms)
        self.first = torch.cat([counts.new_zeros(1), torch.cumsum(counts, 0)])
        self.sender = neighbours.sender.contiguous()
        self.direction = neighbours.direction.contiguous()

    @property
    def pointers(self) -> list[ctypes.c_void_p]:
        return [pointer(tensor) for tensor in (self.direction, self.first, self.sender)]


def install() -> None:
    """Compile the messages and put them in the place of torch's."""
    library_path = Path(tempfile.mkdtemp()) / "messages.so"
    subprocess.run(["g++", *FLAGS, str(SOURCE), "-o", str(library_path)], check=True)
    library = ctypes.CDLL(str(library_path))

    class CompiledMessages(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, table: Tensor, filters: Tensor, features: Tensor, lists: NeighbourLists
        ) -> Tensor:
            table, filters = table.contiguous(), filters.contiguous()
            n_features = (table.shape[1] - filters.shape[1] or filters.shape[1]) // 2
            if n_features % 64 or table.dtype != torch.float32:
                raise SystemExit("compiled messages are for float32 and a multiple of 64 features")
            ctx.sizes = Sizes(len(table), n_features, len(filters), table.shape[1] == 5 * n_features)
            ctx.save_for_backward(table, filters, features)
            ctx.lists = lists
            received = table.new_empty(len(table), 4 * n_features)
            given = [pointer(tensor) for tensor in (table, filters, features)]
            library.forward(*given, *lists.pointers, pointer(received), ctx.sizes)
            return received

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
            saved = ctx.saved_tensors
            grad, grads = grad.contiguous(), [torch.zeros_like(tensor) for tensor in saved[:2]]
            made = [pointer(tensor) for tensor in (grad, *grads)]
            library.backward(*map(pointer, saved), *ctx.lists.pointers, *made, ctx.sizes)
            return grads[0], grads[1], None, None

    def make_edges(
        neighbours: Neighbours,
        cutoff: float,
        n_features: int,
        edge_features: Callable[[Tensor, Tensor | None], Tensor],
    ) -> messages.Edges:
        features = edge_features(neighbours.distance, neighbours.topological_distance).contiguous()
        return messages.Edges(neighbours, NeighbourLists(neighbours), features)  # type: ignore[arg-type]

    painn.make_edges = make_edges  # type: ignore[attr-defined]
    messages._BlockedMessages = CompiledMessages  # type: ignore[misc, assignment]


def pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("PRERELAX_DATA", "../shared/data")) / "qm9_val.npz"
    parser.add_argument("--model", default="relaxer-qm9")
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--train", type=Path, metavar="CONFIG.yaml")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.train:
        install()
        train(arguments.train, resume=True)
    else:
        compare(arguments.model, arguments.data)


def compare(name: str, data: Path) -> None:
    """Print differences and seconds."""
    model = load_model(name)
    assert isinstance(model.network, StagedNetwork)
    structures = read_npz(data).with_elements(model.elements)
    stream = BatchStream(structures, 64, bond_graph=True, seed=0)
    batches = [batch for batch, _ in zip(stream, range(BATCHES), strict=False)]
    before, before_s = run(model.network, model.schedule, batches)
    install()
    after, after_s = run(model.network, model.schedule, batches)
    pairs = zip(before, after, strict=True)
    difference = max(float((a - b).abs().max() / b.abs().max()) for b, a in pairs)
    print(f"largest difference {difference:.0e} of the largest geometry or gradient")
    print("| messages | forward / s | with gradient / s |\n| --- | --- | --- |")
    for kind, seconds in (("torch", before_s), ("compiled", after_s)):
        print(f"| {kind} | {seconds[0]:.3f} | {seconds[1]:.3f} |")


def run(
    network: StagedNetwork, schedule: Any, batches: list[Batch]
) -> tuple[list[Tensor], tuple[float, float]]:
    """Geometries and gradients of the first batch; processor seconds of a batch without and with gradient."""
    seconds = []
    for gradient in (False, True):
        network.requires_grad_(gradient)
        began = time.process_time()
        for batch in batches[::-1]:
            found = starts_denoised(network, schedule, batch)
            if gradient:
                network.zero_grad()
                torch.stack([positions.square().sum() for positions in found]).sum().backward()
        seconds.append((time.process_time() - began) / len(batches))
    gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    return [found[-1].detach(), *gradients], (seconds[0], seconds[1])


def starts_denoised(network: StagedNetwork, schedule: Any, batch: Batch) -> list[Tensor]:
    assert batch.positions_start is not None
    return geometries(network, batch.with_positions(batch.positions_start), schedule)


if __name__ == "__main__":
    main()
