from senet_jax.data.overlap import overlapping_queries


def test_known_overlaps():
    assert overlapping_queries("GLDv2-clean", "roxford5k") == 36
    assert overlapping_queries("GLDv2-clean", "rparis6k") == 38
    for training_set in ("SfM-120k", "ImageNet", None, ["GLDv2-clean"]):
        assert overlapping_queries(training_set, "roxford5k") == 0
    assert overlapping_queries("GLDv2-clean", "photos") == 0
