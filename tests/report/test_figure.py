import cv2
import numpy as np

from senet_jax.report.figure import make_figure, save_png


def test_a_figure_is_written_pixel_by_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (61, 87, 3), np.uint8)
    figure = make_figure(87, 61)
    figure.figimage(pixels)
    save_png(figure, tmp_path / "new" / "x.png")
    written = cv2.imread(str(tmp_path / "new" / "x.png"))
    np.testing.assert_array_equal(written[..., ::-1], pixels)
