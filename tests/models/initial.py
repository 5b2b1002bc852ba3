import jax

from tests.programs import quickly


def initial_variables(module, *inputs):
    """What `module.init` gives, by a program that is not optimised: it runs once."""
    return quickly(module.init)(jax.random.key(0), *inputs)
