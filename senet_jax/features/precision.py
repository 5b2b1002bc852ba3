"""In how many bits networks multiply when they describe.

Names and settings need no JAX, which takes a second to import.
"""

from typing import Any, Literal, get_args

from senet_jax.system.errors import UserError, shown

Precision = Literal["float32", "tf32", "bfloat16"]
"""`tf32` rounds the factors of products to 11 bits and adds them up in float32. `bfloat16` keeps
maps in 8 bits, and adds up in float32. Norms, pooling, the last layer and the lengths of
descriptors are in float32 everywhere."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# JAX's names. Accelerators multiply float32 in fewer bits unless they are told not to.
_PRODUCTS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "default"}


def check_precision(precision: str) -> None:
    """Raises a `UserError` unless the devices of this process can multiply so."""
    import jax

    if precision not in PRECISIONS:
        raise UserError(f"precision is {shown(precision)}; give one of {', '.join(PRECISIONS)}")
    if precision == "tf32" and jax.default_backend() != "gpu":
        raise UserError(
            f"precision is 'tf32', which GPUs have and this {jax.default_backend()} has not; give "
            "float32 or bfloat16"
        )


def products_in(precision: Precision) -> Any:
    """The context in which functions are traced whose products have a precision."""
    import jax

    return jax.default_matmul_precision(_PRODUCTS[precision])


def form_of_precision(precision: Precision) -> dict[str, Any]:
    """What a precision changes of the options of `build_model`."""
    if precision != "bfloat16":
        return {}
    import jax.numpy as jnp

    # A norm that is folded is no more in float32; Winograd's transforms lose digits of the few.
    unfit = dict.fromkeys(("folded", "fast_blocks", "fast_offsets"), False)
    return {"dtype": jnp.bfloat16, **unfit}


def origin_of_precision(precision: Precision) -> dict[str, str]:
    """Its part of an origin: nothing for float32, as before there was another; see `origin`."""
    return {} if precision == "float32" else {"precision": precision}
