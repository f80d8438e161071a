"""A small network as bytes by onnxruntime's own quantizer, to compare ours with.

    pip install onnx==1.17 onnxruntime numpy sympy ml_dtypes
    python test/reference/quantize.py > test/reference/quantize.json
"""

import base64
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static

random = np.random.default_rng(7)
SIZE, COUNT = 12, 8


def image(i):
    """A few waves and some noise."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    waves = [np.sin(2 * np.pi * ((1 + i % 3) * x + (i % 4) * y) + c) for c in range(3)]
    return (np.stack(waves) + 0.2 * random.standard_normal((3, SIZE, SIZE))).astype(np.float32)


nodes, constants = [], []


def constant(name, values):
    constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
    return name


def conv(x, name, inputs, outputs, side=3, stride=1, group=1, relu=True):
    """Outputs of unlike size, as folded normalization leaves them, and inputs far from 0 in the mean."""
    fan = side * side * inputs / group
    spread = np.exp(random.normal(0, 1, (outputs, 1, 1, 1)))
    weight = random.standard_normal((outputs, inputs // group, side, side)) * spread / np.sqrt(fan)
    made = f"{name}/out"
    pad = (side - 1) // 2
    nodes.append(
        helper.make_node(
            "Conv",
            [x, constant(f"{name}.weight", weight), constant(f"{name}.bias", random.normal(0.5, 0.5, outputs))],
            [made],
            name=name,
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[pad] * 4,
            group=group,
        )
    )
    if not relu:
        return made
    nodes.append(helper.make_node("Relu", [made], [f"{name}/relu"], name=f"{name}/relu"))
    return f"{name}/relu"


stem = conv("images", "stem", 3, 8, stride=2)
wide = conv(stem, "expand", 8, 24, side=1)
depth = conv(wide, "depthwise", 24, 24, group=24)
thin = conv(depth, "project", 24, 8, side=1, relu=False)
nodes.append(helper.make_node("Add", [stem, thin], ["joined"], name="join"))
last = conv("joined", "last", 8, 16, side=1)
nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"], name="pool"))
nodes.append(helper.make_node("Flatten", ["pooled"], ["features"], name="flatten", axis=1))
graph = helper.make_graph(
    nodes,
    "small",
    [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 16])],
    constants,
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
images = np.stack([image(i) for i in range(COUNT)])


class Reader(CalibrationDataReader):
    def __init__(self):
        self.left = [{"images": each[None]} for each in images]

    def get_next(self):
        return self.left.pop(0) if self.left else None


with tempfile.TemporaryDirectory() as folder:
    path, out = Path(folder) / "m.onnx", Path(folder) / "q.onnx"
    onnx.save(model, path)

    def features(file):
        session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
        return session.run(["features"], {"images": images})[0]

    quantize_static(
        path,
        out,
        Reader(),
        per_channel=True,
        # Without it, sums of 16 bits overflow on processors that have no VNNI.
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    expected, theirs = features(path), features(out)

text = lambda values: base64.b64encode(np.ascontiguousarray(values, np.float32).tobytes()).decode()
print(
    json.dumps(
        {
            "onnxruntime": ort.__version__,
            "model": base64.b64encode(model.SerializeToString()).decode(),
            "shape": list(images.shape),
            "images": text(images),
            "features": text(expected),
            "quantized": text(theirs),
        },
        indent=1,
    )
)
