import ast
import pathlib

import pytest

from configs.evaluate import get_config
from senet_jax.jobs.evaluation_plan import EvaluationPlan
from senet_jax.system.errors import UserError
from tests.data.pictures import write_dataset

PACKAGE = pathlib.Path(__file__).parents[2] / "senet_jax"
BOXES = [(1, 2, 30, 40), (0, 0, 9, 9)]


@pytest.fixture
def config(tmp_path):
    for name, boxes in (("town", BOXES), ("port", BOXES), ("plain", None), ("run", BOXES)):
        write_dataset(tmp_path, name, boxes)
    (tmp_path / "noise" / "jpg").mkdir(parents=True)
    for name in ("d.jpg", "e.jpg"):
        (tmp_path / "noise" / "jpg" / name).write_bytes(b"")
    config = get_config("tiny")
    config.data_root, config.datasets = str(tmp_path), "town, port"
    config.distractors, config.storage = "noise", "int8"
    return config


def test_every_list_once_in_order(config):
    plan = EvaluationPlan.from_config(config)
    lists = [(p.label, len(p.photographs), p.storage, p.skip_unreadable) for p in plan.lists]
    assert lists == [
        ("town query", 2, "float32", False),
        ("town database", 3, "int8", True),
        ("port query", 2, "float32", False),
        ("port database", 3, "int8", True),
        ("noise database", 2, "int8", True),
    ]
    port = plan.datasets[1]
    labels = [planned.label for planned in (plan.query_list(port), *plan.database_lists(port))]
    assert labels == ["port query", "port database", "noise database"]
    assert [p.file_name for p in plan.searched(port)][-2:] == ["d.jpg", "e.jpg"]
    assert plan.database_lists(port)[1].image_names == ("d.jpg", "e.jpg")
    assert plan.notes == ["with noise"]
    config.strict, config.distractors = True, ""
    plan = EvaluationPlan.from_config(config.to_dict())
    assert not any(planned.skip_unreadable for planned in plan.lists)
    assert len(plan.searched(plan.datasets[0])) == 3 and plan.notes == []


def test_queries_are_cut_to_their_boxes_or_not(config):
    plan = EvaluationPlan.from_config(config)
    assert [query.box for query in plan.queries(plan.datasets[0])] == BOXES
    config.crop_queries = False
    config.datasets = "town,plain"
    plan = EvaluationPlan.from_config(config)
    for dataset in plan.datasets:
        assert [query.box for query in plan.query_list(dataset).photographs] == [None, None]
    assert plan.notes == ["with noise", "queries NOT cropped"]


def test_one_module_decides_it():
    naming = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("crop_queries", "whole_queries"):
                naming.add(path.relative_to(PACKAGE).as_posix())
    assert naming == {"jobs/evaluation_plan.py"}


def test_files_that_are_not_there_are_counted(config):
    lines = EvaluationPlan.from_config(config).missing
    assert [line.partition(":")[0] for line in lines] == ["town", "port"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": "run"}, "a dataset cannot be called 'run'"),
        ({"datasets": "plain"}, "plain has no boxes to crop its queries to"),
        ({"distractors": "port"}, "port is searched and named as its own distractors"),
    ],
)
def test_what_cannot_be_evaluated(config, changes, message):
    (pathlib.Path(config.data_root) / "port" / "jpg" / "a.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=message):
        EvaluationPlan.from_config(config.to_dict() | changes)
