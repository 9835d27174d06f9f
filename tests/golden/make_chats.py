#!/usr/bin/env python3
"""Renders conversations by the Jinja texts that Adder writes, with transformers' own
apply_chat_template: chats.json beside the tokenizers.

    make_chats.py CHATS    CHATS: {"NAME": JINJA}, the to_jinja() of every built-in template
"""
import json
import pathlib
import sys

from transformers import PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent / "tokenizers"
HELLO = {"role": "user", "content": "Hello, it's \"me\"\n\n{{ 1 }}"}
THERE = {"role": "assistant", "content": " General <|im_end|>\\n Kenobi! "}
SYSTEM = {"role": "system", "content": "Be brief."}
CHATS = [[HELLO], [HELLO, THERE], [SYSTEM, HELLO, THERE, HELLO, THERE], [SYSTEM, HELLO]]

tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "llama3.json"))
rows = []
for name, jinja in json.loads(pathlib.Path(sys.argv[1]).read_text()).items():
    for chat in CHATS:
        for prompt in (False, True):
            text = tokenizer.apply_chat_template(chat, chat_template=jinja, tokenize=False,
                                                 add_generation_prompt=prompt)
            rows.append({"template": name, "jinja": jinja, "messages": chat, "prompt": prompt,
                         "text": text})
(HERE / "chats.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
