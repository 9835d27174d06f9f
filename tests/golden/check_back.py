"""Does transformers load what Adder saves, and compute the same?

  check_back.py GOLDEN SAVED [TOLERANCE]

GOLDEN: a mamba2-* folder beside this file. SAVED: the same model, read and saved again by Adder.
"""

import json
import pathlib
import sys

from transformers import AutoModelForCausalLM

from make_mamba2 import losses


def main(golden, saved, tolerance="1e-4"):
    model, report = AutoModelForCausalLM.from_pretrained(saved, output_loading_info=True)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    assert set(report["missing_keys"]) <= tied and not report["unexpected_keys"], report
    expected = json.loads((pathlib.Path(golden) / "golden.json").read_text())
    got = losses(model.float().eval(), expected["ids"])
    worst = max(abs(a - b) for a, b in zip(got, expected["losses"]))
    print(f"{saved}: largest deviation of a token's loss {worst:.2e}")
    sys.exit(worst > float(tolerance))


if __name__ == "__main__":
    main(*sys.argv[1:])
