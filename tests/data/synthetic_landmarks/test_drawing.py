from senet_jax.data.synthetic_landmarks import TINY, drawing, training_source, write_evaluation


def test_other_processes_draw_the_same(tmp_path):
    write_evaluation(TINY, "validation", tmp_path / "here")
    with drawing(2) as draw:
        assert training_source(TINY, draw).read(7) == training_source(TINY).read(7)
        write_evaluation(TINY, "validation", tmp_path / "there", draw)
    places = [
        {path.name: path.read_bytes() for path in (tmp_path / root).rglob("*") if path.is_file()}
        for root in ("here", "there")
    ]
    assert places[0] == places[1] and len(places[0]) > 20
