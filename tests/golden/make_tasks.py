"""Makes tasks.jsonl and tasks.golden.json in the folder mamba2-plain beside this file: multiple-choice and cloze
items and what they come to, scored by hand with Hugging Face transformers as lm-evaluation-harness (0.4) does.

The tokenizer has a token for each character: its id is the character's place in "characters". golden.json holds
  characters, start   the tokenizer; the token that stands for an empty context
  items               for each line: the log-likelihood of each choice (or of the target), which one is best by
                      the sum, by sum / characters, by sum / bytes; whether a target is greedy
  scores              the figures of the whole file

Made with transformers 4.57.6, torch 2.11.0 on a CPU (the plain path: no mamba_ssm installed).
"""

import json
import math
import pathlib
import random
import statistics

import torch
from transformers import Mamba2ForCausalLM

CHARACTERS = " abcdefghijklmnopqrstuvwxyz.,!?'-\u00e4\u00e9\u00f6\u0416\u03b1\u6f22\u5b57\U0001f40d"
START = 0
HERE = pathlib.Path(__file__).parent / "mamba2-plain"


def encode(text):
    return [CHARACTERS.index(c) for c in text]


def score(model, context, continuation):
    """(log-likelihood, greedy) of the harness's _encode_pair and _loglikelihood_tokens."""
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole = encode(context + continuation)
    before = encode(context)
    ids = whole[len(before):]
    before = before or [START]
    with torch.no_grad():
        logits = model(torch.tensor([before + ids[:-1]]), use_cache=False).logits[0].double()
    logits = logits[-len(ids):]
    picked = torch.log_softmax(logits, -1)[torch.arange(len(ids)), torch.tensor(ids)]
    return float(picked.sum()), logits.argmax(-1).tolist() == ids


def greedy_text(model, context, count):
    """None when one of the likeliest tokens has no character."""
    for _ in range(count):
        with torch.no_grad():
            token = int(model(torch.tensor([encode(context)]), use_cache=False).logits[0, -1].argmax())
        if token >= len(CHARACTERS):
            return None
        context += CHARACTERS[token]
    return context[-count:]


def text(rng, shortest, longest):
    return "".join(rng.choice(CHARACTERS) for _ in range(rng.randint(shortest, longest)))


def word(rng, shortest, longest):
    return "".join(rng.choice(CHARACTERS[1:]) for _ in range(rng.randint(shortest, longest)))


def make_items(model, rng):
    items = []
    for i in range(24):
        item = dict(context=text(rng, 3, 40), choices=[word(rng, 1, 9) for _ in range(rng.randint(2, 5))])
        item["gold"] = rng.randrange(len(item["choices"]))
        if i % 4 == 1:
            item["context"] += "   "[:rng.randint(1, 3)]
            item["delimiter"] = ""
        if i % 6 == 2:
            item["delimiter"] = ", "
        if i % 8 == 3:
            item["query"] = item.pop("context")
        if i == 7:
            item["context"] = ""
            item.pop("query", None)
        items.append(item)
    for i in range(12):
        target = None
        while not target:
            context = text(rng, 5, 60).rstrip()
            target = greedy_text(model, context, rng.randint(1, 3)) if i % 2 else word(rng, 1, 5)
        items.append(dict(context=context, target=target, delimiter="" if i % 2 else " "))
    return items


def best(values):
    return values.index(max(values))


def share(flags):
    p = sum(flags) / len(flags)
    return p, math.sqrt(p * (1 - p) / (len(flags) - 1))


def score_items(model, items):
    results = []
    for item in items:
        context = item.get("context", item.get("query"))
        delimiter = item.get("delimiter", " ")
        if "target" in item:
            value, greedy = score(model, context, delimiter + item["target"])
            results.append(dict(log_probability=value, greedy=greedy))
            continue
        values = [score(model, context, delimiter + choice)[0] for choice in item["choices"]]
        results.append(dict(
            log_probabilities=values, gold=item["gold"], best=best(values),
            best_norm=best([v / len(c) for v, c in zip(values, item["choices"])]),
            best_bytes=best([v / len(c.encode()) for v, c in zip(values, item["choices"])])))
    return results


def summary(results):
    choices = [r for r in results if "gold" in r]
    clozes = [r for r in results if "gold" not in r]
    scores = dict(choices=dict(items=len(choices)), cloze=dict(items=len(clozes)))
    for name, key in (("acc", "best"), ("acc_norm", "best_norm"), ("acc_bytes", "best_bytes")):
        p, error = share([r[key] == r["gold"] for r in choices])
        scores["choices"][name], scores["choices"][name + "_stderr"] = p, error
    p, error = share([r["greedy"] for r in clozes])
    scores["cloze"]["acc"], scores["cloze"]["acc_stderr"] = p, error
    values = [r["log_probability"] for r in clozes]
    perplexity = math.exp(-statistics.mean(values))
    scores["cloze"]["perplexity"] = perplexity
    scores["cloze"]["perplexity_stderr"] = perplexity * statistics.stdev(values) / math.sqrt(len(values))
    return scores


def make(seed):
    """False when the three ways to choose hardly differ: it would be a poor test."""
    rng = random.Random(seed)
    items = make_items(model, rng)
    results = score_items(model, items)
    scores = summary(results)
    shares = {round(scores["choices"][name], 6) for name in ("acc", "acc_norm", "acc_bytes")}
    if len(shares) < 3 or not 0 < scores["cloze"]["acc"] < 1:
        return False
    lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in items]
    (HERE / "tasks.jsonl").write_text("".join(lines))
    golden = dict(characters=CHARACTERS, start=START, items=results, scores=scores)
    (HERE / "tasks.golden.json").write_text(json.dumps(golden) + "\n")
    return True


if __name__ == "__main__":
    model = Mamba2ForCausalLM.from_pretrained(HERE).float().eval()
    print("seed", next(seed for seed in range(1000) if make(seed)))
