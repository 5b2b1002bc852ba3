"""Programs that run a few times: to compile them well takes longer than to run them badly."""

import functools

import jax

quickly = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""`jax.jit` without most of the work of compiling; sums may be added up in another order."""
