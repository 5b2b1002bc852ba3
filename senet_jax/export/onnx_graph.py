"""A graph of ONNX as it grows, and the tensors of a JAX program within it.

JAX has the channels last, ONNX first; and JAX repeats a tensor before it is added to a larger one,
which ONNX does by itself. So a tensor here may lie in another order of axes than the program's, and
may have length 1 where the program repeats it; only what needs more is transposed or repeated.
"""

import ast
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from senet_jax.system.errors import UserError
from senet_jax.system.optional import optional_import

with optional_import("onnx", "exports to ONNX"):
    from onnx import TensorProto, helper, numpy_helper

INPUT, OUTPUT = "images", "descriptors"
OPSET, IR_VERSION = 17, 8
"""Of 2022: what most runtimes read. OpenVINO 2026 and onnxruntime 1.32 do."""

Dim = Any
"""An integer, or an expression of JAX of the free sizes, such as `floordiv(h - 1, 2) + 1`."""

_OPERATORS = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul", ast.Pow: "Pow"}
_FUNCTIONS = {"floordiv": "Div", "mod": "Mod", "max": "Max", "min": "Min"}


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of a program.

    Attributes:
        content: the name that it has in the graph, or, where it is known, the array.
        shape: that it has in the program.
        held: the shape of what there is of it, with its axes as in the program: 1 where it is
            repeated.
        order: the axes of the program as they lie in the graph; an array lies as in the program.
    """

    content: str | np.ndarray
    shape: tuple[Dim, ...]
    held: tuple[Dim, ...]
    order: tuple[int, ...]

    @classmethod
    def known(cls, array: Any, shape: tuple[Dim, ...] | None = None) -> "Tensor":
        """An array; of another shape if it is repeated."""
        array = np.asarray(array)
        rank = tuple(range(array.ndim))
        return cls(array, array.shape if shape is None else shape, array.shape, rank)

    @classmethod
    def computed(
        cls, name: str, shape: tuple[Dim, ...], order: Sequence[int] | None = None
    ) -> "Tensor":
        """What a node of the graph gives, in full."""
        return cls(name, shape, shape, tuple(range(len(shape)) if order is None else order))

    @property
    def natural(self) -> tuple[int, ...]:
        """The order of the program."""
        return tuple(range(len(self.shape)))


class Graph:
    """A graph of ONNX with one input, uint8[b h w 3].

    Args:
        free: the names of the sizes of the input that are free, in the order of its axes.
    """

    def __init__(self, free: Sequence[str]):
        self._free = tuple(free)
        self._nodes: list[Any] = []
        self._constants: dict[Any, Any] = {}
        self._made: dict[Any, str] = {}

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node, unless there is the same; the name of its output."""
        key = (operator, inputs, str(sorted(attributes.items())))
        if key not in self._made:
            name = f"{operator.lower()}_{len(self._nodes)}"
            self._nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
            self._made[key] = name
        return self._made[key]

    def constant(self, array: Any) -> str:
        """The name of an array within the graph."""
        array = np.asarray(array, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key] = numpy_helper.from_array(array, name)
        return self._constants[key].name

    def integers(self, values: Sequence[int]) -> str:
        """The name of int64[n]."""
        return self.constant(np.array(values, np.int64))

    def size(self, dim: Dim) -> str:
        """The name of a size, int64[1]."""
        if isinstance(dim, int):
            return self.integers([dim])
        return self._size(ast.parse(str(dim).replace("^", "**"), mode="eval").body)

    def _size(self, expression: ast.AST) -> str:
        match expression:
            case ast.Constant(value=int(number)):
                return self.integers([number])
            case ast.Name(id=name):
                axis = self._free.index(name)
                return self.node("Shape", INPUT, start=axis, end=axis + 1)
            case ast.UnaryOp(op=ast.USub(), operand=value):
                return self.node("Neg", self._size(value))
            case ast.BinOp(left=left, op=operator, right=right):
                return self.node(_OPERATORS[type(operator)], self._size(left), self._size(right))
            case ast.Call(func=ast.Name(id=function), args=[left, right]):
                return self.node(_FUNCTIONS[function], self._size(left), self._size(right))
        raise UserError(
            f"the network has the size {ast.unparse(expression)}, which ONNX is not told of here; "
            "export it with --to=stablehlo"
        )

    def sizes(self, dims: Sequence[Dim]) -> str:
        """The name of a shape, int64[n]."""
        if all(isinstance(dim, int) for dim in dims):
            return self.integers(dims)
        return self.node("Concat", *map(self.size, dims), axis=0)

    def held(self, tensor: Tensor, order: Sequence[int]) -> str:
        """The name of what there is of a tensor, with its axes in an order."""
        if isinstance(tensor.content, np.ndarray):
            return self.constant(tensor.content.transpose(order))
        if tensor.order == tuple(order):
            return tensor.content
        places = [tensor.order.index(axis) for axis in order]
        return self.node("Transpose", tensor.content, perm=places)

    def full(self, tensor: Tensor, order: Sequence[int] | None = None) -> str:
        """The name of a tensor that is repeated as in the program, in its order unless told."""
        order = tensor.natural if order is None else order
        name = self.held(tensor, order)
        if tensor.held == tensor.shape:
            return name
        return self.node("Expand", name, self.sizes([tensor.shape[axis] for axis in order]))

    def model(self, output: Tensor, metadata: dict[str, str]) -> Any:
        """The whole as a model of ONNX.

        Args:
            output: float32[b d].
            metadata: texts by name, which are kept within.
        """
        last = self.full(output)
        self._nodes.append(helper.make_node("Identity", [last], [OUTPUT], OUTPUT))
        shape = [dim if isinstance(dim, int) else str(dim) for dim in output.shape]
        graph = helper.make_graph(
            self._nodes,
            "senet_jax",
            [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [*self._free, 3])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
            list(self._constants.values()),
        )
        model = helper.make_model(
            graph,
            producer_name="senet_jax",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        helper.set_model_props(model, metadata)
        return model
