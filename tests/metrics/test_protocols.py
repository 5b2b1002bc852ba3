from senet_jax.data.ground_truth import KINDS
from senet_jax.metrics.protocols import PROTOCOLS


def test_what_each_protocol_finds_and_leaves_out():
    assert {p.name: (set(p.positive), set(p.junk)) for p in PROTOCOLS} == {
        "easy": ({"easy"}, {"junk", "hard"}),
        "medium": ({"easy", "hard"}, {"junk"}),
        "hard": ({"hard"}, {"junk", "easy"}),
    }


def test_every_kind_is_read():
    for protocol in PROTOCOLS:
        assert sorted(protocol.positive + protocol.junk) == sorted(KINDS)
