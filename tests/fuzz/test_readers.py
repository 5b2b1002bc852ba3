"""Any mutation of a valid file is read, or refused in one printable line.

`make test` tries a few of each reader, and all that ever broke one (`corpus/`); `make fuzz` tries
many more. What is found is left in the corpus, as small as it gets.
"""

import dataclasses
import hashlib
import os
import pathlib

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.children import Outcome, Server
from tests.fuzz.mutations import mutated
from tests.fuzz.reader import Reader
from tests.fuzz.readers import READERS

CORPUS = pathlib.Path(__file__).parent / "corpus"
SAVED = [(path.parent.name, path) for path in sorted(CORPUS.glob("*/*"))]

settings.register_profile(
    "few",
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "many", settings.get_profile("few"), max_examples=20_000, derandomize=False
)
settings.load_profile(os.environ.get("FUZZ_PROFILE", "few"))


@pytest.fixture(scope="module")
def server():
    """The process in which files are read."""
    running = Server()
    yield running
    running.close()


@dataclasses.dataclass
class _Case:
    """A reader, and a folder with all that it needs."""

    name: str
    reader: Reader
    path: pathlib.Path
    examples: list[bytes]
    server: Server
    kept: pathlib.Path | None = None

    def read(self, content: bytes) -> Outcome:
        self.path.write_bytes(content)
        return self.server.run(self.name, self.path)

    def keep(self, content: bytes) -> None:
        """Leaves what broke the reader in the corpus; of a run the last, which is smallest."""
        if self.kept is not None:
            self.kept.unlink()
        self.kept = CORPUS / self.name / hashlib.sha256(content).hexdigest()[:12]
        self.kept.parent.mkdir(exist_ok=True)
        self.kept.write_bytes(content)


@pytest.fixture(scope="module")
def make_case(server, tmp_path_factory):
    cases = {}

    def make(name):
        if name not in cases:
            reader, folder = READERS[name], tmp_path_factory.mktemp(name)
            cases[name] = _Case(
                name, reader, folder / reader.file_name, reader.examples(folder), server
            )
        return cases[name]

    return make


@pytest.mark.parametrize("name", READERS)
def test_a_valid_file_is_read(make_case, name):
    case = make_case(name)
    for content in case.examples:
        assert case.read(content) == Outcome("value")


@pytest.mark.parametrize("name", READERS)
def test_a_mutated_file_is_read_or_refused(make_case, name):
    case = make_case(name)

    @given(mutated(case.examples, case.reader.tokens))
    def try_one(content):
        outcome = case.read(content)
        if outcome.kind == "broken":
            case.keep(content)
            pytest.fail(f"{case.kept}: {outcome.text[-2000:]}")

    try_one()


@pytest.mark.parametrize(("name", "path"), SAVED, ids=[f"{n}-{p.name}" for n, p in SAVED])
def test_what_once_broke_a_reader(make_case, name, path):
    outcome = make_case(name).read(path.read_bytes())
    assert outcome.kind != "broken", outcome.text[-2000:]
