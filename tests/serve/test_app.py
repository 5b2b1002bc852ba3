"""What the HTTP interface answers, and what it refuses."""

import concurrent.futures
import hashlib
import io
import struct
import zlib

import cv2
import numpy as np
import pytest

from senet_jax.serve import app as app_module
from senet_jax.serve import photographs as photographs_module
from senet_jax.serve.photographs import UPLOADED
from tests.data.pictures import encoded, picture, with_claimed_size
from tests.serve.conftest import HOSTILE


def id_of(path):
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def found(client, **question):
    answer = client.get("/api/search", params=question)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer, status, *words):
    assert answer.status_code == status, answer.text
    assert all(word in str(answer.json()["detail"]) for word in words), answer.text


def png_that_claims(height, width):
    """A PNG of few bytes that decodes to many pixels."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1 + width) * 64)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_photograph_that_is_given_finds_what_is_like_it(client, town):
    content = (town.photos / "1/4.jpg").read_bytes()
    known = client.post("/api/photographs", content=content)
    assert known.status_code == 201
    # The same content has the same id, wherever it comes from.
    assert known.json() == {
        "id": id_of(town.photos / "1/4.jpg"),
        "name": "1/4.jpg",
        "in_index": True,
        "width": 40,
        "height": 30,
    }
    of_another = encoded(picture(30, 40, seed=4), ".png")
    known = client.post("/api/photographs", content=of_another).json()
    assert (known["name"], known["in_index"]) == (UPLOADED, False)
    answer = found(client, photograph=known["id"], top=3)
    assert [result["rank"] for result in answer["results"]] == [1, 2, 3]
    assert answer["results"][0]["name"] == "1/4.jpg" and answer["results"][0]["score"] > 0.999
    assert answer["results"][0]["id"] == id_of(town.photos / "1/4.jpg")
    assert client.get(f"/api/photographs/{known['id']}").json() == known


def test_a_box_is_what_is_searched_for(client, town):
    both = np.zeros((100, 150, 3), np.uint8)
    both[20:50, 60:100] = picture(30, 40, seed=4)
    id_ = client.post("/api/photographs", content=encoded(both, ".png")).json()["id"]
    answer = found(client, photograph=id_, box="60,20,100,50", top=1)
    assert answer["box"] == [60, 20, 100, 50]
    assert answer["results"][0]["name"] == "1/4.jpg" and answer["results"][0]["score"] > 0.999
    for box in ("1,2,3", "a,b,c,d", "nan,0,1,1", "500,500,600,600", "-1,0,5,5"):
        answer = client.get("/api/search", params={"photograph": id_, "box": box})
        refused(answer, 422)


def test_re_ranking_says_what_it_changes(client, town):
    """The features of the fixture agree where photographs have one size."""
    id_ = id_of(town.photos / "0/0.jpg")
    before = found(client, photograph=id_, top=5)
    after = found(client, photograph=id_, top=5, rerank="true")
    assert (before["rerank"], after["rerank"]) == (None, "alpha_qe,geometric(top=5)")
    assert all(result["rank_before"] is None for result in before["results"])
    names = [result["name"] for result in before["results"]]
    for result in after["results"]:
        if result["name"] in names:
            assert result["rank_before"] == names.index(result["name"]) + 1
    sizes = [client.get(f"/api/photographs/{r['id']}").json() for r in after["results"]]
    is_alike = [(size["width"], size["height"]) == (40, 30) for size in sizes]
    assert is_alike == sorted(is_alike, reverse=True) and is_alike[0]


def test_matched_points_are_of_the_whole_photographs(client, town):
    question = {
        "photograph": id_of(town.photos / "0/0.jpg"),
        "item": id_of(town.photos / "1/4.jpg"),
    }
    answer = client.get("/api/matches", params=question).json()
    assert len(answer["scores"]) == 12
    assert answer["query_points"] == answer["item_points"] and [5, 5] in answer["item_points"]


def test_pictures(client, town):
    id_ = id_of(town.photos / "2/2.jpg")
    for size, sides in (("small", (70, 90)), ("large", (70, 90))):
        answer = client.get(f"/api/photographs/{id_}/{size}.jpg")
        assert answer.headers["content-type"] == "image/jpeg"
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        assert image.shape[:2] == sides
    refused(client.get(f"/api/photographs/{id_}/huge.jpg"), 404)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["no image"]),
        (b"this is no picture", ["18 bytes are no image"]),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ["no image"]),
        (encoded(picture(40, 50), ".png")[:60], []),
        (png_that_claims(60_000, 60_000), ["60000x60000 pixels"]),
        (with_claimed_size(encoded(picture(40, 50)), 65_000, 65_000), ["65000x65000 pixels"]),
        (b"\0\0\0\x18ftypheic" + bytes(64), []),
    ],
    ids=["empty", "text", "svg", "cut short", "png bomb", "jpeg bomb", "heic"],
)
def test_hostile_uploads(client, content, words):
    refused(client.post("/api/photographs", content=content), 422, *words)


def test_an_upload_is_bounded_whatever_it_says_of_its_length(client, monkeypatch):
    monkeypatch.setattr(app_module, "UPLOAD_BYTES", 2**20)
    refused(client.post("/api/photographs", content=bytes(2**20 + 1)), 413, "1 MiB")
    pieces = (bytes(2**18) for _ in range(5))
    refused(client.post("/api/photographs", content=pieces), 413, "1 MiB")


def test_what_was_given_is_forgotten_before_the_memory_is_full(service, monkeypatch):
    photographs = service.photographs
    monkeypatch.setattr(photographs._uploads, "_most", 10_000)
    ids = [photographs.add(encoded(picture(40, 50, seed=s), ".bmp")).id for s in range(100, 104)]
    assert photographs[ids[-1]].photograph.whole().shape == (40, 50, 3)
    with pytest.raises(photographs_module.UnknownPhotograph):
        photographs[ids[0]]


@pytest.mark.parametrize(
    "path",
    [
        "/api/photographs/../../etc/passwd",
        "/api/photographs/%2e%2e%2f%2e%2e%2fetc%2fpasswd/small.jpg",
        "/api/photographs/..%2findex.json",
        "/page.js/../../../index.json",
        "/../index.json",
        "/0/0.jpg",
        "/docs",
        f"/api/photographs/{'0' * 32}",
        f"/api/photographs/{'0' * 32}/small.jpg",
        f"/api/search?photograph={'0' * 32}",
        "/api/search?photograph=/etc/passwd",
        "/api/photographs?start=-1",
        "/api/photographs?count=100000",
    ],
)
def test_no_path_is_served(client, path):
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    assert "jpeg" not in answer.headers["content-type"]


def test_names_are_text_and_errors_tell_no_folder(client, town):
    """A name with markup, a newline and an escape is data in JSON, on one line."""
    listed = client.get("/api/photographs").json()
    assert listed["total"] == 21
    (name,) = [p["name"] for p in listed["photographs"] if "script" in p["name"]]
    assert name == repr(HOSTILE) and "\n" not in name and "\x1b" not in name
    id_ = id_of(town.photos / HOSTILE)
    (town.photos / HOSTILE).unlink()
    answer = client.get(f"/api/photographs/{id_}/small.jpg")
    refused(answer, 422, "cannot read the image <script>")
    assert str(town.photos) not in answer.text
    assert answer.headers["content-type"] == "application/json"


def test_the_page_allows_no_script_but_its_own(client):
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert "<script>" not in answer.text and "onclick" not in answer.text
    assert "http://" not in answer.text and "https://" not in answer.text
    for name in ("page.js", "compared.js", "base.css", "page.css", "icon.svg"):
        assert client.get(f"/{name}").status_code == 200
        assert "innerHTML" not in client.get(f"/{name}").text


def test_machines_read_what_there_is_to_ask(client):
    described = client.get("/openapi.json").json()
    assert "/api/search" in described["paths"]
    answer = described["components"]["schemas"]["Result"]["properties"]
    assert set(answer) == {"rank", "id", "name", "score", "rank_before"}
    index = client.get("/api/index").json()
    assert index["photographs"] == 21 and index["rerank"] == "alpha_qe,geometric(top=5)"


def test_twenty_at_once(client, town):
    ids = [id_of(town.photos / f"{number % 3}/{number}.jpg") for number in range(20)]

    def ask(number):
        box = f"0,0,{20 + number % 7},25"
        question = {"photograph": ids[number], "box": box, "top": 3, "rerank": number % 2 == 0}
        return found(client, **question)["results"]

    alone = [ask(number) for number in range(20)]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(20))) == alone


def test_a_similarity_picture(client, town, monkeypatch):
    """Through the network of the index, at few sizes."""
    question = {
        "photograph": id_of(town.photos / "0/0.jpg"),
        "item": id_of(town.photos / "2/2.jpg"),
    }
    query, item = (
        client.get(f"/api/similarity/{of}.jpg", params=question) for of in ("query", "item")
    )
    images = [
        cv2.imdecode(np.frombuffer(io.BytesIO(a.content).read(), np.uint8), cv2.IMREAD_COLOR)
        for a in (query, item)
    ]
    assert [image.shape[:2] for image in images] == [(540, 720), (560, 720)]
    refused(client.get("/api/similarity/other.jpg", params=question), 404)
