"""Make the two example models once, with torch 2.13: `python make_examples.py` in an environment that has torch.

`tiny-lm` is an ordinary training checkpoint: a small language model with tied weights and its optimizer state.
`tiny-lm-hostile` is the same checkpoint with one more object in it, whose unpickling would run `echo`. Writing such an
object executes nothing; loading it would. Nobody loads it here.
"""

import json
import os
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent
VOCABULARY, WIDTH, LAYERS = 256, 48, 2


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.attention_in = nn.Linear(WIDTH, 3 * WIDTH)
        self.attention_out = nn.Linear(WIDTH, WIDTH)
        self.mlp_norm = nn.LayerNorm(WIDTH)
        self.mlp_in = nn.Linear(WIDTH, 4 * WIDTH)
        self.mlp_out = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.attention_in(self.attention_norm(x)).chunk(3, dim=-1)
        x = x + self.attention_out(nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True))
        return x + self.mlp_out(nn.functional.gelu(self.mlp_in(self.mlp_norm(x))))


class TinyLanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.head.weight = self.embedding.weight  # tied

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Echo:
    """What an attacker hides in a checkpoint; this one would only print."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo this checkpoint just ran a command on your machine",)


def train() -> tuple[TinyLanguageModel, torch.optim.Optimizer]:
    torch.manual_seed(20261123)
    model = TinyLanguageModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    text = torch.tensor(list(Path(__file__).read_bytes()), dtype=torch.long)
    for _ in range(20):
        starts = torch.randint(0, len(text) - 65, (8,)).tolist()
        batch = torch.stack([text[start : start + 65] for start in starts])
        loss = nn.functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, optimizer


CARD = """# tiny-lm

A language model of two layers over bytes, trained for twenty steps. It exists to be scanned, converted, signed and
verified; it knows nothing.
"""

HOSTILE_CARD = """# tiny-lm-hostile

The checkpoint of `tiny-lm` with one more object: unpickling it would run `echo`. Scan it; never load it.
"""


def main() -> None:
    model, optimizer = train()
    checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 20}
    config = {
        "architectures": ["TinyLanguageModel"],
        "hidden_size": WIDTH,
        "model_type": "tiny-lm",
        "num_hidden_layers": LAYERS,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "vocab_size": VOCABULARY,
    }
    for name, card, extra in (("tiny-lm", CARD, {}), ("tiny-lm-hostile", HOSTILE_CARD, {"hook": Echo()})):
        directory = HERE / name
        directory.mkdir(exist_ok=True)
        torch.save({**checkpoint, **extra}, directory / "pytorch_model.bin")
        (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        (directory / "README.md").write_text(card)


if __name__ == "__main__":
    main()
