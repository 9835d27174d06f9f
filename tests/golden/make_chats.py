#!/usr/bin/env python3
"""Renders conversations by the Jinja texts that Adder writes, with transformers' own
apply_chat_template: chats.json beside the tokenizers.

    make_chats.py CHATS    CHATS: {"NAME": JINJA}, the to_jinja() of every built-in template

Beside each text are its ids by tokenizers of the template's kind, where words neither hold control
texts nor begin or end in white space.
"""
import json
import pathlib
import sys

from transformers import AddedToken, LlamaTokenizerFast, PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent / "tokenizers"
HELLO = {"role": "user", "content": "Hello, it's \"me\"\n\n{{ 1 }}"}
THERE = {"role": "assistant", "content": " General <|im_end|>\\n Kenobi! "}
SYSTEM = {"role": "system", "content": "Be brief."}
REPLY = {"role": "assistant", "content": "General Kenobi!"}
TOLD = [[HELLO], [HELLO, REPLY], [SYSTEM, HELLO, REPLY, HELLO], [SYSTEM, HELLO]]
CHATS = [[HELLO], [HELLO, THERE], [SYSTEM, HELLO, THERE, HELLO, THERE], [SYSTEM, HELLO]]

tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "llama3.json"))
chatml = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "llama3.json"))
chatml.add_tokens([AddedToken(text, normalized=False, special=True)
                   for text in ("<|im_start|>", "<|im_end|>")])
kinds = {"llama3": tokenizer, "chatml": chatml,
         "llama2": LlamaTokenizerFast(vocab_file=str(HERE / "llama2.model"), legacy=True,
                                    from_slow=True, add_prefix_space=True)}
rows = []
for name, jinja in json.loads(pathlib.Path(sys.argv[1]).read_text()).items():
    for chat in CHATS + [told for told in TOLD if name in kinds and told not in CHATS]:
        for prompt in (False, True):
            made = lambda by, ids: by.apply_chat_template(
                chat, chat_template=jinja, tokenize=ids, add_generation_prompt=prompt)
            rows.append({"template": name, "jinja": jinja, "messages": chat, "prompt": prompt,
                         "text": made(tokenizer, False)})
            if name in kinds and chat in TOLD:
                rows[-1]["ids"] = made(kinds[name], True)
(HERE / "chats.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
