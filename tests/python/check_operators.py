"""Do the operators of libadder_ops.so work in Python? Values and gradients of ssd and selective_scan against token
loops in double.

  check_operators.py build/lib/libadder_ops.so         needs the package torch, version 2.11
"""

import sys

import torch
import torch.nn.functional as F


def ssd_loop(x, dt, A, B, C):
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


def ssd(*tensors):
    return torch.ops.adder.ssd(*tensors, None, None, None, True, 0.0, float("inf"), 64, None, None)


def selective_scan_loop(u, delta, A, B, C, D, z, delta_bias, initial_state):
    """The recurrence of Mamba-1, one token after another."""
    repeat = u.shape[2] // B.shape[2]
    B, C = B.repeat_interleave(repeat, 2), C.repeat_interleave(repeat, 2)
    step = F.softplus(delta + delta_bias)
    state, rows = initial_state, []
    for t in range(u.shape[1]):
        state = torch.exp(step[:, t, :, None] * A) * state + (step * u)[:, t, :, None] * B[:, t]
        rows.append((state * C[:, t]).sum(-1))
    return (torch.stack(rows, 1) + D * u) * F.silu(z), state


def selective_scan(u, delta, A, B, C, D, z, delta_bias, initial_state):
    return torch.ops.adder.selective_scan(u, delta, A, B, C, D, z, delta_bias, True, initial_state, None)


def selective_scan_steps(u, delta, A, B, C, D, z, delta_bias, initial_state):
    """The same by the operator for one token; not differentiable."""
    state = initial_state.detach().clone()
    step = torch.ops.adder.selective_scan_update
    rows = [
        step(state, u[:, t], delta[:, t], A, B[:, t], C[:, t], D, z[:, t], delta_bias, True, None)
        for t in range(u.shape[1])
    ]
    return torch.stack(rows, 1), state


def random_inputs(*shapes):
    """Doubles; the third is A, negative."""
    inputs = [torch.randn(shape, dtype=torch.double) for shape in shapes]
    inputs[2] = -inputs[2].abs() - 0.1
    return [tensor.requires_grad_() for tensor in inputs]


def relative(a, b):
    return ((a.double() - b).abs().max() / b.abs().max()).item()


def worst(got, expected):
    return max(relative(a, b) for a, b in zip(got, expected))


def check(name, operator, loop, inputs):
    """Whether the operator in fp32 is right: values and the gradient of every input through every output."""
    expected = loop(*inputs)
    narrow = [tensor.detach().float().requires_grad_() for tensor in inputs]
    got = operator(*narrow)
    weights = [torch.randn_like(output) for output in expected]
    gradients = torch.autograd.grad(expected, inputs, weights)
    got_gradients = torch.autograd.grad(got, narrow, [weight.float() for weight in weights])
    values, slopes = worst(got, expected), worst(got_gradients, gradients)
    print(f"{name}: fp32 against fp64: values {values:.1e}, gradients {slopes:.1e}")
    return values <= 1e-5 and slopes <= 1e-4


def main(library):
    torch.ops.load_library(library)
    torch.manual_seed(0)
    inputs = random_inputs((2, 50, 4, 8), (2, 50, 4), (4,), (2, 50, 2, 16), (2, 50, 2, 16))
    assert torch.autograd.gradcheck(ssd, inputs)
    right = check("ssd", ssd, ssd_loop, inputs)

    def scan_inputs(length, channels, state):
        keys, rows = (2, length, 2, state), (2, length, channels)
        return random_inputs(
            rows, rows, (channels, state), keys, keys, (channels,), rows, (channels,), (2, channels, state)
        )

    assert torch.autograd.gradcheck(selective_scan, scan_inputs(9, 6, 3))
    inputs = scan_inputs(100, 48, 16)
    right &= check("selective_scan", selective_scan, selective_scan_loop, inputs)
    with torch.no_grad():
        narrow = [tensor.float() for tensor in inputs]
        steps = worst(selective_scan_steps(*narrow), selective_scan_loop(*inputs))
    print(f"selective_scan_update: fp32 against fp64: {steps:.1e}")
    sys.exit(not (right and steps <= 1e-5))


if __name__ == "__main__":
    main(*sys.argv[1:])
