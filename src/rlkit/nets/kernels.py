"""The arithmetic of one dense layer, in NumPy and in torch, over one memory layout.

Arrays are `[K, B, width]` for values, `[K, out, in]` for weights, `[K, 1, out]` for biases. NumPy's calls cost less
each, torch's less an element; which of the two a pass takes depends on device and shapes alone, never on a timing,
because it decides the order of floating-point sums. All products of a pass are of one of them: alternating was slower.
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
"""Multiplications of one network's widest layer from which a pass on the CPU is torch's."""

# Torch's element-wise kernels cost more a call than NumPy's and less an element. Its tanh is an exception: with AVX-512
# NumPy's takes a seventh of the time, and without it torch's sigmoid a third. All are exact to 2e-7.
SMALL = 4096
WIDE = torch.backends.cpu.get_cpu_capability() == "AVX512"

_tensor = torch.from_numpy


@lru_cache
def _ones(rows: int, dtype: np.dtype[Any]) -> Array:
    return np.ones((1, rows), dtype)


class NumpyKernels:
    """Dense layers in NumPy."""

    @staticmethod
    def view(x: Tensor) -> Array:
        """The tensor's memory as this kernel's array."""
        return x.numpy()

    @staticmethod
    def tensor(x: Array) -> Tensor:
        """The kernel's array as a tensor, on the same memory."""
        return _tensor(x)

    @staticmethod
    def affine(x: Array, weight: Array, bias: Array, out: Array) -> None:
        """`out = x weight^T + bias`."""
        np.matmul(x, weight.transpose(0, 2, 1), out=out)
        out += bias

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
        TorchKernels.back_tanh(_tensor(d), _tensor(y))

    @staticmethod
    def back_relu(d: Array, y: Array) -> None:
        """`d = 0` where the output was 0, in place."""
        if d.size < SMALL:
            d *= y > 0
        else:
            TorchKernels.back_relu(_tensor(d), _tensor(y))

    @staticmethod
    def back_affine(d: Array, x: Array, d_weight: Array, d_bias: Array, overwrite: bool) -> None:
        """`d_weight (+)= d^T x`, `d_bias (+)= sum d`."""
        ones = _ones(d.shape[1], d.dtype)  # a product with ones sums faster than sum over the middle axis
        if overwrite:
            np.matmul(d.transpose(0, 2, 1), x, out=d_weight)
            np.matmul(ones, d, out=d_bias)
        else:
            d_weight += d.transpose(0, 2, 1) @ x
            d_bias += ones @ d

    @staticmethod
    def back_input(d: Array, weight: Array, out: Array | None = None) -> Array:
        """`d weight`."""
        out = np.empty((*d.shape[:2], weight.shape[2]), d.dtype) if out is None else out
        if weight.shape[1] == 1:  # one output: a product by broadcasting is ten times faster than a matrix product
            torch.mul(_tensor(d), _tensor(weight), out=_tensor(out))
            return out
        return np.matmul(d, weight, out=out)


class TorchKernels:
    """Dense layers in torch, on any device; see `NumpyKernels`."""

    @staticmethod
    def view(x: Tensor) -> Tensor:
        return x

    tensor = view

    @staticmethod
    def affine(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> None:
        torch.baddbmm(bias, x, weight.mT, out=out)

    @staticmethod
    def tanh(x: Tensor) -> None:
        if x.device.type == "cpu":
            NumpyKernels.tanh(x.numpy())
        else:
            x.tanh_()

    @staticmethod
    def relu(x: Tensor) -> None:
        x.relu_()

    @staticmethod
    def back_tanh(d: Tensor, y: Tensor) -> None:
        torch.ops.aten.tanh_backward.grad_input(d, y, grad_input=d)

    @staticmethod
    def back_relu(d: Tensor, y: Tensor) -> None:
        torch.ops.aten.threshold_backward.grad_input(d, y, 0, grad_input=d)

    @staticmethod
    def back_affine(d: Tensor, x: Tensor, d_weight: Tensor, d_bias: Tensor, overwrite: bool) -> None:
        if overwrite:
            torch.bmm(d.mT, x, out=d_weight)
            torch.sum(d, 1, keepdim=True, out=d_bias)
        else:
            d_weight.baddbmm_(d.mT, x)
            d_bias.add_(d.sum(1, keepdim=True))

    @staticmethod
    def back_input(d: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
        if weight.shape[1] == 1:  # see `NumpyKernels`
            return torch.mul(d, weight, out=out)
        return torch.bmm(d, weight, out=out)


def kernels_for(device: torch.device, multiplications: int) -> Any:
    """The kernels of a pass, by its device and the size of its widest layer's product."""
    return NumpyKernels if device.type == "cpu" and multiplications < LARGE else TorchKernels
