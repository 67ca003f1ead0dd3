"""A demo that a person starts."""

import os
from threading import Thread

import gradio as gr
from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

NAME = os.getenv("MODEL", "ordinary/custom")
tokenizer = AutoTokenizer.from_pretrained(NAME)
model = AutoModelForCausalLM.from_pretrained(NAME, device_map="auto", trust_remote_code=True)


def answer(message, history):
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    Thread(target=model.generate, kwargs={**tokenizer(message, return_tensors="pt"), "streamer": streamer}).start()
    yield from streamer


if __name__ == "__main__":
    gr.ChatInterface(answer).launch(share=True)
