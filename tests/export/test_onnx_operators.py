"""Single operations of JAX as ONNX has them, and those that it has not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.export.program import FREE, free_images
from senet_jax.system.errors import UserError

pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
from senet_jax.export.onnx_operators import translate  # noqa: E402

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 37, 41, 3), np.uint8)


def _as_numbers(images):
    return images.astype(jnp.float32) / 255


# What networks do not do today, or do in one order of axes alone.
FUNCTIONS = {
    "transposed": lambda x: x.transpose(3, 0, 2, 1).sum(axis=(0, 3)) + x[:, 0, :, 0],
    "repeated": lambda x: jnp.broadcast_to(x[:, :1], x.shape).sum(axis=(1, 3)),
    "a known array that is repeated": lambda x: (
        jnp.broadcast_to(jnp.arange(3.0), x.shape) * 2 - x
    ).sum(axis=(2, 3)),
    "parts": lambda x: x[:, 2:7][:, :, 1::2][..., ::-1].sum(axis=(1, 2)),
    "padded": lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), constant_values=2.0)[
        :, 0, :5, 0
    ],
    "sizes": lambda x: x.sum(axis=(1, 2)) / (x.shape[1] // 2 * x.shape[2] + x.shape[1] ** 2 % 7),
    "stacked": lambda x: jnp.stack([x, 2 * x], axis=3).reshape(x.shape[0], -1)[:, :9],
    "a product": lambda x: jnp.einsum("bhwc,bhkc->bwk", x, x[:, :, :4]).sum(axis=1),
    "a power": lambda x: (jnp.maximum(x, 0.5) ** 3.0 - jnp.sqrt(x)).sum(axis=(1, 2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operation_gives_what_jax_gives(name):
    def function(images):
        return FUNCTIONS[name](_as_numbers(images))

    model = translate(jax.make_jaxpr(function)(free_images()), FREE, {})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {"images": IMAGES})
    np.testing.assert_allclose(found, function(jnp.asarray(IMAGES)), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: jnp.sin(x).sum(axis=(1, 2)), "computes sin, which has no translation"),
        (lambda x: x[:, x[0, 0, 0, 0].astype(int), :, 0], "no translation"),
        (
            lambda x: jax.lax.pad(x, 0.0, [(0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)])[:, 0, :, 0],
            "pads between positions",
        ),
    ],
)
def test_what_has_no_translation_is_one_line(function, said):
    traced = jax.make_jaxpr(lambda images: function(_as_numbers(images)))(free_images())
    with pytest.raises(UserError, match=f"{said}.*--to=stablehlo"):
        translate(traced, FREE, {})
