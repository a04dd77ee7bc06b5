"""The arithmetic of one dense layer, on the CPU in NumPy or torch by size, elsewhere in torch, over one memory layout.

Arrays are `[K, B, width]` for values, `[K, out, in]` for weights, `[K, 1, out]` for biases. NumPy's products cost less
a call than torch's, torch's less an element; which one is used depends on device and shape alone, never on a timing,
because it decides the order of floating-point sums.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from rlkit.types import Array

LARGE = 2**20
"""Multiplications of one network's product from which torch's is faster than NumPy's."""

# Torch's element-wise kernels cost more a call than NumPy's and less an element. NumPy's tanh is the fastest with
# AVX-512 and among the slowest without it; both are exact to 2e-7.
SMALL = 4096
WIDE = torch.backends.cpu.get_cpu_capability() == "AVX512"

_tensor = torch.from_numpy


def product(a: Array, b: Array, out: Array) -> Array:
    """`out = a b`, `[K, n, m]` times `[K, m, p]`."""
    if a[0].size * b.shape[2] < LARGE:
        return np.matmul(a, b, out=out)
    torch.bmm(_tensor(a), _tensor(b), out=_tensor(out))
    return out


@lru_cache
def _ones(rows: int, dtype: np.dtype[Any]) -> Array:
    return np.ones((1, rows), dtype)


class CPUKernels:
    """Dense layers on the CPU."""

    @staticmethod
    def view(x: Tensor) -> Array:
        """The tensor's memory as this kernel's array."""
        return x.numpy()

    @staticmethod
    def tensor(x: Array) -> Tensor:
        """The way back."""
        return _tensor(x)

    @staticmethod
    def affine(x: Array, weight: Array, bias: Array, out: Array) -> None:
        """`out = x weight^T + bias`."""
        if x.shape[1] * weight[0].size < LARGE:
            np.matmul(x, weight.transpose(0, 2, 1), out=out)
            out += bias
        else:
            torch.baddbmm(_tensor(bias), _tensor(x), _tensor(weight).mT, out=_tensor(out))

    @staticmethod
    def tanh(x: Array) -> None:
        """In place."""
        if WIDE or x.size < SMALL:
            np.tanh(x, out=x)
        else:
            _tensor(x).mul_(2).sigmoid_().mul_(2).sub_(1)

    @staticmethod
    def relu(x: Array) -> None:
        """In place."""
        if x.size < SMALL:
            np.maximum(x, 0, out=x)
        else:
            _tensor(x).relu_()

    @staticmethod
    def back_tanh(d: Array, y: Array) -> None:
        """`d *= 1 - y^2`, in place."""
        grad = _tensor(d)
        torch.ops.aten.tanh_backward.grad_input(grad, _tensor(y), grad_input=grad)

    @staticmethod
    def back_relu(d: Array, y: Array) -> None:
        """`d = 0` where the output was 0, in place."""
        if d.size < SMALL:
            d *= y > 0
        else:
            grad = _tensor(d)
            torch.ops.aten.threshold_backward.grad_input(grad, _tensor(y), 0, grad_input=grad)

    @staticmethod
    def back_affine(d: Array, x: Array, d_weight: Array, d_bias: Array, overwrite: bool) -> None:
        """`d_weight (+)= d^T x`, `d_bias (+)= sum d`."""
        ones = _ones(d.shape[1], d.dtype)  # a product with ones sums faster than sum over the middle axis
        if overwrite:
            product(d.transpose(0, 2, 1), x, d_weight)
            np.matmul(ones, d, out=d_bias)
        else:
            d_weight += product(d.transpose(0, 2, 1), x, np.empty_like(d_weight))
            d_bias += np.matmul(ones, d)

    @staticmethod
    def back_input(d: Array, weight: Array, out: Array | None = None) -> Array:
        """`d weight`."""
        out = np.empty((*d.shape[:2], weight.shape[2]), d.dtype) if out is None else out
        if weight.shape[1] == 1:  # one output: a product by broadcasting is ten times faster than a matrix product
            torch.mul(_tensor(d), _tensor(weight), out=_tensor(out))
            return out
        return product(d, weight, out)


class TorchKernels:
    """Dense layers on any other device; see `CPUKernels`."""

    @staticmethod
    def view(x: Tensor) -> Tensor:  # noqa: D102
        return x

    tensor = view

    @staticmethod
    def affine(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> None:  # noqa: D102
        torch.baddbmm(bias, x, weight.mT, out=out)

    @staticmethod
    def tanh(x: Tensor) -> None:  # noqa: D102
        x.tanh_()

    @staticmethod
    def relu(x: Tensor) -> None:  # noqa: D102
        x.clamp_min_(0)

    @staticmethod
    def back_tanh(d: Tensor, y: Tensor) -> None:  # noqa: D102
        torch.ops.aten.tanh_backward.grad_input(d, y, grad_input=d)

    @staticmethod
    def back_relu(d: Tensor, y: Tensor) -> None:  # noqa: D102
        d.mul_(y > 0)

    @staticmethod
    def back_affine(d: Tensor, x: Tensor, d_weight: Tensor, d_bias: Tensor, overwrite: bool) -> None:  # noqa: D102
        if overwrite:
            d_weight.zero_()
            d_bias.zero_()
        d_weight.baddbmm_(d.mT, x)
        d_bias.add_(d.sum(1, keepdim=True))

    @staticmethod
    def back_input(d: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:  # noqa: D102
        return torch.bmm(d, weight, out=out)


def kernels_for(device: torch.device) -> Any:
    """The kernels of a device."""
    return CPUKernels if device.type == "cpu" else TorchKernels
