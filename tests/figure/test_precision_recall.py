import numpy as np

from senet_jax.figure.compared import curves_of, read_systems
from senet_jax.figure.precision_recall import draw_precision_recall
from senet_jax.metrics.protocols import PROTOCOLS
from tests.figure.drawn import check_words
from tests.report.workdirs import write_town, write_training


def test_a_curve_for_each_system(tmp_path):
    """Of several workdirs the search of each, of one all that it has."""
    write_town(tmp_path)
    runs = [write_training(tmp_path, tmp_path / f"$run_{seed}", seed) for seed in (0, 7)]
    for workdirs, names in (
        (runs, ["$run_0", "$run_7"]),
        (runs[:1], ["demo", "untrained"]),
    ):
        systems = read_systems(workdirs, None)
        found = systems[0].ranked
        for protocol in PROTOCOLS:
            curves = curves_of(systems, protocol)
            assert [curve.name for curve in curves] == names
            truth = found.dataset.ground_truth
            figure = draw_precision_recall("town", truth, protocol, curves, 3.3)
            [axes] = figure.axes
            for line, curve in zip(axes.lines, curves, strict=True):
                # The curve is drawn at some recalls, between which precision jumps.
                area = np.mean(line.get_ydata())
                np.testing.assert_allclose(area, 100 * curve.mean_average_precision, atol=0.2)
        check_words(figure)
        [legend] = figure.legends
        texts = [text.get_text() for text in legend.get_texts()]
        assert texts[0].startswith(f"{names[0]} (mAP ")
