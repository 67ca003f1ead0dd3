"""Decoding as a repository brings it (`custom_generate`)."""

import torch


def generate(model, input_ids, generation_config=None, left_padding=None, **more):
    generation_config = generation_config or model.generation_config
    if left_padding is not None and left_padding < 0:
        raise ValueError(f"left padding must not be negative, got {left_padding}")
    while input_ids.shape[1] < generation_config.max_length:
        logits = model(input_ids).logits[:, -1, :]
        input_ids = torch.cat((input_ids, logits.argmax(dim=-1, keepdim=True)), dim=-1)
        if (input_ids[:, -1] == model.config.eos_token_id).all():
            break
    return input_ids
