"""Makes the golden original-* folders beside this file: the Mamba authors' layout, config.json and pytorch_model.bin.

Their package runs on GPUs only, so the losses come from the plain forward below, in double, which follows the papers
(arXiv 2312.00752, algorithm 2; 2405.21060, section 7; 1706.03762; 2104.09864) and the package's parameter layout.
Each folder has a golden.json (golden.py). Made with torch 2.11.0.
"""

import json
import pathlib

import torch
from torch.nn import functional as F

import golden

EPS = 1e-5
STACK = dict(d_model=16, n_layer=4, vocab_size=61, rms_norm=True, residual_in_fp32=True, fused_add_norm=True,
             pad_vocab_size_multiple=8)
MAMBA2 = dict(layer="Mamba2", d_state=8, headdim=8, ngroups=2, chunk_size=16)
CASES = {
    # As the first published files say it: nothing but what is needed.
    "original-mamba1": dict(ssm_cfg={}),
    "original-mamba2": dict(ssm_cfg=dict(MAMBA2, d_ssm=16, norm_before_gate=True, D_has_hdim=True, bias=True,
                                         dt_limit=[0.05, 1.0]), tie_embeddings=False),
    "original-hybrid": dict(ssm_cfg=MAMBA2, attn_layer_idx=[1, 3], attn_cfg=dict(
        causal=True, num_heads=4, num_heads_kv=2, head_dim=8, d_conv=3, rotary_emb_dim=4, rotary_emb_base=100.0,
        qkv_proj_bias=False, softmax_scale=0.3), tie_embeddings=True),
    "original-transformer": dict(n_layer=2, ssm_cfg={}, attn_layer_idx=[0, 1], d_intermediate=100, attn_cfg=dict(
        causal=True, num_heads=2, rotary_emb_dim=8, rotary_emb_interleaved=True, out_proj_bias=False, mlp_dim=1),
        tie_embeddings=True),
}
HALF = {"original-transformer"}  # stored as float16


def up_to(n, multiple):
    return -(-n // multiple) * multiple


def mamba1_sizes(config):
    c = dict(d_state=16, d_conv=4, expand=2, dt_rank=up_to(config["d_model"], 16) // 16) | config["ssm_cfg"]
    return c | dict(inner=c["expand"] * config["d_model"])


def mamba2_sizes(config):
    c = dict(d_state=128, d_conv=4, expand=2, headdim=64, ngroups=1, d_ssm=None, D_has_hdim=False, bias=False,
             norm_before_gate=False, dt_limit=[0.0, float("inf")]) | config["ssm_cfg"]
    inner = c["expand"] * config["d_model"]
    c["d_ssm"] = c["d_ssm"] or inner
    return c | dict(inner=inner, heads=c["d_ssm"] // c["headdim"], shared=c["ngroups"] * c["d_state"])


def attention_sizes(config):
    c = dict(num_heads_kv=None, head_dim=None, mlp_dim=0, qkv_proj_bias=True, out_proj_bias=True, softmax_scale=None,
             d_conv=0, rotary_emb_dim=0, rotary_emb_base=10000.0, rotary_emb_interleaved=False) | config["attn_cfg"]
    c["num_heads_kv"] = c["num_heads_kv"] or c["num_heads"]
    c["head_dim"] = c["head_dim"] or config["d_model"] // c["num_heads"]
    c["q"], c["kv"] = c["num_heads"] * c["head_dim"], c["num_heads_kv"] * c["head_dim"]
    return c | dict(mlp=up_to(c["mlp_dim"], 256), scale=c["softmax_scale"] or c["head_dim"] ** -0.5)


def mamba1_shapes(config):
    c, d = mamba1_sizes(config), config["d_model"]
    n, inner, rank = c["d_state"], c["inner"], c["dt_rank"]
    return {"in_proj.weight": (2 * inner, d), "conv1d.weight": (inner, 1, c["d_conv"]), "conv1d.bias": (inner,),
            "x_proj.weight": (rank + 2 * n, inner), "dt_proj.weight": (inner, rank), "dt_proj.bias": (inner,),
            "A_log": (inner, n), "D": (inner,), "out_proj.weight": (d, inner)}


def mamba2_shapes(config):
    c, d = mamba2_sizes(config), config["d_model"]
    conv = c["d_ssm"] + 2 * c["shared"]
    rows = 2 * (c["inner"] - c["d_ssm"]) + c["d_ssm"] + conv + c["heads"]
    shapes = {"in_proj.weight": (rows, d), "conv1d.weight": (conv, 1, c["d_conv"]), "conv1d.bias": (conv,),
              "dt_bias": (c["heads"],), "A_log": (c["heads"],), "D": (c["d_ssm"] if c["D_has_hdim"] else c["heads"],),
              "norm.weight": (c["d_ssm"],), "out_proj.weight": (d, c["inner"])}
    return shapes | ({"in_proj.bias": (rows,), "out_proj.bias": (d,)} if c["bias"] else {})


def attention_shapes(config):
    c, d = attention_sizes(config), config["d_model"]
    qkv = c["q"] + 2 * c["kv"]
    rows = qkv + 2 * c["mlp"]
    shapes = {"in_proj.weight": (rows, d), "out_proj.weight": (d, c["q"] + c["mlp"])}
    if c["qkv_proj_bias"]:
        shapes["in_proj.bias"] = (rows,)
    if c["out_proj_bias"]:
        shapes["out_proj.bias"] = (d,)
    if c["d_conv"]:
        shapes |= {"conv1d.weight": (qkv, 1, c["d_conv"]), "conv1d.bias": (qkv,)}
    return shapes


def kind(config, layer):
    if layer in config.get("attn_layer_idx", []):
        return "attention"
    return "mamba2" if config["ssm_cfg"].get("layer") == "Mamba2" else "mamba1"


def shapes(config):
    d, v = config["d_model"], up_to(config["vocab_size"], config["pad_vocab_size_multiple"])
    mixers = dict(mamba1=mamba1_shapes, mamba2=mamba2_shapes, attention=attention_shapes)
    all_shapes = {"backbone.embedding.weight": (v, d)}
    for i in range(config["n_layer"]):
        parts = {"norm.weight": (d,)}
        parts |= {"mixer." + name: shape for name, shape in mixers[kind(config, i)](config).items()}
        if config.get("d_intermediate", 0):
            hidden = up_to(config["d_intermediate"], 128)
            parts |= {"norm2.weight": (d,), "mlp.fc1.weight": (2 * hidden, d), "mlp.fc2.weight": (d, hidden)}
        all_shapes |= {f"backbone.layers.{i}.{name}": shape for name, shape in parts.items()}
    all_shapes["backbone.norm_f.weight"] = (d,)
    if not config.get("tie_embeddings", True):
        all_shapes["lm_head.weight"] = (v, d)
    return all_shapes


def random_tensor(name, shape):
    noise = torch.randn(shape)
    if name.endswith("embedding.weight") or name == "lm_head.weight":
        return 0.5 * noise
    if name.endswith("norm_f.weight"):
        return 2 * noise
    if name.endswith(("norm.weight", "norm2.weight")):
        return 1 + 0.3 * noise
    if name.endswith("A_log"):
        return torch.log(torch.arange(1, shape[-1] + 1).expand(shape)) + 0.5 * noise
    if name.endswith(".D"):
        return noise
    if name.endswith(("dt_bias", "dt_proj.bias")):
        return noise - 2
    if name.endswith(".bias"):
        return 0.2 * noise
    return 1.5 * noise / shape[-1] ** 0.5


def rms(x, weight, groups=1):
    parts = x.unflatten(-1, (groups, -1))
    return (parts * torch.rsqrt(parts.square().mean(-1, keepdim=True) + EPS)).flatten(-2) * weight


def conv(x, p):
    """Causal and depthwise; x: (length, channels)."""
    weight = p["conv1d.weight"][:, 0]  # (channels, taps)
    padded = F.pad(x, (0, 0, weight.shape[1] - 1, 0))
    return sum(padded[k:k + len(x)] * weight[:, k] for k in range(weight.shape[1])) + p["conv1d.bias"]


def linear(x, p, name):
    return F.linear(x, p[name + ".weight"], p.get(name + ".bias"))


def scan(x, delta, A, B, C):
    """h_t = exp(delta A) h_(t-1) + delta B x; y_t = C h_t. x: (L, D); delta: (L, D); A: (D, N); B, C: (L, D, N)."""
    state, ys = torch.zeros_like(A), []
    for t in range(len(x)):
        state = torch.exp(delta[t, :, None] * A) * state + (delta[t] * x[t])[:, None] * B[t]
        ys.append((state * C[t]).sum(-1))
    return torch.stack(ys)


def mamba1(u, p, config):
    c = mamba1_sizes(config)
    x, z = linear(u, p, "in_proj").split(c["inner"], -1)
    x = F.silu(conv(x, p))
    low, B, C = linear(x, p, "x_proj").split([c["dt_rank"], c["d_state"], c["d_state"]], -1)
    delta = F.softplus(linear(low, p, "dt_proj"))
    y = scan(x, delta, -torch.exp(p["A_log"]), B[:, None].expand(-1, c["inner"], -1), C[:, None].expand(-1, c["inner"], -1))
    return linear((y + p["D"] * x) * F.silu(z), p, "out_proj")


def mamba2(u, p, config):
    c = mamba2_sizes(config)
    mlp, P = c["inner"] - c["d_ssm"], c["headdim"]
    z0, x0, z, xBC, dt = linear(u, p, "in_proj").split(
        [mlp, mlp, c["d_ssm"], c["d_ssm"] + 2 * c["shared"], c["heads"]], -1)
    x, B, C = F.silu(conv(xBC, p)).split([c["d_ssm"], c["shared"], c["shared"]], -1)
    per_channel = lambda t: t.repeat_interleave(P, -1)  # (..., heads) -> (..., channels)
    shared = lambda t: t.unflatten(-1, (c["ngroups"], -1)).repeat_interleave(c["d_ssm"] // c["ngroups"], -2)
    delta = F.softplus(dt + p["dt_bias"]).clamp(*c["dt_limit"])
    A = -torch.exp(per_channel(p["A_log"]))[:, None].expand(-1, c["d_state"])
    y = scan(x, per_channel(delta), A, shared(B), shared(C))
    y = y + (p["D"] if c["D_has_hdim"] else per_channel(p["D"])) * x
    if c["norm_before_gate"]:
        y = rms(y, p["norm.weight"], c["ngroups"]) * F.silu(z)
    else:
        y = rms(y * F.silu(z), p["norm.weight"], c["ngroups"])
    return linear(torch.cat([F.silu(z0) * x0, y], -1), p, "out_proj")


def rotate(x, c):
    """Rotary positions; x: (length, heads, head_dim)."""
    r = c["rotary_emb_dim"]
    if r == 0:
        return x
    angle = torch.arange(len(x))[:, None].double() * c["rotary_emb_base"] ** (-torch.arange(0, r, 2).double() / r)
    turn = torch.polar(torch.ones_like(angle), angle)[:, None]  # (length, 1, r / 2)
    head = x[..., :r]
    if c["rotary_emb_interleaved"]:
        pairs = torch.view_as_complex(head.unflatten(-1, (-1, 2)).contiguous()) * turn
        head = torch.view_as_real(pairs).flatten(-2)
    else:
        pairs = torch.complex(*head.chunk(2, -1)) * turn
        head = torch.cat([pairs.real, pairs.imag], -1)
    return torch.cat([head, x[..., r:]], -1)


def attention(u, p, config):
    c = attention_sizes(config)
    qkv, up, gate = linear(u, p, "in_proj").split([c["q"] + 2 * c["kv"], c["mlp"], c["mlp"]], -1)
    if c["d_conv"]:
        qkv = conv(qkv, p)
    q, k, v = (t.unflatten(-1, (-1, c["head_dim"])) for t in qkv.split([c["q"], c["kv"], c["kv"]], -1))
    share = c["num_heads"] // c["num_heads_kv"]
    q, k, v = rotate(q, c), rotate(k, c).repeat_interleave(share, 1), v.repeat_interleave(share, 1)
    scores = torch.einsum("ihd,jhd->hij", q, k) * c["scale"]
    later = torch.ones(len(u), len(u), dtype=torch.bool).triu(1)
    y = torch.einsum("hij,jhd->ihd", scores.masked_fill(later, float("-inf")).softmax(-1), v).flatten(1)
    return linear(torch.cat([y, up * F.silu(gate)], -1), p, "out_proj")


def forward(config, weights, ids):
    """Logits (length, padded vocabulary)."""
    mixers = dict(mamba1=mamba1, mamba2=mamba2, attention=attention)
    r = weights["backbone.embedding.weight"][torch.tensor(ids)]
    for i in range(config["n_layer"]):
        start = f"backbone.layers.{i}."
        p = {name.removeprefix(start): t for name, t in weights.items() if name.startswith(start)}
        part = lambda name: {k.removeprefix(name): t for k, t in p.items() if k.startswith(name)}
        r = r + mixers[kind(config, i)](rms(r, p["norm.weight"]), part("mixer."), config)
        if "norm2.weight" in p:
            y, gate = linear(rms(r, p["norm2.weight"]), part("mlp."), "fc1").chunk(2, -1)
            r = r + linear(y * F.silu(gate), part("mlp."), "fc2")
    head = weights.get("lm_head.weight", weights["backbone.embedding.weight"])
    return rms(r, weights["backbone.norm_f.weight"]) @ head.T


def make(folder, options, seed):
    """False when the greedy tokens make a poor test."""
    torch.manual_seed(seed)
    config = STACK | options
    stored = {n: random_tensor(n, s).to(torch.half if folder.name in HALF else torch.float) for n, s in shapes(config).items()}
    weights = {name: t.double() for name, t in stored.items()}
    ids = torch.randint(0, config["vocab_size"], (golden.LENGTH,)).tolist()
    text, chosen = ids[:golden.PROMPT], []
    while len(text) < golden.PROMPT + golden.NEW:
        chosen.append(forward(config, weights, text)[-1])
        text.append(int(chosen[-1].argmax()))
    if not golden.good(text[golden.PROMPT:], chosen):
        return False
    stored.setdefault("lm_head.weight", stored["backbone.embedding.weight"])  # tied: one storage
    folder.mkdir(exist_ok=True)
    torch.save(stored, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    golden.save(folder, ids, golden.losses_of(forward(config, weights, ids), ids), text[golden.PROMPT:])
    return True


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for name, options in CASES.items():
        print(name, next(seed for seed in range(1000) if make(here / name, options, seed)))
