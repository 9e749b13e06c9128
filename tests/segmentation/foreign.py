"""Small networks as others write them, and what a prepared one must give for them, in numpy."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGENET = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))

_TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A network of one 1x1 convolution, behind an average over `stride` x `stride` pixels.

    Attributes:
        count: Number of classes.
        layout: Of input and output.
        channels: Order of the input's colours.
        dtype: Type of input, weights and scores.
        kind: logits, softmax or argmax.
        stride: Of the output.
        size: Rows and columns of a fixed input.
        normalised: Whether the network divides by 255 and normalises itself.
        axis: Whether an argmax output keeps a dimension of 1 for the classes.
    """

    count: int = 19
    layout: str = "nchw"
    channels: str = "rgb"
    dtype: str = "float32"
    kind: str = "logits"
    stride: int = 4
    size: tuple[int, int] | None = None
    normalised: bool = False
    axis: bool = True
    seed: int = 0

    @property
    def inside(self):
        return "float32" if self.dtype == "uint8" else self.dtype

    def weights(self):
        """(K, 3), in the order of the network's colours. Little enough for float16 and far from ties."""
        return np.random.default_rng(self.seed).normal(0, 2, (self.count, 3)).astype(self.inside)

    def bias(self):
        return np.random.default_rng(self.seed + 1).normal(0, 1, self.count).astype(self.inside)

    def model(self, opset=17):
        """The network as ONNX."""
        inside = _TYPES[self.inside]
        rows, columns = self.size or ("rows", "columns")
        image = [1, 3, rows, columns] if self.layout == "nchw" else [1, rows, columns, 3]
        nodes, tensor = [], "image"
        constants = {}

        def add(operator, *others, **attributes):
            nonlocal tensor
            nodes.append(helper.make_node(operator, [tensor, *others], [f"t{len(nodes)}"], **attributes))
            tensor = nodes[-1].output[0]

        if self.dtype == "uint8":
            add("Cast", to=inside)
        if self.layout == "nhwc":
            add("Transpose", perm=[0, 3, 1, 2])
        if self.normalised or self.dtype == "uint8":
            constants["mean"] = (IMAGENET[0] * 255).reshape(1, 3, 1, 1).astype(self.inside)
            constants["std"] = (IMAGENET[1] * 255).reshape(1, 3, 1, 1).astype(self.inside)
            add("Sub", "mean")
            add("Div", "std")
        if self.stride > 1:
            add("AveragePool", kernel_shape=[self.stride] * 2, strides=[self.stride] * 2)
        constants["w"] = self.weights().reshape(self.count, 3, 1, 1)
        constants["b"] = self.bias()
        add("Conv", "w", "b")
        if self.kind == "softmax":
            add("Softmax", axis=1)
        elif self.kind == "argmax":
            add("ArgMax", axis=1, keepdims=int(self.axis))
        if self.layout == "nhwc" and (self.kind != "argmax" or self.axis):
            add("Transpose", perm=[0, 2, 3, 1])
        nodes[-1].output[0] = "scores"
        kind = TensorProto.INT64 if self.kind == "argmax" else inside
        graph = helper.make_graph(
            nodes, "foreign",
            [helper.make_tensor_value_info("image", _TYPES[self.dtype], image)],
            [helper.make_tensor_value_info("scores", kind, None)],
            [numpy_helper.from_array(values, name) for name, values in constants.items()],
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)

    def write(self, path, **more):
        onnx.save(self.model(), str(path), **more)
        return path

    def probabilities(self, rgb):
        """(1, 3, H, W) in [0, 1] → ``class_probabilities`` (1, K, h, w), by the contract."""
        x = rgb.astype(np.float64)
        if self.dtype == "uint8":
            x = np.round(np.clip(x * 255, 0, 255)) / 255
        mean, std = (values.reshape(1, 3, 1, 1) for values in IMAGENET)
        own = self.normalised or self.dtype == "uint8"
        if self.channels == "bgr":
            # Mean and std of the command line are those of red, green and blue; a network has them in its own order.
            x = (x[:, ::-1] - mean) / std if own else ((x - mean) / std)[:, ::-1]
        else:
            x = (x - mean) / std
        height, width = rgb.shape[2:]
        h, w = height // self.stride, width // self.stride
        x = x[:, :, : h * self.stride, : w * self.stride]
        x = x.reshape(1, 3, h, self.stride, w, self.stride).mean((3, 5))
        scores = np.einsum("kc,nchw->nkhw", self.weights().astype(np.float64), x)
        scores += self.bias().astype(np.float64).reshape(1, -1, 1, 1)
        if self.kind == "argmax":
            one_hot = scores.argmax(1)[:, None] == np.arange(self.count).reshape(1, -1, 1, 1)
            return enlarged(one_hot.astype(np.float64), self.stride // 2) if self.stride > 8 else one_hot * 1.0
        if self.kind == "softmax":
            made = softmax(scores)
            return enlarged(made, self.stride // 2) if self.stride > 8 else made
        return softmax(enlarged(scores, self.stride // 2) if self.stride > 2 else scores)


def softmax(x):
    powers = np.exp(x - x.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def enlarged(x, factor):
    """(1, C, h, w) → (1, C, factor h, factor w), bilinear between the centres of pixels."""
    if factor == 1:
        return x
    for axis in (2, 3):
        length = x.shape[axis]
        place = (np.arange(length * factor) + 0.5) / factor - 0.5
        low = np.floor(place).astype(int)
        share = (place - low).reshape([-1 if a == axis else 1 for a in range(4)])
        before, after = (np.take(x, np.clip(n, 0, length - 1), axis) for n in (low, low + 1))
        x = before * (1 - share) + after * share
    return x


def grouped(probabilities, groups, shape):
    """``class_probabilities`` → ``non_roi`` of the input's shape."""
    planes = np.stack([probabilities[:, [g == n for g in groups]].sum(1) for n in (1, 2, 3)], 1)
    return enlarged(planes, shape[2] // planes.shape[2])
