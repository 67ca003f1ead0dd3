"""ultralytics: every architecture that it ships, saved by itself; a checkpoint in training, and the one it leaves."""

import os
import sys
from pathlib import Path

import numpy as np
import torch

OUT = Path(sys.argv[1])
WORK = Path(sys.argv[2]) if len(sys.argv) > 2 else OUT.parent / f"{OUT.name}-work"
os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(WORK)}

# torchvision's compiled part wants CUDA; its Python part does without, once the two operators it describes have names.
torchvision_operators = torch.library.Library("torchvision", "DEF")
torchvision_operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
torchvision_operators.define(
    "qnms(Tensor dets, Tensor scores, float iou_threshold, float scale, int zero_point) -> Tensor"
)

import torchvision
from PIL import Image
from ultralytics import RTDETR, YOLO
from ultralytics.utils.torch_utils import strip_optimizer

# Which boxes validation keeps is nothing to us.
torchvision.ops.nms = lambda boxes, scores, threshold: scores.argsort(descending=True)[:10]
MODELS = """
yolo26n yolo26n-seg yolo26n-cls yolo26n-pose yolo26n-obb yolo12n yolo11n yolo11n-seg yolo11n-cls yolo11n-pose
yolo11n-obb yolov10n yolov9t yolov8n yolov8n-seg yolov8n-cls yolov8n-pose yolov8n-obb yolov8n-p2 yolov8n-ghost
yolov8n-world yolov8n-worldv2 yolov6n yolov5n yolov3-tiny
""".split()
for name in MODELS:
    model = YOLO(f"{name}.yaml")
    model.save(OUT / f"{name}.pt")
RTDETR("yolov8n-rtdetr.yaml").save(OUT / "rtdetr.pt")
model = YOLO("yolo11n.yaml")
torch.save(model.model, OUT / "module.pt")
torch.save({"epoch": -1, "model": model.model, "args": model.overrides}, OUT / "module-in-dict.pt")
torch.save(model.model.state_dict(), OUT / "state_dict.pt")
torch.save(YOLO("yolov5n.yaml").model, OUT / "module-legacy.pt", _use_new_zipfile_serialization=False)

# A dataset of four pictures, as small as training goes.
for part in ("train", "val"):
    for kind in ("images", "labels"):
        (WORK / kind / part).mkdir(parents=True, exist_ok=True)
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(WORK / "images" / part / f"{number}.png")
        (WORK / "labels" / part / f"{number}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
(WORK / "data.yaml").write_text(f"path: {WORK}\ntrain: images/train\nval: images/val\nnames: {{0: thing}}\n")


def keep(trainer):
    """Copy what training has written before its end strips it."""
    (OUT / "in-training.pt").write_bytes(Path(trainer.last).read_bytes())


model.add_callback("on_model_save", keep)
model.train(
    data=str(WORK / "data.yaml"), epochs=1, imgsz=64, batch=2, workers=0, device="cpu", plots=False, amp=False,
    project=str(WORK / "runs"), verbose=False,
)  # fmt: skip
for name in ("last", "best"):
    (OUT / f"trained-{name}.pt").write_bytes((Path(model.trainer.save_dir) / "weights" / f"{name}.pt").read_bytes())
strip_optimizer(OUT / "in-training.pt", s=str(OUT / "stripped.pt"))
torch.save({"model": model.trainer.model, "ema": model.trainer.ema.ema}, OUT / "with-criterion.pt")
(OUT / "args.yaml").write_bytes((Path(model.trainer.save_dir) / "args.yaml").read_bytes())
