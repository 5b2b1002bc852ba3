"""From a program of JAX to a graph of ONNX, operation by operation.

A network is traced as JAX itself exports it, with free sizes, and each operation of the trace has
one of ONNX. So there is no second writing of any network, and every family whose networks are made
of these operations can be exported.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from senet_jax.export.onnx_graph import INPUT, Graph, Tensor
from senet_jax.system.errors import UserError

Rule = Callable[[Graph, Sequence[Tensor], Mapping[str, Any], tuple[Any, ...]], Tensor]
"""From a graph, the inputs of an operation, its settings and the shape of what it gives."""

_CHANNELS_FIRST = (0, 3, 1, 2)
_TO_THE_END = np.iinfo(np.int64).min


def translate(program: ClosedJaxpr, free: Sequence[str], metadata: dict[str, str]) -> Any:
    """A model of ONNX that computes what a program does.

    Args:
        program: of one input uint8[b h w 3] and one output.
        free: the names of b, h and w in the program.
        metadata: see `Graph.model`.

    Raises:
        UserError: it has an operation that is not known here.
    """
    graph = Graph(free)
    (images,) = program.jaxpr.invars
    (output,) = _run(graph, program, [Tensor.computed(INPUT, images.aval.shape)])  # type: ignore
    return graph.model(output, metadata)


def _run(graph: Graph, program: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    jaxpr, constants = program.jaxpr, program.consts
    known = dict(zip(jaxpr.invars, inputs, strict=True))
    known |= dict(zip(jaxpr.constvars, map(Tensor.known, constants), strict=True))

    def tensor(variable: Any) -> Tensor:
        return Tensor.known(variable.val) if isinstance(variable, Literal) else known[variable]

    for equation in jaxpr.eqns:
        operands = [tensor(variable) for variable in equation.invars]
        inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if equation.primitive.name in _CALLS and inner is not None:
            found = _run(graph, inner, operands)
        else:
            found = [_translated(graph, equation, operands)]
        known |= dict(zip(equation.outvars, found, strict=True))
    return [tensor(variable) for variable in jaxpr.outvars]


_CALLS = ("jit", "custom_jvp_call", "custom_vjp_call")


def _translated(graph: Graph, equation: Any, operands: list[Tensor]) -> Tensor:
    name, shape = equation.primitive.name, equation.outvars[0].aval.shape
    arrays = [o.content for o in operands if isinstance(o.content, np.ndarray)]
    if len(arrays) == len(operands) and name != "dim_as_value":
        if _is_static(shape) and all(_is_static(operand.shape) for operand in operands):
            repeated = [np.broadcast_to(o.content, o.shape) for o in operands]
            return Tensor.known(equation.primitive.bind(*repeated, **equation.params))
        if name in _ELEMENTWISE:
            alike = np.broadcast_arrays(*arrays)
            return Tensor.known(equation.primitive.bind(*alike, **equation.params), shape)
    if name in _ELEMENTWISE:
        return _elementwise(graph, name, operands, shape)
    if name not in _RULES:
        raise UserError(
            f"the network computes {name}, which has no translation to ONNX here; export it with "
            "--to=stablehlo"
        )
    return _RULES[name](graph, operands, equation.params, shape)


def _is_static(shape: Sequence[Any]) -> bool:
    return all(isinstance(dim, int) for dim in shape)


_ELEMENTWISE = {
    "add": ["Add"],
    "div": ["Div"],
    "max": ["Max"],
    "min": ["Min"],
    "mul": ["Mul"],
    "pow": ["Pow"],
    "rsqrt": ["Sqrt", "Reciprocal"],
    "sqrt": ["Sqrt"],
    "sub": ["Sub"],
}
"""From an operation to those of ONNX, one after the other."""


def _elementwise(graph: Graph, name: str, operands: list[Tensor], shape: tuple) -> Tensor:
    """In the order of the first operand that is not known; none is repeated before."""
    rank = len(shape)
    whole = [operand for operand in operands if len(operand.held) == rank]
    order = next(o.order for o in whole if not isinstance(o.content, np.ndarray))
    held = tuple(
        next((o.held[axis] for o in whole if o.held[axis] != 1), 1) for axis in range(rank)
    )
    rest = [operand for operand in operands if not _is_zero(operand)]
    if name == "max" and len(rest) == 1:
        return Tensor(graph.node("Relu", graph.held(rest[0], order)), shape, held, order)
    names = [graph.held(o, order if len(o.held) == rank else ()) for o in operands]
    for operator in _ELEMENTWISE[name]:
        names = [graph.node(operator, *names)]
    return Tensor(names[0], shape, held, order)


def _is_zero(operand: Tensor) -> bool:
    return isinstance(operand.content, np.ndarray) and not operand.content.any()


def _convert(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    (operand,) = operands
    name = graph.node("Cast", graph.held(operand, operand.order), to=_onnx_type(settings))
    return Tensor(name, shape, operand.held, operand.order)


def _onnx_type(settings: Mapping[str, Any]) -> int:
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(np.dtype(settings["new_dtype"]))


def _size_as_value(graph: Graph, operands: Any, settings: Any, shape: tuple) -> Tensor:
    scalar = graph.node("Squeeze", graph.size(settings["dim"]))
    return _convert(
        graph, [Tensor.computed(scalar, shape)], {"new_dtype": jax.numpy.arange(0).dtype}, shape
    )


def _broadcast(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    (operand, *_), kept = operands, settings["broadcast_dimensions"]
    held = [1] * len(shape)
    for axis, place in enumerate(kept):
        held[place] = operand.held[axis]
    if isinstance(operand.content, np.ndarray):
        return Tensor.known(operand.content.reshape(held), shape)
    if len(kept) == len(shape):
        return Tensor(operand.content, shape, tuple(held), operand.order)
    new = graph.integers([axis for axis in range(len(shape)) if axis not in kept])
    name = graph.node("Unsqueeze", graph.held(operand, operand.natural), new)
    return Tensor(name, shape, tuple(held), tuple(range(len(shape))))


def _reshape(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    free = [axis for axis, dim in enumerate(shape) if not isinstance(dim, int)]
    dims = [-1 if axis in free[:1] else dim for axis, dim in enumerate(shape)]
    return Tensor.computed(graph.node("Reshape", graph.full(operands[0]), graph.sizes(dims)), shape)


def _transpose(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    (operand,), axes = operands, settings["permutation"]
    order = tuple(axes.index(axis) for axis in operand.order)
    return Tensor(operand.content, shape, tuple(operand.held[axis] for axis in axes), order)


def _reverse(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    axes = settings["dimensions"]
    bounds = [[-1] * len(axes), [_TO_THE_END] * len(axes), axes, [-1] * len(axes)]
    name = graph.node("Slice", graph.full(operands[0]), *map(graph.integers, bounds))
    return Tensor.computed(name, shape)


def _slice(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    starts, ends = settings["start_indices"], settings["limit_indices"]
    steps = settings["strides"] or (1,) * len(shape)
    bounds = [graph.sizes(starts), graph.sizes(ends), graph.integers(range(len(shape)))]
    name = graph.node("Slice", graph.full(operands[0]), *bounds, graph.integers(steps))
    return Tensor.computed(name, shape)


def _gather(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    """What indexing becomes where a size is free: one part, or some entries along an axis."""
    operand, where = operands
    numbers, indices = settings["dimension_numbers"], where.content
    axes, gone = numbers.start_index_map, numbers.collapsed_slice_dims
    if isinstance(indices, np.ndarray) and indices.ndim == 1:
        sizes = [settings["slice_sizes"][axis] for axis in axes]
        starts = indices.tolist()
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        bounds = [graph.integers(starts), graph.sizes(ends), graph.integers(axes)]
        name = graph.node("Slice", graph.full(operand), *bounds)
        name = graph.node("Squeeze", name, graph.integers(gone)) if gone else name
        return Tensor.computed(name, shape)
    places = [place for place in range(len(shape)) if place not in numbers.offset_dims]
    if len(where.shape) == 2 and axes == gone and places == list(axes):
        along = graph.node("Squeeze", graph.full(where), graph.integers([1]))
        return Tensor.computed(
            graph.node("Gather", graph.full(operand), along, axis=axes[0]), shape
        )
    raise UserError(
        "the network indexes an array in a way that has no translation to ONNX here; export it "
        "with --to=stablehlo"
    )


def _count(graph: Graph, operands: Any, settings: Any, shape: tuple) -> Tensor:
    """0, 1, 2, ... along one axis."""
    (size,) = shape
    limits = graph.node("Squeeze", graph.size(size)), graph.constant(np.array(1, np.int64))
    numbers = graph.node("Range", graph.constant(np.array(0, np.int64)), *limits)
    kind = {"new_dtype": settings["dtype"]}
    return _convert(graph, [Tensor.computed(numbers, shape)], kind, shape)


def _pad(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    operand, value = operands
    low, high, inner = zip(*settings["padding_config"], strict=True)
    if any(inner):
        raise UserError("the network pads between positions; export it with --to=stablehlo")
    order = operand.order
    pads = [side[axis] for side in (low, high) for axis in order]
    name = graph.node("Pad", graph.full(operand, order), graph.integers(pads), graph.full(value))
    return Tensor.computed(name, shape, order)


def _concatenate(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    names = [graph.full(operand) for operand in operands]
    return Tensor.computed(graph.node("Concat", *names, axis=settings["dimension"]), shape)


def _stack(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    axis = graph.integers([settings["axis"]])
    names = [graph.node("Unsqueeze", graph.full(operand), axis) for operand in operands]
    return Tensor.computed(graph.node("Concat", *names, axis=settings["axis"]), shape)


def _reduce_sum(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    (operand,), axes = operands, settings["axes"]
    places = graph.integers([operand.order.index(axis) for axis in axes])
    name = graph.node("ReduceSum", graph.full(operand, operand.order), places, keepdims=0)
    left = [axis for axis in operand.order if axis not in axes]
    return Tensor.computed(name, shape, [sorted(left).index(axis) for axis in left])


def _max_pool(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    rows_and_columns = slice(1, 3)
    low, high = zip(*settings["padding"][rows_and_columns], strict=True)
    _check_images(settings["window_dimensions"])
    name = graph.node(
        "MaxPool",
        graph.full(operands[0], _CHANNELS_FIRST),
        kernel_shape=list(settings["window_dimensions"][rows_and_columns]),
        strides=list(settings["window_strides"][rows_and_columns]),
        dilations=list(settings["window_dilation"][rows_and_columns]),
        pads=[*low, *high],
    )
    return Tensor.computed(name, shape, _CHANNELS_FIRST)


def _check_images(window: Sequence[int]) -> None:
    if len(window) != 4 or window[0] != 1 or window[3] != 1:
        raise UserError(
            f"the network pools over windows of {list(window)}; export it with --to=stablehlo"
        )


def _convolve(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    maps, kernel = operands
    numbers = settings["dimension_numbers"]
    if set(settings["lhs_dilation"]) != {1} or settings["batch_group_count"] != 1:
        raise UserError("the network has transposed convolutions; export it with --to=stablehlo")
    low, high = zip(*settings["padding"], strict=True)
    name = graph.node(
        "Conv",
        graph.full(maps, numbers.lhs_spec),
        graph.full(kernel, numbers.rhs_spec),
        kernel_shape=[kernel.shape[axis] for axis in numbers.rhs_spec[2:]],
        strides=list(settings["window_strides"]),
        dilations=list(settings["rhs_dilation"]),
        pads=[*low, *high],
        group=settings["feature_group_count"],
    )
    return Tensor.computed(name, shape, numbers.out_spec)


def _dot_general(graph: Graph, operands: Sequence[Tensor], settings: Any, shape: tuple) -> Tensor:
    """As an einsum: axes that are multiplied with each other have the same letter."""
    (contracted, batch), letters = settings["dimension_numbers"], iter(string.ascii_letters)
    left, right = ([next(letters) for _ in operand.shape] for operand in operands)
    for of_left, of_right in (*zip(*contracted, strict=True), *zip(*batch, strict=True)):
        right[of_right] = left[of_left]
    kept = [
        [letter for axis, letter in enumerate(own) if axis not in (*contracted[side], *batch[side])]
        for side, own in enumerate((left, right))
    ]
    first = [left[axis] for axis in batch[0]]
    equation = f"{''.join(left)},{''.join(right)}->{''.join([*first, *kept[0], *kept[1]])}"
    names = [graph.full(operand) for operand in operands]
    return Tensor.computed(graph.node("Einsum", *names, equation=equation), shape)


_RULES: dict[str, Rule] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "conv_general_dilated": _convolve,
    "convert_element_type": _convert,
    "dim_as_value": _size_as_value,
    "dot_general": _dot_general,
    "gather": _gather,
    "iota": _count,
    "pad": _pad,
    "reduce_sum": _reduce_sum,
    "reduce_window_max": _max_pool,
    "reshape": _reshape,
    "rev": _reverse,
    "slice": _slice,
    "squeeze": _reshape,
    "stack": _stack,
    "transpose": _transpose,
}
