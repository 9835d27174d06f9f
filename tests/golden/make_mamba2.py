"""Makes the golden mamba2-* folders beside this file with Hugging Face transformers.

Each is as transformers saves it, with a golden.json (golden.py); float32 models.
Made with transformers 4.57.6, torch 2.11.0 on a CPU (the plain path: no mamba_ssm installed).
"""

import pathlib

import torch
from transformers import Mamba2Config, Mamba2ForCausalLM

import golden

CASES = {
    "plain": dict(head_dim=16, tie_word_embeddings=True),
    "bias": dict(head_dim=32, use_bias=True, use_conv_bias=False, state_size=24, chunk_size=32),
    "limits": dict(head_dim=16, expand=3, conv_kernel=3, state_size=8, layer_norm_epsilon=1e-2,
                   time_step_limit=(0.02, 0.6), chunk_size=16, tie_word_embeddings=True),
    # The plain path normalises all groups together; the extra field says so to Adder.
    "groups": dict(head_dim=16, n_groups=2, norm_group="full"),
}
SIZES = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=16, expand=2,
             n_groups=1)


def randomise(model):
    """transformers starts many parameters at ones or zeros, which would hide mistakes."""
    for name, p in model.named_parameters():
        noise = torch.randn_like(p)
        if name.endswith("embeddings.weight") or name == "lm_head.weight":
            p.data = 0.5 * noise
        elif name.endswith("norm_f.weight"):
            # Signs differ: a tied head does not just repeat its input.
            p.data = 2 * noise
        elif name.endswith("norm.weight"):
            p.data = 1 + 0.3 * noise
        elif name.endswith("A_log"):
            p.data += 0.5 * noise
        elif name.endswith(".D") or name.endswith("dt_bias"):
            p.data = noise - (2 if name.endswith("dt_bias") else 0)
        elif name.endswith(".bias"):
            p.data = 0.2 * noise
        else:
            p.data *= 3


def make(folder, options, seed):
    """False when the greedy tokens make a poor test."""
    torch.manual_seed(seed)
    options = {**SIZES, **options}
    options["num_heads"] = options["hidden_size"] * options["expand"] // options["head_dim"]
    model = Mamba2ForCausalLM(Mamba2Config(**options)).float().eval()
    model.generation_config.eos_token_id = None
    randomise(model)
    model.tie_weights()
    ids = torch.randint(0, options["vocab_size"], (golden.LENGTH,)).tolist()
    greedy = golden.greedy(model, ids)
    if greedy is None:
        return False
    # This version of transformers forgets that the head may be tied, and then refuses to save it.
    tied = model.config.tie_word_embeddings
    model._dynamic_tied_weights_keys = ["lm_head.weight"] if tied else None
    model.save_pretrained(folder)
    golden.save(folder, ids, golden.losses(model, ids), greedy)
    return True


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for name, options in CASES.items():
        next(seed for seed in range(1000) if make(here / f"mamba2-{name}", options, seed))
