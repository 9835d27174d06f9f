"""The peer's half of docs/gpu.md: mamba_ssm's Mamba-2 on a CUDA device, kernels and training steps.

Each row has its twin in `adder bench gpu`, with the same shape and draws. The peer needs nvcc once
(and leaves out selective_scan_cuda, Mamba-1's kernel):

  pip install torch==2.11.0 einops transformers setuptools wheel ninja packaging
  export MAMBA_SKIP_CUDA_BUILD=TRUE
  pip install --no-build-isolation --no-deps mamba-ssm==2.3.2.post1 causal-conv1d==1.6.2.post1

Then, in minutes that Triton mostly spends on compiling and tuning:

  mamba_ssm_gpu.py              every row
  mamba_ssm_gpu.py 370m ssd     the rows whose names hold one of these
"""

import gc
import statistics
import sys
import time
import types

BEGUN = int(open("/proc/self/stat").read().rpartition(")")[2].split()[19]) / 100  # s since boot

import torch
import torch.nn.functional as F

try:
    import selective_scan_cuda  # noqa: F401  mamba_ssm imports it whether it is used or not
except ImportError:
    sys.modules["selective_scan_cuda"] = types.ModuleType("selective_scan_cuda")
from mamba_ssm.models.config_mamba import MambaConfig
from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel
from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

REPEATS = 20
HEAD_DIM, STATE, CHUNK = 64, 128, 256  # the peer's own choice of tokens a chunk
SCANS = (8, 2048, 24), (8, 2048, 64), (8, 4096, 32), (2, 8192, 80), (1, 65536, 24)  # B, L, H
STEPS = [("mamba2-130m", 768, 24, 16, 2048), ("mamba2-370m", 1024, 48, 16, 2048),
         ("mamba2-370m", 1024, 48, 4, 8192), ("mamba2-1.3b", 2048, 48, 8, 2048),
         ("mamba2-130m", 768, 24, 64, 2048)]  # name, width, layers, B, L; the last may not fit


def call_milliseconds(work, repeats):
    """The median on the device's clock between the ends of two calls; the host runs ahead."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    events[0].record()
    for event in events[1:]:
        work()
        event.record()
    torch.cuda.synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in zip(events, events[1:]))


def kernel_milliseconds(work, repeats):
    """The times of a call's kernels added up, without the pauses between them; and how many."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(repeats):
            work()
        torch.cuda.synchronize()
    kernels = [e for e in profile.key_averages()
               if e.device_type == torch.autograd.DeviceType.CUDA and not e.is_user_annotation]
    milliseconds = sum(e.self_device_time_total for e in kernels) / 1e3
    return milliseconds / repeats, sum(e.count for e in kernels) / repeats


def decays(batch, length, heads, fresh):
    """dt, A and dt_bias: as `adder bench gpu` draws them, or like those of a fresh model."""
    noise = torch.randn(batch, length, heads, device="cuda")
    A = -15 * torch.rand(heads, device="cuda") - 1
    if not fresh:
        return (noise - 4).bfloat16(), A, torch.randn(heads, device="cuda")
    step = 0.001 * 100 ** torch.rand(heads, device="cuda")
    # A normed row through in_proj has variance 1 / 3; the bias is the step before softplus.
    return (noise / 3**0.5).bfloat16(), A, step + torch.log(-torch.expm1(-step))


def measure_scan(name, batch, length, heads):
    inner = heads * HEAD_DIM
    rows = torch.randn(batch, length, inner + 2 * STATE, device="cuda").bfloat16()
    x, B, C = rows.split([inner, STATE, STATE], -1)  # slices of one matrix, as in a model
    dt, A, bias = decays(batch, length, heads, "fresh" in name)
    leaves = [x.unflatten(-1, (heads, HEAD_DIM)), dt, A, B.unsqueeze(2), C.unsqueeze(2),
              torch.randn(heads, device="cuda"), bias]
    x, dt, A, B, C, D, bias = leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    grad = torch.randn(x.shape, device="cuda").bfloat16()

    def forward():
        return mamba_chunk_scan_combined(x, dt, A, B, C, CHUNK, D=D, dt_bias=bias, dt_softplus=True)

    def both():
        return torch.autograd.grad(forward(), leaves, grad)

    for part, work in (("forward", torch.no_grad()(forward)), ("fwd+bwd", both)):
        for _ in range(5):
            work()
        calls = call_milliseconds(work, REPEATS)
        kernels, count = kernel_milliseconds(work, REPEATS)
        print(f"{name} {part}: {kernels:.3f} ms in {count:.0f} kernels, {calls:.3f} ms a call")


def measure_steps(name, width, layers, batch, length):
    """Steps as mamba_ssm's users write them: autocast, fp32 weights, eager loss, fused AdamW."""
    torch.manual_seed(1)
    config = MambaConfig(d_model=width, n_layer=layers, vocab_size=50280,
                         pad_vocab_size_multiple=16, ssm_cfg={"layer": "Mamba2"})
    model = MambaLMHeadModel(config, device="cuda")
    optimizer = torch.optim.AdamW(model.parameters(), 3e-4, weight_decay=0.1, fused=True)
    ids = torch.randint(50280, (batch, length + 1), device="cuda")

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(ids[:, :-1]).logits
            loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    loss = step().item()
    after = time.clock_gettime(time.CLOCK_BOOTTIME) - BEGUN
    print(f"{name}: first step (loss {loss:.3f}) over {after:.1f} s after the process began")
    for _ in range(3):
        step()
    torch.cuda.reset_peak_memory_stats()
    calls = call_milliseconds(step, REPEATS)
    kernels, count = kernel_milliseconds(step, 3)
    print(f"{name}: {batch * length / calls * 1e3:.0f} tokens/s, {calls:.1f} ms ({kernels:.1f} in "
          f"{count:.0f} kernels), {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")


def main(words):
    sys.stdout.reconfigure(line_buffering=True)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    rows = [(f"training {name} B{shape[-2]} L{shape[-1]}", measure_steps, shape)
            for name, *shape in STEPS]
    rows += [(f"ssd B{b} L{l} H{h} P{HEAD_DIM} N{STATE}{fresh}", measure_scan, (b, l, h))
             for fresh in ("", " fresh") for b, l, h in SCANS]
    for name, measure, shape in rows:
        if words and not any(word in name for word in words):
            continue
        try:
            measure(name, *shape)
        except torch.OutOfMemoryError as error:
            print(f"{name}: {str(error)[:120]}")
        gc.collect()
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main(sys.argv[1:])
