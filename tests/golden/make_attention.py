"""Makes the golden attention-* folders beside this file with Hugging Face transformers (golden.py).

Each model is in Adder's own layout. "llama": rotary halves, grouped queries, SwiGLU; "mistral": the
same with a sliding window and another base. Both keep q, k and v apart, and gate before up; Adder's
layout (the Mamba authors') stacks [q | k | v] and [up | gate].

Made with transformers 4.57.6, torch 2.11.0 on a CPU.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

import golden

SIZES = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
             intermediate_size=40, rms_norm_eps=1e-5, attn_implementation="eager")
CASES = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES, num_key_value_heads=2, attention_bias=False,
                                            rope_theta=1e4)),
    "mistral": (MistralForCausalLM, MistralConfig(**SIZES, num_key_value_heads=1, sliding_window=12,
                                                  rope_theta=300.0)),
}


def randomise(model):
    """Sharp attention and norm weights away from one, which would hide mistakes."""
    for name, p in model.named_parameters():
        noise = torch.randn_like(p)
        if "norm" in name:
            p.data = 1 + 0.3 * noise
        elif "q_proj" in name or "k_proj" in name:
            p.data = 0.35 * noise
        else:
            p.data = 0.2 * noise


def adder_weights(state):
    """transformers' tensors under Adder's names."""
    out = {"backbone.embeddings.weight": state["model.embed_tokens.weight"],
           "backbone.norm_f.weight": state["model.norm.weight"],
           "lm_head.weight": state["lm_head.weight"]}
    for layer in range(SIZES["num_hidden_layers"]):
        theirs, ours = f"model.layers.{layer}.", f"backbone.layers.{layer}."
        attention, mlp = theirs + "self_attn.", theirs + "mlp."
        out[ours + "norm.weight"] = state[theirs + "input_layernorm.weight"]
        out[ours + "mixer.in_proj.weight"] = torch.cat(
            [state[attention + f"{part}_proj.weight"] for part in "qkv"])
        out[ours + "mixer.out_proj.weight"] = state[attention + "o_proj.weight"]
        out[ours + "norm2.weight"] = state[theirs + "post_attention_layernorm.weight"]
        out[ours + "mlp.fc1.weight"] = torch.cat(
            [state[mlp + "up_proj.weight"], state[mlp + "gate_proj.weight"]])
        out[ours + "mlp.fc2.weight"] = state[mlp + "down_proj.weight"]
    return {name: tensor.contiguous() for name, tensor in out.items()}


def adder_config(config):
    return {"model_type": "adder", "vocab_size": config.vocab_size, "d_model": config.hidden_size,
            "n_layer": config.num_hidden_layers, "layers": ["softmax"],
            "norm_eps": config.rms_norm_eps, "tie_embeddings": False,
            "mlp": {"kind": "swiglu", "d_hidden": config.intermediate_size},
            "softmax": {"head_dim": config.hidden_size // config.num_attention_heads,
                        "n_kv_heads": config.num_key_value_heads,
                        "rotary_base": config.rope_theta,
                        "window": getattr(config, "sliding_window", 0)}}


def greedy(model, prompt):
    """The tokens and the logits that chose each. Without a cache: with one, this version drops a key
    too many once a prompt is longer than the window."""
    ids, logits = list(prompt), []
    for _ in range(golden.NEW):
        logits.append(model(torch.tensor([ids]), use_cache=False).logits[0, -1])
        ids.append(int(logits[-1].argmax()))
    return ids[len(prompt):], logits


@torch.no_grad()
def make(folder, kind, config, seed):
    """False when the greedy tokens would make a poor test."""
    torch.manual_seed(seed)
    model = kind(config).float().eval()
    randomise(model)
    ids = torch.randint(0, config.vocab_size, (golden.LENGTH,)).tolist()
    tokens, logits = greedy(model, ids[:golden.PROMPT])
    if not golden.good(tokens, logits):
        return False
    folder.mkdir(exist_ok=True)
    save_file(adder_weights(model.state_dict()), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(adder_config(config), indent=2) + "\n")
    losses = golden.losses(model, ids)
    golden.save(folder, ids, losses, tokens)
    return True


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for name, (kind, config) in CASES.items():
        next(seed for seed in range(1000) if make(here / f"attention-{name}", kind, config, seed))
