"""Values up to a size in all."""

from senet_jax.serve.kept import Kept


def test_what_was_not_used_goes_first():
    kept = Kept(10, len)
    for key, value in (("a", b"1234"), ("b", b"1234"), ("a", b"12"), ("c", b"1234")):
        kept.put(key, value)
    assert kept.get("b") == b"1234"  # Now it was used after a.
    kept.put("d", b"12")
    assert [kept.get(key) for key in "abcd"] == [None, b"1234", b"1234", b"12"]
    kept.put("e", bytes(11))
    assert [kept.get(key) for key in "bcde"] == [None] * 4


def test_it_is_made_once():
    kept, made = Kept(2, len), []
    for _ in range(2):
        assert kept.made("a", lambda: made.append(1) or b"x") == b"x"
    assert made == [1]
