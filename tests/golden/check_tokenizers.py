#!/usr/bin/env python3
"""Loads tokenizer.json files that Adder wrote with the reference library and compares ids.

    check_tokenizers.py NAME FILE ...    NAME: neox, llama3 or llama2, as in tokenizers/ids.json
"""
import json
import pathlib
import sys

import numpy as np
import xxhash
from tokenizers import Tokenizer

GOLDEN = json.loads((pathlib.Path(__file__).parent / "tokenizers" / "ids.json").read_text())
for name, file in zip(sys.argv[1::2], sys.argv[2::2]):
    tokenizer = Tokenizer.from_file(file)
    tokenizer.encode_special_tokens = True
    wrong = 0
    for entry in GOLDEN["texts"]:
        text = "".join(piece * times for piece, times in entry["text"])
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        want = entry[name]
        same = ids == want["ids"] if "ids" in want else (
            xxhash.xxh3_128_hexdigest(np.asarray(ids, "<i4").tobytes()) == want["hash"])
        if not same:
            wrong += 1
            print(name, str(entry["text"])[:100], ids[:20], str(want)[:100])
    print(f"{name}: {len(GOLDEN['texts'])} texts, {wrong} with other ids")
