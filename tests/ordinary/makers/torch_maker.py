"""torch in all its save forms."""

import io
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

OUT = Path(sys.argv[1])
torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 8), nn.Dropout(), nn.GELU(),
    nn.LayerNorm(8), nn.Linear(8, 2),
)  # fmt: skip
loss = model(torch.ones(2, 1, 8, 8)).sum()
loss.backward()
torch.save(model.state_dict(), OUT / "state_dict.pt")
torch.save(model.state_dict(), OUT / "state_dict-legacy.pth", _use_new_zipfile_serialization=False)
torch.save(model, OUT / "module.pt")
torch.save(model, OUT / "module-legacy.pt", _use_new_zipfile_serialization=False)
torch.save(nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 2), OUT / "transformer.pt")
torch.save(nn.LSTM(4, 4), OUT / "lstm.pt")
for protocol in range(2, 6):
    torch.save(model.state_dict(), OUT / f"state_dict-protocol{protocol}.pt", pickle_protocol=protocol)
for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam", "RAdam", "LBFGS"):
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.01)
    if name != "LBFGS":
        optimizer.step()
    torch.save(optimizer.state_dict(), OUT / f"optimizer-{name}.pt")
    torch.save(optimizer, OUT / f"optimizer-object-{name}.pt")
optimizer = torch.optim.Adam(model.parameters())
schedulers = {
    "step": torch.optim.lr_scheduler.StepLR(optimizer, 2),
    "cosine": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4),
    "plateau": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer),
    "one-cycle": torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=4),
}
for name, scheduler in schedulers.items():
    torch.save(scheduler.state_dict(), OUT / f"scheduler-{name}.pt")
torch.save({"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "loss": loss.item(), "rng": torch.get_rng_state()}, OUT / "checkpoint.tar")
tensors = {
    str(dtype).removeprefix("torch."): torch.zeros(4, dtype=dtype)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
                  torch.int8, torch.uint8, torch.bool, torch.complex64, torch.uint16, torch.uint32, torch.uint64,
                  torch.float8_e4m3fn, torch.float8_e5m2)
}  # fmt: skip
torch.save(tensors, OUT / "dtypes.pt")
base = torch.arange(24.0).reshape(4, 6)
torch.save({"base": base, "view": base[1:, ::2], "transposed": base.t(), "expanded": base[:1].expand(4, 6), "tied": base}, OUT / "views.pt")
torch.save({"sparse": torch.eye(3).to_sparse(), "csr": torch.eye(3).to_sparse_csr()}, OUT / "sparse.pt")
torch.save(nn.Parameter(torch.ones(2)), OUT / "parameter.pt")
torch.save(torch.ones(3), OUT / "tensor.pt")
torch.save([torch.Size([1, 2]), torch.device("cpu"), torch.float32, torch.strided], OUT / "values.pt")
torch.save(torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), OUT / "quantised.pt")
torch.save(OrderedDict(a=torch.ones(1)), OUT / "archive.bin")
buffer = io.BytesIO()
torch.save(model.state_dict(), buffer)
(OUT / "from-buffer.ckpt").write_bytes(buffer.getvalue())
torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU())).save(str(OUT / "scripted.pt"))
torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(str(OUT / "traced.pt"))
