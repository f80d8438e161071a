"""What `whet bench --peer-task` wrote: a task, its examples, and its two graphs as nodes to walk."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import load_file


@dataclass
class Node:
    op: str
    inputs: list
    output: str
    attributes: dict


@dataclass
class Network:
    """A graph of ONNX nodes in their order, with one input and one output."""

    path: Path
    nodes: list
    values: dict
    feed: str
    output: str

    def integers(self, name):
        return [int(each) for each in self.values[name].reshape(-1)]


class Task:
    def __init__(self, folder):
        self.folder = Path(folder)
        said = json.loads((self.folder / "task.json").read_text())
        if said["schema"] != "whet-peer-task/1":
            raise SystemExit(f"{folder}/task.json: schema: expected whet-peer-task/1, got {said['schema']}")
        self.names = {key: said[key] for key in ("network", "pattern", "ways", "shots", "steps")}
        self.steps, self.rate, self.trainable = said["steps"], said["rate"], said["trainable"]
        tensors = load_file(self.folder / "examples.safetensors")
        self.images, self.labels = tensors["images"], tensors["labels"]
        self.rest_path = self.folder / "rest.onnx"
        path = self.folder / "encode.onnx"
        self.encode_path = path if path.exists() else None

    def network(self, path):
        graph = onnx.load(path).graph
        values = {each.name: np.array(numpy_helper.to_array(each)) for each in graph.initializer}
        nodes = []
        for each in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in each.attribute}
            nodes.append(Node(each.op_type, list(each.input), each.output[0], attributes))
        feed = next(each.name for each in graph.input if each.name not in values)
        return Network(path, nodes, values, feed, graph.output[0].name)


def walk(network, values, feed, operators):
    """The output of a network: each node by the function of its operator, which gets the node and its inputs."""
    got = {network.feed: feed}
    for node in network.nodes:
        operator = operators.get(node.op)
        if operator is None:
            raise NotImplementedError(f"{network.path}: {node.op} is not written here")
        given = [got[name] if name in got else values[name] for name in node.inputs if name]
        got[node.output] = operator(node, *given)
    return got[network.output]
