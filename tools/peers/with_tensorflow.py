"""TensorFlow: the nodes of the graphs as its functions, with channels last, as its kernels for processors want them.

`open_function` runs encoding, each step and the loss as a `tf.function`; `open_litert` converts these to signatures of one LiteRT model, whose
gradients TensorFlow's delegate computes.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np
import tensorflow as tf

from task import walk


# How channels stand here: those of images, of a convolution's weight, of a depthwise one's.
ORDERS = {"image": (0, 2, 3, 1), "conv": (2, 3, 1, 0), "depthwise": (2, 3, 0, 1)}
ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Identity")


def orders_of(network):
    """The orders of all values that become weights of convolutions, by their names; all else is of images."""
    orders = {}
    for node in reversed(network.nodes):
        if node.op == "Conv":
            group = node.attributes.get("group", 1)
            shape = network.values[node.inputs[1]].shape if node.inputs[1] in network.values else None
            if group > 1 and shape is not None and shape[:2] != (group, 1):
                raise NotImplementedError(f"{network.path}: Conv of {group} groups is not written here")
            orders[node.inputs[1]] = ORDERS["depthwise" if group > 1 else "conv"]
        elif node.op in ELEMENTWISE and node.output in orders:
            orders.update((name, orders[node.output]) for name in node.inputs)
    return orders


def channels_first(x):
    return tf.transpose(x, (0, 3, 1, 2)) if x.shape.rank == 4 else x


def operators(network, orders):
    axis = {0: 0, 1: 3, 2: 1, 3: 2, -1: 2, -2: 1, -3: 3, -4: 0}

    def conv(node, x, weight, bias=None):
        top, left, bottom, right = node.attributes.get("pads", [0, 0, 0, 0])
        strides = [1, *node.attributes.get("strides", [1, 1]), 1]
        dilations = node.attributes.get("dilations", [1, 1])
        pads = [[0, 0], [top, bottom], [left, right], [0, 0]]
        height, width = weight.shape[:2]
        if (top, left, bottom, right) == (0, 0, 0, 0):
            pads = "VALID"
        elif strides == [1, 1, 1, 1] and (top, left, bottom, right) == ((height - 1) // 2, (width - 1) // 2) * 2:
            pads = "SAME"
        if orders[node.inputs[1]] == ORDERS["depthwise"]:
            if not isinstance(pads, str):
                x, pads = tf.pad(x, pads), "VALID"
            result = tf.nn.depthwise_conv2d(x, weight, strides, pads, dilations=dilations)
        else:
            result = tf.nn.conv2d(x, weight, strides, pads, dilations=dilations)
        return result if bias is None else result + bias

    def normalize(node, x, scale, shift, mean, variance):
        return tf.nn.batch_normalization(x, mean, variance, shift, scale, node.attributes.get("epsilon", 1e-5))

    def pool(node, x):
        if any(node.attributes.get("pads", [0])):
            raise NotImplementedError(f"{network.path}: MaxPool with pads is not written here")
        kernel = node.attributes["kernel_shape"]
        return tf.nn.max_pool2d(x, kernel, node.attributes.get("strides", kernel), "VALID")

    def gemm(node, left, right, added=None):
        a, b = bool(node.attributes.get("transA")), bool(node.attributes.get("transB"))
        product = tf.matmul(left, right, transpose_a=a, transpose_b=b)
        return product if added is None else product + added

    def reduction(of):
        def reduce(node, x, *_):
            axes = network.integers(node.inputs[1]) if len(node.inputs) > 1 else list(node.attributes["axes"])
            keep = bool(node.attributes.get("keepdims", 1))
            if x.shape.rank == 4 and not keep:
                raise NotImplementedError(f"{network.path}: {node.op} that leaves axes of images out is not written here")
            return of(x, [axis[each] for each in axes] if x.shape.rank == 4 else axes, keepdims=keep)

        return reduce

    def reshape(node, x, _):
        x, shape = channels_first(x), network.integers(node.inputs[1])
        shape = [x.shape[i] if each == 0 else each for i, each in enumerate(shape)]
        if len(shape) == 4:
            return tf.transpose(tf.reshape(x, shape), orders.get(node.output, ORDERS["image"]))
        return tf.reshape(x, shape)

    def flatten(node, x):
        first = channels_first(x)
        return tf.reshape(first, (first.shape[0], -1))

    def transpose(node, x):
        if x.shape.rank == 4:
            raise NotImplementedError(f"{network.path}: Transpose of images is not written here")
        return tf.transpose(x, node.attributes["perm"])

    def concat(node, *given):
        at = node.attributes["axis"]
        return tf.concat(given, axis[at] if given[0].shape.rank == 4 else at)

    return {
        "Conv": conv,
        "BatchNormalization": normalize,
        "MaxPool": pool,
        "Gemm": gemm,
        "ReduceMean": reduction(tf.reduce_mean),
        "ReduceSum": reduction(tf.reduce_sum),
        "ReduceSumSquare": reduction(lambda x, axes, keepdims: tf.reduce_sum(x * x, axes, keepdims=keepdims)),
        "Reshape": reshape,
        "Flatten": flatten,
        "Transpose": transpose,
        "Concat": concat,
        "Relu": lambda node, x: tf.nn.relu(x),
        "Clip": lambda node, x, low, high: tf.clip_by_value(x, low, high),
        "GlobalAveragePool": lambda node, x: tf.reduce_mean(x, (1, 2), keepdims=True),
        "Identity": lambda node, x: x,
        "Less": lambda node, a, b: a < b,
        "Where": lambda node, condition, a, b: tf.where(condition, a, b),
        "Sqrt": lambda node, x: tf.sqrt(x),
        "MatMul": lambda node, a, b: tf.matmul(a, b),
        "Add": lambda node, a, b: a + b,
        "Sub": lambda node, a, b: a - b,
        "Mul": lambda node, a, b: a * b,
        "Div": lambda node, a, b: a / b,
    }


def function(body, **more):
    # What a graph is made of is known; nothing of the walk is to become a part of it.
    return tf.function(body, autograph=False, **more)


class Adaptation(tf.Module):
    """The two graphs of a task: features of images, a step, the loss, and values where they started."""

    def __init__(self, task):
        super().__init__()
        self.labels = tf.constant(task.labels)
        self.rate = task.rate
        self.frozen = self.open(task, task.encode_path, []) if task.encode_path else None
        self.rest = self.open(task, task.rest_path, task.trainable)
        self.images = np.ascontiguousarray(task.images.transpose(0, 2, 3, 1))

    def open(self, task, path, trainable):
        network = task.network(path)
        orders = orders_of(network)

        def ordered(name, value):
            return value.transpose(orders.get(name, ORDERS["image"])) if value.ndim == 4 else value

        values = {name: ordered(name, value) for name, value in network.values.items()}
        self.moving = [tf.Variable(values[name]) for name in trainable]
        self.starts = [values[name] for name in trainable]
        values = {name: tf.constant(value) for name, value in values.items()}
        values.update(zip(trainable, self.moving))
        known = operators(network, orders)
        return lambda x: walk(network, values, x, known)

    def features(self, images):
        return self.frozen(images) if self.frozen else images

    def loss(self, features):
        logits = self.rest(features)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(self.labels, logits))

    def step(self, features):
        with tf.GradientTape() as tape:
            loss = self.loss(features)
        for value, gradient in zip(self.moving, tape.gradient(loss, self.moving)):
            value.assign_sub(self.rate * gradient)
        return loss

    def start(self):
        for value, start in zip(self.moving, self.starts):
            value.assign(start)


def open_function(task, threads):
    # Once in a process: it throws when anything has run with others.
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    module = Adaptation(task)
    encode, step, loss = (function(each) for each in (module.features, module.step, module.loss))
    images = tf.constant(module.images)

    def adapt():
        module.start()
        features = encode(images) if module.frozen else images
        losses = [step(features) for _ in range(task.steps)]
        losses.append(loss(features))
        return [float(each) for each in losses]

    return adapt


def open_litert(task, threads):
    module = Adaptation(task)
    images = tf.TensorSpec(module.images.shape, tf.float32)
    encode = function(lambda images: {"features": module.features(images)}, input_signature=[images])
    shape = encode.get_concrete_function().structured_outputs["features"].shape
    features = tf.TensorSpec(shape, tf.float32)
    step = function(lambda features: {"loss": module.step(features)}, input_signature=[features])
    loss = function(lambda features: {"loss": module.loss(features)}, input_signature=[features])

    def start():
        module.start()
        return {"done": tf.constant(0)}

    signatures = {"step": step, "loss": loss, "start": function(start, input_signature=[])}
    if module.frozen:
        signatures["encode"] = encode
    place = str(task.folder / "saved_model")
    concrete = {name: each.get_concrete_function() for name, each in signatures.items()}
    tf.saved_model.save(module, place, signatures=concrete)
    converter = tf.lite.TFLiteConverter.from_saved_model(place)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    converter.experimental_enable_resource_variables = True
    interpreter = tf.lite.Interpreter(model_content=converter.convert(), num_threads=threads)
    interpreter.allocate_tensors()
    run = {name: interpreter.get_signature_runner(name) for name in signatures}

    def adapt():
        run["start"]()
        features = run["encode"](images=module.images)["features"] if module.frozen else module.images
        losses = [run["step"](features=features)["loss"] for _ in range(task.steps)]
        losses.append(run["loss"](features=features)["loss"])
        return [float(each) for each in losses]

    return adapt


version = tf.__version__
