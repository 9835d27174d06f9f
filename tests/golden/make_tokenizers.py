#!/usr/bin/env python3
"""Token ids by the reference libraries: `tokenizers` 0.22 and `sentencepiece` 0.2.

    make_tokenizers.py DATA     DATA: the folder that the tests call ADDER_TEST_DATA

Writes into tokenizers/ beside this file:
  llama3.json, llama2.model   small tokenizers of those kinds, trained here on a novel
  ids.json                    texts and their ids; long ones as counts and hashes
  variants.json               ids by llama3.json with other parts in it
  patterns.json               words that patterns of Oniguruma cut
  merges.json                 what the reference BPE trainer learns from a novel
"""
import json
import pathlib
import random
import sys
import tempfile

import numpy as np
import sentencepiece
import tokenizers
import xxhash
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent / "tokenizers"
DATA = pathlib.Path(sys.argv[1])
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def novel(name):
    # As it stands: open() would turn \r\n into \n.
    return (DATA / "books" / name).read_bytes().decode()


def train_llama3():
    made = Tokenizer(models.BPE(ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator([novel("dracula.txt")], trainers.BpeTrainer(
        vocab_size=900, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False))
    made.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                             "<|end_header_id|>", "<|eot_id|>"])
    made.add_tokens([tokenizers.AddedToken("Van Helsing", normalized=False),
                     tokenizers.AddedToken("<left>", lstrip=True, normalized=False),
                     tokenizers.AddedToken("<right>", rstrip=True, normalized=True),
                     tokenizers.AddedToken("whole", single_word=True, normalized=False)])
    bos = made.token_to_id("<|begin_of_text|>")
    made.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A",
                                      pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                      special_tokens=[("<|begin_of_text|>", bos)])])
    (HERE / "llama3.json").write_text(made.to_str(pretty=False), encoding="utf-8")
    return made


def train_llama2():
    with tempfile.TemporaryDirectory() as folder:
        lines = [line for line in novel("dracula.txt").splitlines() if line.strip()]
        (pathlib.Path(folder) / "text").write_text("\n".join(lines), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=f"{folder}/text", model_prefix=f"{folder}/m", model_type="bpe", vocab_size=900,
            byte_fallback=True, add_dummy_prefix=True, remove_extra_whitespaces=False,
            normalization_rule_name="identity", split_digits=True, character_coverage=0.9995,
            allow_whitespace_only_pieces=True, num_threads=1, minloglevel=2)
        (HERE / "llama2.model").write_bytes((pathlib.Path(folder) / "m.model").read_bytes())
    return sentencepiece.SentencePieceProcessor(model_file=str(HERE / "llama2.model"))


def hostile_texts():
    """Texts as lists of [piece, times]."""
    plain = [
        "", " ", "  ", "\n", "Hello, world! I'm here; they'll've gone. I'M HERE, THEY'LL, \u2019s",
        "a\rb\r\nc\r\r\n\n d \t e", " \t\n\r\n   ", "a\u00a0b\u00a0\u00a0 c\u3000d\u2003e\u180ef\u200bg",
        "nul \0 inside\0", "<|endoftext|><|padding|> <|endoftext|>x", "<eos><unk></s><s>[INST]",
        "<|begin_of_text|><|eot_id|>Van Helsing's Van  Helsing",
        "a <left> b  <left><left>", "a <right>  b <right>", "whole wholesome un-whole whole.",
        "   whole   <right>   <left>   Van Helsing   ", "e\u0301 \u00e9 \u1e9b\u0323 \u212b \u2126 \ufb01 A\u030a",
        "\u1100\u1161\u11a8 \uac01 \ud55c\uad6d\uc5b4", "q\u0307\u0323 q\u0323\u0307", "\u0958 \u2adc \u0f73",
        "\U0001f469\u200d\U0001f680\U0001f3fd \U0001f1e9\U0001f1ea \u2764\ufe0f\u20e3 \ufffd \ufeff",
        "\u05e9\u05dc\u05d5\u05dd \u202e right to left", "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u3053\u3093\u306b\u3061\u306f",
        "12345 1 22 333 4444 \u0661\u0662\u0663\u0664 \u2460\u2461 \u00bd\u00b2 IV\u2163", "a_b __init__ (x)->y; //\n\n\n  {\n\t}\n",
        "\u017fs'\u017f 'S 'Ll 'LL 're'RE", "\x85a\x1cb\x1fc\u2028d\u2029e", "tab\t\ttab   \t  x ",
        "\u2581\u2581 a\u2581b \u2581", "<0x0A>\n<0xE2>", "'", "''s", " '", "'s's", "\U00010330\U000e0001\U0010ffff\ue000",
        " leading", "trailing ", "two  spaces   three    four", "\n\n\nlines\n\n",
    ]
    texts = [[[text, 1]] for text in plain]
    texts += [[["e", 1], ["\u0301", 100000]], [["e", 1], ["\u0301\u0316", 50000], ["x", 1]],
              [["a", 1000000]], [["ab", 500000]], [[" ", 100000]], [["\n", 1000], [" ", 1000]],
              [["\U0001f600", 10000]], [["-", 5001]], [["aaaaaaab", 3000]], [["\u4f60\u597d", 20000]],
              [["the ", 20000]], [["<|endoftext|>", 1000]], [[" \u00a0", 5000], ["x", 1]]]
    rng = random.Random(4)
    blocks = ["abcxyzABC", " \t\n\r", "0123456789", "'\".,;:!?-_()[]{}<>|/\\@#$%", "sdtmlvre'",
              "\u00a0\u00e9\u00fc\u00df\u0130\u0131", "\u0300\u0301\u0323\u0327\u0345", "\u0391\u03b1\u1f00\u1f80",
              "\u0410\u0431\u0419", "\u05d0\u05b8\u0627\u064b\u0660", "\u0915\u094d\u093c", "\uac00\u1100\u1161\u11a7\u11a8",
              "\u4e00\u3042\u30ab\u3099\uff21", "\u2000\u2003\u2028\u200d\u2019\u2014", "\U0001f600\U0001f3fb\U00010400",
              "\u2160\u00b2\u2460\u0e50", "\u0378\ufdd0\U000e0100"]
    for _ in range(80):
        picked = rng.sample(blocks, 4)
        texts.append([["".join(rng.choice(rng.choice(picked)) for _ in range(24)), 1]])
    return texts


def byte_level(**options):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
            "use_regex": False} | options


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def variants():
    """Parts that are put into llama3.json, one after the other."""
    def pre(*stages):
        return {"pre_tokenizer": {"type": "Sequence",
                                  "pretokenizers": [*stages, byte_level()]}}
    words = {"Regex": r"\w+|\d|[^\w\s]"}
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            yield pre(split(words, behavior, invert))
            yield pre(split({"String": " "}, behavior, invert))
    yield pre(split({"Regex": "(?=[A-Z])"}, "Isolated"))
    yield pre(split({"Regex": "x*"}, "Isolated"), split({"Regex": r"^.|$"}, "MergedWithNext"))
    yield pre(split({"Regex": r"[^\s]+\s?|\S"}, "Isolated"))
    for each in (False, True):
        yield pre({"type": "Digits", "individual_digits": each})
    for scheme in ("always", "first", "never"):
        for cut in (False, True):
            yield pre({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme,
                       "split": cut})
    yield {"pre_tokenizer": byte_level(use_regex=True, add_prefix_space=True)}
    yield {"pre_tokenizer": byte_level(add_prefix_space=True)}
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield {"normalizer": {"type": form}}
    yield {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Prepend", "prepend": "_"}, {"type": "NFKC"},
        {"type": "Replace", "pattern": {"String": "a"}, "content": "bb"}]}}


def variant_rows(base):
    texts = ["Hello  World, it's 1234 o'clock x\nNEXT day ", " \u00bd \ufb01 e\u0301\u0323 \u2460\u00b2x",
             "a<right>  b <left>c Van Helsing d", "", "  ", "\u2581a \u2581", "\u00c5\u0f73\u1100\u1161\u11a8 \u3000."]
    for patch in variants():
        made = Tokenizer.from_str(json.dumps(json.loads(base.to_str()) | patch))
        yield {"patch": patch, "texts": texts, "ids": [ids_of(made, text, False) for text in texts]}


PATTERNS = [
    (r"\p{N}{1,3}+", "x 1234567 y"), (r"a{,2}b", "aaab a{,2}b"), (r"a{2}?b", "ab aab aaab"),
    (r"(ab|c){1,2}+d", "ababcd abd xd"), (r"a{x}|{", "a{x} {a"),
    (r"\p{Han}+", "\u6f22\u5b57\u3001\u6f22\u30fc\u3005\u3007 \u30c6"),
    (r"\p{Latin}+", "a\u00aa\u00b7ba\u0301b\u0363c"), (r"\P{Katakana}+", "\u30ab\u30fb\u30ca\u30fcx\u309b"),
    (r"\p{^Lu}+", "HelloWorld"), (r"\p{Alphabetic}+", "a\u0345b\u2160"), (r"(?i:'s|'ll)", "a'S b'Ll"),
    (r"a$", "a\na\r\na"), (r"^", "a\nb\n"), (r"\s+|\S", "a\u180eb\u0085c\u200bd"),
    (r"[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+",
     "HelloWorld isn't 12345  x//\n\n  z\n\n\n q")]


def pattern_rows():
    """The pieces between all borders, by a Split that isolates what it finds."""
    for pattern, text in PATTERNS:
        found = pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text)
        yield {"pattern": pattern, "text": text, "words": [piece for piece, _ in found]}


def class_hash():
    """Letter 1, number 2, white space 3, else 0, of every character, as the regexes see them."""
    classes = np.zeros(0x110000, np.uint8)
    for value, pattern in ((1, r"\p{L}"), (2, r"\p{N}"), (3, r"\s")):
        finder = pre_tokenizers.Split(Regex(pattern), "isolated")
        for base in range(0, 0x110000, 0x2000):
            text = "".join("\x01" + chr(c) for c in range(base, base + 0x2000)
                           if not 0xD800 <= c < 0xE000)
            for piece, (begin, end) in finder.pre_tokenize_str(text) if text else ():
                if end - begin == 1 and piece != "\x01":
                    classes[ord(piece)] = value
    return xxhash.xxh3_128_hexdigest(classes.tobytes())


def expected(ids):
    if len(ids) <= 48:
        return {"ids": ids}
    return {"count": len(ids), "hash": xxhash.xxh3_128_hexdigest(np.asarray(ids, "<i4").tobytes())}


def ids_of(tokenizer, text, parsed):
    tokenizer.encode_special_tokens = not parsed
    return tokenizer.encode(text, add_special_tokens=False).ids


def main():
    HERE.mkdir(exist_ok=True)
    neox = Tokenizer.from_file(str(DATA / "tokenizer" / "gpt-neox-20b.json"))
    llama3, llama2 = train_llama3(), train_llama2()
    texts, novels = [], []
    for parts in hostile_texts():
        text = "".join(piece * times for piece, times in parts)
        entry = {"text": parts}
        for name, tokenizer in (("neox", neox), ("llama3", llama3)):
            plain, parsed = (expected(ids_of(tokenizer, text, how)) for how in (False, True))
            entry[name] = plain
            if parsed != plain:
                entry[name + "_parsed"] = parsed
        entry["llama2"] = expected(llama2.encode(text))
        texts.append(entry)
    for path in sorted((DATA / "books").glob("*.txt")):
        text = novel(path.name)
        novels.append({"file": path.name, "neox": expected(ids_of(neox, text, False)),
                       "llama3": expected(ids_of(llama3, text, False)),
                       "llama2": expected(llama2.encode(text))})
    lines = lambda rows: "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"
    (HERE / "ids.json").write_text(
        f'{{"texts": {lines(texts)},\n"novels": {lines(novels)},\n"classes": "{class_hash()}"}}\n')
    (HERE / "variants.json").write_text(lines(variant_rows(llama3)) + "\n")

    (HERE / "patterns.json").write_text(lines(pattern_rows()) + "\n")

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.train_from_iterator([novel("moby-dick.txt")], trainers.BpeTrainer(
        vocab_size=4096, min_frequency=2, special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    merges = json.loads(made.to_str())["model"]["merges"]
    text = "\n".join(a + " " + b for a, b in merges)
    (HERE / "merges.json").write_text(json.dumps(
        {"novel": "moby-dick.txt", "merges": len(merges), "hash": xxhash.xxh3_128_hexdigest(
            text.encode()), "first": merges[:40]}) + "\n")


if __name__ == "__main__":
    main()
