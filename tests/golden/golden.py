"""What the make_*.py scripts here share.

Each folder that they make is a small model with random weights, and golden.json:
  ids     a random text
  losses  nats of ids[1:], each given the ids before it (log-softmax in double)
  prompt  how many of the ids are the prompt of
  greedy  64 tokens, each the most likely one
"""

import json

import torch

PROMPT, LENGTH, NEW = 20, 100, 64
LEAST_KINDS, LEAST_GAP = 16, 1e-2  # greedy tokens of fewer kinds, or almost undecided, test little


def losses_of(logits, ids):
    """Of the ids after the first; logits: (len(ids), vocabulary)."""
    picked = torch.log_softmax(logits[:-1].double(), -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    return (-picked).tolist()


def losses(model, ids):
    """The same of a model of transformers."""
    with torch.no_grad():
        return losses_of(model(torch.tensor([ids]), use_cache=False).logits[0], ids)


def greedy(model, ids):
    """The tokens after the prompt; None when they would make a poor test."""
    out = model.generate(torch.tensor([ids[:PROMPT]]), max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False,
                         output_logits=True, return_dict_in_generate=True, pad_token_id=0)
    tokens = out.sequences[0, PROMPT:].tolist()
    return tokens if good(tokens, [t[0] for t in out.logits]) else None


def good(greedy, logits):
    """Do these tokens, and the logits that chose each, make a test?"""
    return len(set(greedy)) >= LEAST_KINDS and min(float(t.topk(2).values.diff().abs()) for t in logits) > LEAST_GAP


def save(folder, ids, losses, greedy):
    (folder / "golden.json").write_text(json.dumps(dict(ids=ids, losses=losses, prompt=PROMPT, greedy=greedy)) + "\n")
