import pytest

from senet_jax.convert.states import find_states, network_part

AUTHORS = ["stem.conv.weight", "s1.b1.f.a.weight", "s4.b1.f.a.weight", "head.fc.weight"]
TORCHVISION = ["conv1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight", "fc.weight"]
TRUNK = TORCHVISION[:-1]
SENET = [*AUTHORS, "SSM.FFN.0.weight"]
CVNET = [
    *(f"encoder_q.{name}" for name in [*AUTHORS, "head.pool.p"]),
    "conv2ds.0.weight",
    "cv_learner.mlp.0.weight",
]


def _under(prefix, names):
    return [prefix + name for name in names]


def _is_tensor(value):
    return isinstance(value, float)


def _state(names):
    return dict.fromkeys(names, 1.0)


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        (_state(SENET), [""]),
        ({"state_dict": _state(SENET), "epoch": 3}, ["state_dict"]),
        ({"model": {"state_dict": _state(SENET)}}, ["model.state_dict"]),
        ({"anything": {"within": _state(SENET)}}, ["anything.within"]),
        (
            {"model_ema": _state(SENET), "model": _state(SENET)},
            ["model", "model_ema"],
        ),
        (
            {"student": _state(TRUNK), "teacher": _state(TRUNK)},
            ["teacher", "student"],
        ),
        ({"ema_state": _state(SENET), "model_state": _state(SENET)}, ["model_state", "ema_state"]),
        # What optimizers keep is a state as well, but of no network.
        (
            {"optimizer": {"state": {0: _state(["exp_avg"])}}, "net": _state(SENET)},
            ["net"],
        ),
        ({"queue": 1.0, "state_dict": _state(SENET)}, ["state_dict"]),
        # Of no network at all: what is there.
        ({"state_dict": _state(["a", "b"])}, ["state_dict"]),
        ({"epoch": 3, "state_dict": {}}, []),
        ([_state(SENET)], []),
        (_state([3, 4]), []),
    ],
)
def test_states_are_found_and_the_one_to_take_is_first(value, keys):
    assert [".".join(key) for key, _ in find_states(value, _is_tensor)] == keys


def test_mappings_that_hold_each_other_end():
    value = {}
    value["a"] = {"b": value, "c": _state(SENET)}
    for level in range(8):  # Without care, 3^8 ways lead to the same state.
        value = dict.fromkeys((f"{level}a", f"{level}b", f"{level}c"), value)
    assert len(find_states(value, _is_tensor)) <= 1


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "backbone.",
        "model.backbone.",
        "encoder_q.",
        "module.encoder_q.",
        "globalmodel.",
        "anything.at.all.",
    ],
)
@pytest.mark.parametrize("names", [AUTHORS, SENET, TORCHVISION, TRUNK])
def test_a_prefix_of_all_names_is_taken_off(prefix, names):
    part = network_part(_under(prefix, names))
    assert part.prefix == prefix
    assert part.names == dict(zip(names, _under(prefix, names), strict=True))
    assert part.others == part.left_out == ()


@pytest.mark.parametrize("names", [AUTHORS, SENET, TORCHVISION, TRUNK, CVNET, ["a", "b.c"]])
def test_bare_names_stay(names):
    part = network_part(names)
    assert (part.prefix, part.left_out, list(part.names)) == ("", (), names)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module."])
def test_the_encoder_of_cvnet_keeps_its_own_prefix(prefix):
    part = network_part(_under(prefix, CVNET))
    assert (part.prefix, list(part.names), part.left_out) == (prefix, CVNET, ())


def test_of_momentum_contrast_the_query_encoder_is_taken():
    heads = _under("module.encoder_q.", ["fc.0.weight", "fc.2.weight"])
    key_encoder = _under("module.encoder_k.", [*TRUNK, "fc.0.weight"])
    queue = ["module.queue", "module.queue_ptr"]
    encoder = _under("module.encoder_q.", TRUNK)
    # The order in which a file has them does not matter.
    for names in ([*encoder, *heads, *key_encoder, *queue], [*key_encoder, *queue, *encoder]):
        part = network_part(names)
        assert (part.prefix, list(part.names)) == ("module.encoder_q.", TRUNK)
        assert part.others == ("module.encoder_k.",)
        assert set(part.left_out) == set(names) - set(encoder)


@pytest.mark.parametrize(
    ("taken", "other"),
    [
        ("model.", "model_ema.module."),
        ("", "ema."),
        ("base_encoder.", "momentum_encoder."),
        ("online_network.", "target_network."),
        ("teacher.backbone.", "student.backbone."),
        ("encoder.", "encoder.teacher."),
    ],
)
def test_of_two_networks_one_is_taken(taken, other):
    ours, theirs = _under(taken, TORCHVISION), _under(other, TORCHVISION)
    for names in ([*ours, *theirs], [*theirs, *ours]):
        part = network_part(names)
        assert (part.prefix, part.others) == (taken, (other,))
        assert list(part.names.values()) == ours
        assert set(part.left_out) == set(theirs)


def test_modules_of_the_network_beside_the_prefix_are_taken():
    names = [*_under("backbone.", AUTHORS[:-1]), "SSM.FFN.0.weight", "head.fc.weight", "loss.t"]
    part = network_part(names)
    assert set(part.names) == {*AUTHORS, "SSM.FFN.0.weight"}
    assert part.left_out == ("loss.t",)
    part = network_part([*_under("backbone.", TRUNK), "fc.weight"])
    assert set(part.names) == set(TORCHVISION)


@pytest.mark.parametrize(
    "head", ["projection_head.0.weight", "prototypes.weight", "head.mlp.0.weight", "fc.0.weight"]
)
def test_heads_of_other_tasks_are_left_out(head):
    assert network_part([*TRUNK, head]).left_out == (head,)
    # With the network's own head there, more names are for the strict check of all names to see.
    assert network_part([*TORCHVISION, "projection_head.0.weight"]).left_out == ()
    assert network_part([*SENET[:-2], SENET[-1], "more"]).left_out == ()
