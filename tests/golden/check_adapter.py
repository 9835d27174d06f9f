"""Does PEFT load the adapters that Adder saves, and compute what Adder's merged model computes?

  check_adapter.py BASE CHECKPOINT [TOLERANCE]

BASE: the model that training started from (train.init). CHECKPOINT: of a run with train.lora, which holds the
merged model and adapter/. PEFT refuses adapters of out_proj on Mamba models: train with train.lora.targets =
["in_proj"], or set PEFT_ANY=1 to take that check of PEFT's out of the way.

Passed with peft 0.21.2, transformers 4.57.6, torch 2.11.0.
"""

import os
import pathlib
import sys

import torch
from peft import PeftModel
from peft.tuners import tuners_utils
from transformers import AutoModelForCausalLM

from golden import losses


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder).float().eval()


def main(base, checkpoint, tolerance="1e-4"):
    if os.environ.get("PEFT_ANY"):
        tuners_utils._check_lora_target_modules_mamba = lambda *args: None
    merged = load(checkpoint)
    plain = load(base)
    torch.manual_seed(0)
    ids = torch.randint(0, merged.config.vocab_size, (200,)).tolist()
    before = losses(plain, ids)
    adapted = PeftModel.from_pretrained(plain, pathlib.Path(checkpoint) / "adapter").eval()
    got, expected = losses(adapted, ids), losses(merged, ids)
    worst = max(abs(a - b) for a, b in zip(got, expected))
    change = max(abs(a - b) for a, b in zip(before, expected))
    print(f"largest deviation of a token's loss {worst:.2e}; the adapters change one by up to {change:.2e}")
    sys.exit(worst > float(tolerance) or change < 100 * float(tolerance))


if __name__ == "__main__":
    main(*sys.argv[1:])
