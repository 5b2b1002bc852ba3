"""The kinds of files to which networks are exported: how each is written, and run again."""

import functools
import pathlib
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from senet_jax.system.optional import optional_import
from senet_jax.weights import Weights

Program = Callable[[np.ndarray], np.ndarray]
"""From uint8[b h w 3] RGB to descriptors float32[b d] of unit length."""

PLATFORMS = ("cpu", "cuda", "tpu")
METADATA = "senet_jax"
"""Under which name a file says what it is, where its kind has room for that."""


class Target:
    """A kind of files."""

    files: ClassVar[tuple[str, ...]]
    """The names of the files of an export; the first is the one that is loaded."""

    def write(self, folder: pathlib.Path, weights: Weights, metadata: str) -> None:
        """Writes the files into a folder.

        Args:
            folder: which there is.
            weights: of the network.
            metadata: a text that is kept within, where the kind has room for one.
        """
        raise NotImplementedError

    def load(self, folder: pathlib.Path) -> Program:
        """The program of a folder's files, on the CPU or what JAX has."""
        raise NotImplementedError


class StableHLO(Target):
    """A serialised `jax.export.Exported`; it has no room for metadata."""

    files = ("model.stablehlo",)

    def write(self, folder: pathlib.Path, weights: Weights, metadata: str) -> None:
        """See `Target`."""
        from senet_jax.export.program import exported

        content = exported(weights, PLATFORMS).serialize()
        (folder / self.files[0]).write_bytes(content)

    def load(self, folder: pathlib.Path) -> Program:
        """See `Target`."""
        from jax import export

        content = bytearray((folder / self.files[0]).read_bytes())
        program = export.deserialize(content)
        return lambda images: np.asarray(program.call(images))


class Onnx(Target):
    """One file of ONNX, for which nothing of JAX is needed."""

    files = ("model.onnx",)

    def write(self, folder: pathlib.Path, weights: Weights, metadata: str) -> None:
        """See `Target`."""
        (folder / self.files[0]).write_bytes(_onnx_model(weights, metadata))

    def load(self, folder: pathlib.Path) -> Program:
        """See `Target`."""
        with optional_import("onnx", "exports to ONNX"):
            import onnxruntime
        session = onnxruntime.InferenceSession(
            folder / self.files[0], providers=["CPUExecutionProvider"]
        )
        return lambda images: np.asarray(session.run(None, {"images": images})[0])


class OpenVino(Target):
    """OpenVINO's own reading of the ONNX file, in float32."""

    files = ("model.xml", "model.bin")

    def write(self, folder: pathlib.Path, weights: Weights, metadata: str) -> None:
        """See `Target`."""
        openvino = _openvino()
        model = openvino.Core().read_model(_onnx_model(weights, metadata))
        model.set_rt_info(metadata, [METADATA])
        openvino.save_model(model, folder / self.files[0], compress_to_fp16=False)

    def load(self, folder: pathlib.Path) -> Program:
        """See `Target`."""
        # Where a processor has fewer bits to offer, OpenVINO would take them.
        options = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = _openvino().Core().compile_model(folder / self.files[0], "CPU", options)
        return lambda images: np.array(compiled(images)[0])


def _onnx_model(weights: Weights, metadata: str) -> bytes:
    """The network in ONNX, serialised."""
    from senet_jax.export.onnx_operators import translate
    from senet_jax.export.program import FREE, traced

    return translate(traced(weights), FREE, {METADATA: metadata}).SerializeToString()


@functools.cache
def _openvino() -> Any:
    # To import it together with this package would report its use to its makers.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with optional_import("openvino", "exports to OpenVINO"):
        import openvino
    return openvino


TARGETS: dict[str, Target] = {"stablehlo": StableHLO(), "onnx": Onnx(), "openvino": OpenVino()}
"""By the name that the command line takes."""
