"""Do torch and transformers load what Adder saves, and compute the same?

  check_back.py GOLDEN SAVED [TOLERANCE]

GOLDEN: a folder beside this file with a golden.json. SAVED: the same model, read and saved again by Adder: in Hugging
Face's layout, or in the Mamba authors' (then its pytorch_model.bin must hold GOLDEN's tensors bit for bit, tied ones
in one storage, under the authors' names).
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import golden as golden_file


def weights(folder):
    """By the Mamba authors' names."""
    stored = folder / "pytorch_model.bin"
    tensors = torch.load(stored, weights_only=True) if stored.exists() else load_file(folder / "model.safetensors")
    return {name.replace("embeddings", "embedding"): tensor for name, tensor in tensors.items()}


def check_transformers(golden, saved, tolerance):
    model, report = AutoModelForCausalLM.from_pretrained(saved, output_loading_info=True)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    assert set(report["missing_keys"]) <= tied and not report["unexpected_keys"], report
    expected = json.loads((golden / "golden.json").read_text())
    got = golden_file.losses(model.float().eval(), expected["ids"])
    worst = max(abs(a - b) for a, b in zip(got, expected["losses"]))
    print(f"{saved}: largest deviation of a token's loss {worst:.2e}")
    return worst <= tolerance


def check_original(golden, saved):
    expected, got = weights(golden), weights(saved)
    config = json.loads((saved / "config.json").read_text())
    embedding, head = got["backbone.embedding.weight"], got["lm_head.weight"]
    assert len(embedding) % config["pad_vocab_size_multiple"] == 0
    assert (head.data_ptr() == embedding.data_ptr()) == config["tie_embeddings"]
    expected.setdefault("lm_head.weight", expected["backbone.embedding.weight"])
    same = expected.keys() == got.keys() and all(
        t.dtype == got[n].dtype and torch.equal(t, got[n]) for n, t in expected.items())
    print(f"{saved}: {len(got)} tensors, {'equal' if same else 'NOT equal'}")
    return same


def main(golden, saved, tolerance="1e-4"):
    golden, saved = pathlib.Path(golden), pathlib.Path(saved)
    original = (saved / "pytorch_model.bin").exists()
    fine = check_original(golden, saved) if original else check_transformers(golden, saved, float(tolerance))
    sys.exit(not fine)


if __name__ == "__main__":
    main(*sys.argv[1:])
