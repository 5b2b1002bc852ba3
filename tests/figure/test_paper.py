from senet_jax.figure.paper import apart, label


def test_names_that_are_apart():
    assert apart(["r50", "r101"], ["a", "b"]) == ["r50", "r101"]
    assert apart(["r50", "r50"], ["a", "b"]) == ["a", "b"]
    assert apart(["r50", "r50", ""], ["a", "a", "b"]) == ["A", "B", "C"]


def test_names_from_elsewhere():
    assert label("a\n\x1b") == "a \\x1b" and len(label(500 * "a")) == 40
    assert len(label(500 * "a", 26)) == 26
