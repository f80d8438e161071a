"""Classifies pictures with a profile that `whet freeze --pixels` made one ONNX model, with onnxruntime alone.

    python frozen.py MODEL PICTURE...

    pip install onnxruntime numpy pillow
"""

import json
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image

model = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
classes = json.loads(model.get_modelmeta().custom_metadata_map["classes"])
channels = model.get_inputs()[0].shape[3]
for path in sys.argv[2:]:
    picture = Image.open(path).convert("RGB" if channels == 3 else "L")
    pixels = np.asarray(picture, np.uint8).reshape(1, picture.height, picture.width, channels)
    (row,) = model.run(["probabilities"], {"pixels": pixels})[0]
    print(json.dumps({"picture": path, "class": classes[row.argmax()], "probabilities": row.tolist()}))
