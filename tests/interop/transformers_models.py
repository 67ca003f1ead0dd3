"""Runs where transformers is: writes small models as older releases did, pickled, and loads their conversions.

transformers 5 writes safetensors only; the pickled form (one file, or shards and an index) is made here as release 4
made it with `safe_serialization=False`, by the same function of huggingface_hub.
"""

import json
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

lightning, torch, transformers = map(import_module, ("lightning", "torch", "transformers"))
load_file, save_file = attrgetter("load_file", "save_file")(import_module("safetensors.torch"))
split_torch_state_dict_into_shards = import_module("huggingface_hub").split_torch_state_dict_into_shards

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 50}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "vocab_size": 50}


MISSING = {"bert-mlm": {"pooler.dense.weight", "pooler.dense.bias"}}
"""what a bare model has and the one that was saved has not"""


def models() -> dict[str, Any]:
    """Return a model of each kind; those for text generation tie their embeddings."""
    torch.manual_seed(20261123)
    bert = transformers.BertConfig(**SMALL, intermediate_size=24)
    llama = transformers.LlamaConfig(**SMALL, intermediate_size=24)
    return {
        "bert": transformers.BertModel(bert),
        "bert-mlm": transformers.BertForMaskedLM(bert),
        "gpt2": transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=50)),
        "llama": transformers.LlamaForCausalLM(llama).to(torch.bfloat16),
        "t5": transformers.T5ForConditionalGeneration(transformers.T5Config(**T5)),
    }


def write(folder: Path) -> None:
    """Write every model, whole and in shards."""
    for name, model in models().items():
        model.config.architectures = [type(model).__name__]
        for form, size in (("whole", "1GB"), ("shards", "8KB")):
            target = folder / f"{name}-{form}"
            model.config.save_pretrained(target)
            state = model.state_dict()
            split = split_torch_state_dict_into_shards(
                state, filename_pattern="pytorch_model{suffix}.bin", max_shard_size=size
            )
            for file, keys in split.filename_to_tensors.items():
                torch.save({key: state[key] for key in keys}, target / file)
            if split.is_sharded:
                assert len(split.filename_to_tensors) > 1
                index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
                (target / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def same(where: str, expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Compare names, types and every element."""
    assert expected.keys() == found.keys(), (where, expected.keys() ^ found.keys())
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, (where, name)
        assert torch.equal(found[name], tensor), (where, name)


def write_checkpoints(folder: Path) -> None:
    """Write one model as training leaves it behind, and in every container torch writes."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)).eval()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    state = model.state_dict()
    save_file(state, folder / "expected.safetensors")
    torch.save(state, folder / "plain.pt")
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"model": state, "optimizer": optimizer.state_dict(), "epoch": 3}, folder / "training.pt")
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    torch.save(model, folder / "module.pt")
    torch.save(model, folder / "module-legacy.pt", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.trace(model, torch.ones(1, 3)), folder / "script.pt")
    moments = {f"state.{index}.{name}": value for index, one in optimizer.state_dict()["state"].items()
               for name, value in one.items()}  # fmt: skip
    save_file(moments, folder / "expected-optimizer.safetensors")

    base: Any = lightning.LightningModule

    class Lit(base):  # type: ignore[misc]  # not installed where types are checked
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def training_step(self, batch: Any) -> Any:
            return self.net(batch).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    trainer = lightning.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(Lit(), torch.utils.data.DataLoader(torch.ones(4, 3)))
    trainer.save_checkpoint(folder / "lightning.ckpt")
    save_file(Lit().state_dict(), folder / "expected-lightning.safetensors")


def load_checkpoints(folder: Path) -> None:
    """Compare every conversion with what was written."""
    for name in ("plain", "legacy", "training", "module", "module-legacy", "script", "optimizer", "lightning"):
        special = folder / f"expected-{name}.safetensors"
        expected = load_file(special if special.exists() else folder / "expected.safetensors")
        found = load_file(folder / f"{name}.safetensors")
        found = {key: tensor for key, tensor in found.items() if not key.startswith("CONSTANTS.")}
        same(name, expected, found)


def load(folder: Path) -> None:
    """Load every conversion; each must be the model that was written, bit by bit."""
    for name, model in models().items():
        for form in ("whole", "shards"):
            target = folder / f"{name}-{form}"
            loaded, info = type(model).from_pretrained(
                target, use_safetensors=True, output_loading_info=True, dtype="auto"
            )
            assert not any(info.values()), (target.name, info)
            same(target.name, model.state_dict(), loaded.state_dict())
            for file in target.glob("*.safetensors"):
                assert load_file(file), file
            _, info = transformers.AutoModel.from_pretrained(target, use_safetensors=True, output_loading_info=True)
            assert info["missing_keys"] <= MISSING.get(name, set()), (target.name, info)


if __name__ == "__main__":
    steps = {"write": write, "load": load, "write-checkpoints": write_checkpoints, "load-checkpoints": load_checkpoints}
    steps[sys.argv[1]](Path(sys.argv[2]))
