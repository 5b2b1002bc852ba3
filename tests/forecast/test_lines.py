import pytest

from senet_jax.forecast.lines import in_bytes


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1,024 bytes (1.0 KiB)"),
        (1_500_000, "1,500,000 bytes (1.4 MiB)"),
        (5 * 2**30, "5,368,709,120 bytes (5.0 GiB)"),
    ],
)
def test_bytes(count, text):
    assert in_bytes(count) == text
