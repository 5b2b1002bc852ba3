import jax


def initial_variables(module, *inputs):
    """What `module.init` gives, by a program that is not optimised: it runs once."""
    init = jax.jit(module.init, compiler_options={"xla_backend_optimization_level": 0})
    return init(jax.random.key(0), *inputs)
