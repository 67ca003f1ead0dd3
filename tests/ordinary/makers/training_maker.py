"""transformers' training_args.bin and schedulers, Lightning checkpoints, spaCy blank pipelines, catboost."""

import pickle
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

warnings.simplefilter("ignore")
OUT = Path(sys.argv[1])

from transformers import BertConfig, TrainingArguments, get_linear_schedule_with_warmup

arguments = TrainingArguments(output_dir="out", learning_rate=5e-5, report_to=[], use_cpu=True)
torch.save(arguments, OUT / "training_args.bin")
model = nn.Linear(2, 2)
optimizer = torch.optim.AdamW(model.parameters())
torch.save(get_linear_schedule_with_warmup(optimizer, 1, 10).state_dict(), OUT / "scheduler.pt")
torch.save({"python": (3, (1, 2), None), "cpu": torch.random.get_rng_state()}, OUT / "rng_state.pth")
BertConfig(hidden_size=8, num_attention_heads=2).save_pretrained(OUT / "bert")

import lightning

class Lit(lightning.LightningModule):
    """A module of one layer."""

    def __init__(self, width=2):
        super().__init__()
        self.save_hyperparameters()
        self.layer = nn.Linear(width, width)

    def training_step(self, batch, _):
        """Return a loss."""
        return self.layer(batch).sum()

    def configure_optimizers(self):
        """Return the optimizer."""
        return torch.optim.Adam(self.parameters())


trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer.fit(Lit(), torch.utils.data.DataLoader(torch.ones(4, 2), batch_size=2))
trainer.save_checkpoint(OUT / "lightning.ckpt")

import spacy

nlp = spacy.blank("en")
nlp.add_pipe("sentencizer")
nlp.to_disk(OUT / "spacy")
(OUT / "spacy.pkl").write_bytes(pickle.dumps(nlp))

from catboost import CatBoostClassifier

cat = CatBoostClassifier(iterations=2, verbose=0, allow_writing_files=False).fit([[0], [1], [2], [3]], [0, 1, 0, 1])
cat.save_model(str(OUT / "model.cbm"))
(OUT / "catboost.pkl").write_bytes(pickle.dumps(cat))
