"""Multiply-accumulates: by hand, against the graph that TensorFlow runs, and against PyTorch's counter."""

from __future__ import annotations

import math
from typing import Any

import keras
import pytest
import tensorflow as tf
from keras import layers, ops

from mmls_tf.bands import BAND_NAMES
from mmls_tf.models.cost import CostError, model_cost
from mmls_tf.models.encoders.table import ENCODERS
from mmls_tf.models.registry import DECODERS, build_model
from mmls_tf.models.spec import ModelSpec


def of(layer: Any, *shapes: tuple[int, ...]) -> int:
    inputs = [keras.Input(shape) for shape in shapes]
    return model_cost(keras.Model(inputs, layer(*inputs))).macs


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(5, 3, padding="same"), 8 * 6 * 9 * 4 * 5),
        (layers.Conv2D(5, 3), 6 * 4 * 9 * 4 * 5),
        (layers.Conv2D(5, 3, strides=2, padding="same"), 4 * 3 * 9 * 4 * 5),
        (layers.Conv2D(5, 3, dilation_rate=2, padding="same"), 8 * 6 * 9 * 4 * 5),
        (layers.Conv2D(6, 3, groups=2, padding="same"), 8 * 6 * 9 * 2 * 6),
        (layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), 8 * 6 * 9 * 4 * 2),
        (layers.SeparableConv2D(5, 3, padding="same"), 8 * 6 * (9 * 4 + 4 * 5)),
        (layers.Conv2DTranspose(5, 3, strides=2, padding="same"), 8 * 6 * 9 * 4 * 5),
        (layers.Dense(5), 8 * 6 * 4 * 5),
        (layers.BatchNormalization(), 0),
        (layers.UpSampling2D(2, interpolation="bilinear"), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, layers.Layer) else "",
)
def test_a_layer_costs_what_a_count_by_hand_gives(layer: Any, expected: int) -> None:
    assert of(layer, (8, 6, 4)) == expected


def test_attention_costs_its_projections_and_both_products() -> None:
    heads, key, value, target, source = 2, 3, 4, 10, 7
    projections = target * 5 * heads * key + source * 6 * heads * key + source * 6 * heads * value
    products = heads * target * source * (key + value)
    attention = layers.MultiHeadAttention(heads, key, value)
    assert of(attention, (10, 5), (7, 6)) == projections + products + target * heads * value * 5


def test_parameters_are_those_that_training_changes() -> None:
    image = keras.Input((8, 8, 4))
    x = layers.BatchNormalization()(layers.Conv2D(5, 3)(image))
    assert model_cost(keras.Model(image, x)).parameters == (9 * 4 * 5 + 5) + 2 * 5


@keras.saving.register_keras_serializable("mmls_tf_tests")
class Unheard(layers.Layer):
    def build(self, shape: tuple[int | None, ...]) -> None:
        self.table = self.add_weight(shape=(shape[-1], 2), name="table")

    def call(self, x: Any) -> Any:
        return ops.matmul(x, self.table)


@pytest.mark.parametrize(
    ("layer", "shapes", "found"),
    [
        (Unheard(name="odd"), [(3, 4)], r"layer odd: .* found Unheard of .* with odd/table"),
        (layers.Conv1D(2, 3, name="line"), [(8, 4)], "layer line: .* found Conv1D"),
        (lambda *x: layers.Dot(axes=2)(list(x)), [(3, 4), (5, 4)], "found Dot of keras with no matrix"),
        (lambda *x: ops.einsum("bij,bkj->bik", *x), [(3, 4), (5, 4)], "found Einsum"),
    ],
)
def test_a_product_of_an_unknown_kind_is_refused_not_left_out(
    layer: Any, shapes: list[tuple[int, ...]], found: str
) -> None:
    with pytest.raises(CostError, match=found):
        of(layer, *shapes)


def graph_macs(model: keras.Model) -> int:
    """Counts the products of the graph for one tile, but for the fixed matrices that pool and resize."""

    def shape(tensor: Any) -> list[int]:
        return [size or 1 for size in tensor.shape.as_list()]

    total = 0
    function = tf.function(lambda image: model(image, training=False), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:]))).graph
    for operation in graph.get_operations():
        if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
            out = operation.outputs[0]
            kernel = operation.inputs[1].shape.as_list()
            # A dilated depthwise convolution works on a map that was cut up; what is put together again counts.
            joined = [op for op in out.consumers() if op.type == "BatchToSpaceND"]
            positions = shape(joined[0].outputs[0] if joined else out)[1:3]
            total += math.prod(positions) * math.prod(kernel)
        elif operation.type in ("MatMul", "BatchMatMulV2", "Einsum") and "bins" not in operation.name:
            total += _product(operation, shape)
    return total


def _product(operation: Any, shape: Any) -> int:
    if operation.type == "Einsum":
        terms = operation.get_attr("equation").decode().split("->")[0].split(",")
        sizes: dict[str, int] = {}
        for term, tensor in zip(terms, operation.inputs, strict=True):
            sizes.update(zip(term, shape(tensor), strict=True))
        return math.prod(sizes.values())
    left, right = (shape(tensor) for tensor in operation.inputs)
    transposed = operation.get_attr("transpose_b" if operation.type == "MatMul" else "adj_y")
    return math.prod(left) * right[-2 if transposed else -1]


def small(decoder: str, encoder: str, **changes: Any) -> keras.Model:
    spec = ModelSpec(decoder, encoder, 4, 64, BAND_NAMES, **changes)
    return build_model(spec, "float32", 0)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_model_costs_what_the_graph_of_tensorflow_holds(decoder: str) -> None:
    model = small(decoder, "plain")
    assert model_cost(model).macs == graph_macs(model) > 0


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_fusion_costs_what_the_graph_of_tensorflow_holds(fusion: str) -> None:
    model = small("unet", "plain", fusion=fusion, full_skip=True)
    assert model_cost(model).macs == graph_macs(model)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoder_costs_what_the_graph_of_tensorflow_holds(encoder: str) -> None:
    model = small("deeplabv3plus", encoder)
    assert model_cost(model).macs == graph_macs(model)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["unet", "deeplabv3plus"])
def test_an_equal_network_costs_half_of_what_pytorch_counts(network: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.torch_models import NETWORKS

    theirs = NETWORKS[network]()
    with FlopCounterMode(display=False) as counter:
        theirs(torch.zeros((2, 7, 128, 128)))  # two tiles: batch normalisation of one would be undefined
    encoder = "plain" if network == "unet" else "resnet34"
    ours = model_cost(build_model(ModelSpec(network, encoder, 16, 128, BAND_NAMES), "float32", 0))
    assert ours.macs == counter.get_total_flops() // 4
    assert ours.parameters == sum(parameter.numel() for parameter in theirs.parameters())
