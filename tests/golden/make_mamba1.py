"""Makes the golden mamba1-* and falcon-mamba folders beside this file with Hugging Face transformers.

Each is as transformers saves it, with a golden.json (golden.py), its losses in double where transformers computes
so. Made with
transformers 4.57.6, torch 2.11.0 on a CPU (the plain path: no mamba_ssm installed).
"""

import pathlib

import torch
from transformers import FalconMambaConfig, FalconMambaForCausalLM, MambaConfig, MambaForCausalLM

import golden

CASES = {
    "mamba1-plain": dict(),
    "mamba1-bias": dict(use_bias=True, use_conv_bias=True, tie_word_embeddings=False, residual_in_fp32=False,
                        vocab_size=48),
    "mamba1-sizes": dict(state_size=5, conv_kernel=3, expand=3, time_step_rank=7, use_conv_bias=False,
                         layer_norm_epsilon=1e-2, num_hidden_layers=3, hidden_size=20),
    "falcon-mamba": dict(mixer_rms_eps=1e-3, expand=16, intermediate_size=64, tie_word_embeddings=False),
}
SIZES = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=16, expand=2)


def randomise(model):
    """transformers starts many parameters at ones or zeros, which would hide mistakes."""
    for name, p in model.named_parameters():
        noise = torch.randn_like(p)
        if name.endswith("embeddings.weight") or name == "lm_head.weight":
            p.data = 0.5 * noise
        elif name.endswith("norm_f.weight"):
            p.data = 2 * noise
        elif name.endswith("norm.weight"):
            p.data = 1 + 0.3 * noise
        elif name.endswith("A_log"):
            p.data += 0.5 * noise
        elif name.endswith(".D"):
            p.data = noise
        elif name.endswith("dt_proj.bias"):
            p.data = noise - 2
        elif name.endswith(".bias"):
            p.data = 0.2 * noise
        else:
            p.data *= 2


def make(folder, options, seed):
    """False when the greedy tokens make a poor test."""
    torch.manual_seed(seed)
    falcon = folder.name == "falcon-mamba"
    config = (FalconMambaConfig if falcon else MambaConfig)(**{**SIZES, **options})
    model = (FalconMambaForCausalLM if falcon else MambaForCausalLM)(config).float().eval()
    model.generation_config.eos_token_id = None
    randomise(model)
    model.tie_weights()
    ids = torch.randint(0, config.vocab_size, (golden.LENGTH,)).tolist()
    greedy = golden.greedy(model, ids)
    if greedy is None:
        return False
    model.save_pretrained(folder)
    golden.save(folder, ids, golden.losses(model.double(), ids), greedy)
    return True


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for name, options in CASES.items():
        next(seed for seed in range(1000) if make(here / name, options, seed))
