"""Do the operators of libadder_ops.so work in Python? Values and gradients of ssd against a token loop in double.

  check_operators.py build/lib/libadder_ops.so         needs the package torch, version 2.11
"""

import sys

import torch
import torch.nn.functional as F


def token_loop(x, dt, A, B, C):
    """The recurrence of Mamba-2, one token after another."""
    batch, length, heads, head_dim = x.shape
    repeat = heads // B.shape[2]
    B, C = B.repeat_interleave(repeat, 2), C.repeat_interleave(repeat, 2)
    delta = F.softplus(dt)
    state = x.new_zeros(batch, heads, head_dim, B.shape[3])
    rows = []
    for t in range(length):
        update = (delta[:, t, :, None] * x[:, t])[..., None] * B[:, t, :, None]
        state = torch.exp(delta[:, t] * A)[..., None, None] * state + update
        rows.append((state * C[:, t, :, None]).sum(-1))
    return torch.stack(rows, 1), state


def relative(a, b):
    return ((a.double() - b).abs().max() / b.abs().max()).item()


def main(library):
    torch.ops.load_library(library)
    torch.manual_seed(0)
    shapes = [(2, 50, 4, 8), (2, 50, 4), (4,), (2, 50, 2, 16), (2, 50, 2, 16)]
    inputs = [torch.randn(shape, dtype=torch.double) for shape in shapes]
    inputs[2] = -inputs[2].abs() - 0.1
    inputs = [tensor.requires_grad_() for tensor in inputs]

    def ssd(*tensors):
        return torch.ops.adder.ssd(*tensors, None, None, None, True, 0.0, float("inf"), 64, None, None)

    assert torch.autograd.gradcheck(ssd, inputs)
    expected = token_loop(*inputs)
    narrow = [tensor.detach().float().requires_grad_() for tensor in inputs]
    got = ssd(*narrow)
    weights = torch.randn_like(expected[0])
    gradients = torch.autograd.grad((expected[0] * weights).sum(), inputs)
    got_gradients = torch.autograd.grad((got[0] * weights.float()).sum(), narrow)
    values = max(relative(a, b) for a, b in zip(got, expected))
    slopes = max(relative(a, b) for a, b in zip(got_gradients, gradients))
    print(f"fp32 against fp64: values {values:.1e}, gradients {slopes:.1e}")
    sys.exit(values > 1e-5 or slopes > 1e-4)


if __name__ == "__main__":
    main(*sys.argv[1:])
