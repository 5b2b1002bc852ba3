from senet_jax.data.overlap import overlapping_queries


def test_known_overlaps():
    assert overlapping_queries(["GLDv2-clean"], "roxford5k") == 36
    assert overlapping_queries(["ImageNet", "gldv2_clean", "mine"], "rparis6k") == 38
    for training_sets in (["SfM-120k", "ImageNet"], []):
        assert overlapping_queries(training_sets, "roxford5k") == 0
    assert overlapping_queries(["GLDv2-clean"], "photos") == 0
