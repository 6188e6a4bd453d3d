"""Products and sums over pairs, as fast as processors and memory allow.

Between matrix products pair tensors are bound by memory: where no gradient is recorded they are changed in
place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


def silu(values: Tensor) -> Tensor:
    """SiLU; overwrites `values` where no gradient is recorded."""
    return nn.functional.silu(values, inplace=not torch.is_grad_enabled())


def added(values: Tensor, others: Tensor) -> Tensor:
    """Sum; overwrites `values` where no gradient is recorded."""
    return values + others if torch.is_grad_enabled() else values.add_(others)


def multiplied(values: Tensor, others: Tensor) -> Tensor:
    """Product; overwrites `values` where no gradient is recorded."""
    return values * others if torch.is_grad_enabled() else values.mul_(others)


class Linear(nn.Linear):
    """nn.Linear by the faster product of `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def linear(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """values @ weight.T + bias. On CPUs through a transposed copy of the weight: MKL is twice as fast with
    it.
    """
    if values.device.type != "cpu":
        return nn.functional.linear(values, weight, bias)
    result: Tensor = _CpuLinear.apply(values, weight, bias)  # type: ignore[no-untyped-call]
    return result


class _LinearContext(FunctionCtx):
    """What the backward pass of `_CpuLinear` is given."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    has_bias: bool


class _CpuLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _LinearContext, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.has_bias = bias is not None
        transposed = weight.t().contiguous()
        return torch.mm(values, transposed) if bias is None else torch.addmm(bias, values, transposed)

    @staticmethod
    def backward(ctx: _LinearContext, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        values, weight = ctx.saved_tensors
        for_values = torch.mm(gradient, weight) if ctx.needs_input_grad[0] else None
        for_weight = torch.mm(gradient.t(), values) if ctx.needs_input_grad[1] else None
        for_bias = gradient.sum(0) if ctx.has_bias and ctx.needs_input_grad[2] else None
        return for_values, for_weight, for_bias


def gather(values: Tensor, index: Tensor) -> Tensor:
    """values[index] along the first axis, with a faster sum over repeated rows in the backward pass."""
    result: Tensor = _Gather.apply(values, index)  # type: ignore[no-untyped-call]
    return result


class _GatherContext(FunctionCtx):
    """What the backward pass of `_Gather` is given."""

    saved_tensors: tuple[Tensor, ...]
    n_rows: int


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _GatherContext, values: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.n_rows = len(values)
        return values.index_select(0, index)

    @staticmethod
    def backward(ctx: _GatherContext, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        total = gradient.new_zeros((ctx.n_rows, *gradient.shape[1:]))
        return total.scatter_add_(0, index[:, None].expand_as(gradient), gradient), None
