import jax
import numpy as np

from senet_jax.models.layers import LayerOptions
from senet_jax.models.resnet import ResidualBlock, Stage
from senet_jax.models.valid_region import WHOLE
from tests.models.initial import initial_variables


def test_zero_last_gamma_starts_a_block_as_its_shortcut():
    maps = np.random.default_rng(0).normal(size=(1, 3, 4, 8)).astype(np.float32)
    block = ResidualBlock(8, 1, LayerOptions(zero_last_gamma=True))
    variables = initial_variables(block, maps, WHOLE)
    scales = {name: norm.get("scale") for name, norm in variables["params"]["f"].items()}
    assert not scales["c_bn"].any()
    assert scales["a_bn"].all() and scales["b_bn"].all()
    np.testing.assert_array_equal(block.apply(variables, maps, WHOLE), np.maximum(maps, 0))


def _program(depth, **options):
    stage = Stage(depth, 64, 1, LayerOptions(folded=True, **options))
    maps = jax.ShapeDtypeStruct((1, 24, 32, 64), np.float32)
    variables = jax.eval_shape(stage.init, jax.random.key(0), maps, WHOLE)
    program = jax.jit(lambda *inputs: stage.apply(*inputs, WHOLE)).lower(variables, maps).compile()
    return program.memory_analysis().temp_size_in_bytes


def test_separate_blocks_do_not_keep_what_those_before_them_added():
    assert _program(9, separate_blocks=True) == _program(3, separate_blocks=True)
    assert _program(9) > 1.5 * _program(3)
