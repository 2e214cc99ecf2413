"""A small GPT stack: tokenizer, model, inference engine and calculator.

Import the modules themselves (`from nanochat.gpt import GPT`). This file imports none of them, so that a
module that does not import leaves the others usable.
"""
