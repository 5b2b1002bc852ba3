"""The HTTP interface of a service, and its page."""

import asyncio
import importlib.resources
import os
from typing import Annotated

from fastapi import FastAPI, HTTPException, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from senet_jax.index.photographs import Box
from senet_jax.report.document import base_style
from senet_jax.report.pictures import fitted, thumbnail
from senet_jax.serve.answers import (
    IndexAnswer,
    ListAnswer,
    MatchesAnswer,
    NamedAnswer,
    PhotographAnswer,
    Result,
    SearchAnswer,
)
from senet_jax.serve.kept import Kept
from senet_jax.serve.photographs import UPLOAD_BYTES, Known, UnknownPhotograph
from senet_jax.serve.service import MOST_RESULTS, Service
from senet_jax.system.coordinates import parse_coordinates
from senet_jax.system.errors import UserError

SIDES = {"small": 280, "large": 1280}
"""The longer sides of pictures, in pixels."""
PICTURE_BYTES = 2**26
"""Of all pictures that are kept."""
UPLOADS_AT_ONCE = 4
UPLOAD_SECONDS = 120

_DIGEST = r"^[0-9a-f]{32}$"
Id = Annotated[str, Path(pattern=_DIGEST, description="The id of a photograph.")]
QueryId = Annotated[str, Query(alias="photograph", pattern=_DIGEST, description="Its id.")]
ItemId = Annotated[str, Query(pattern=_DIGEST, description="The id of what it is compared with.")]
BoxText = Annotated[
    str | None,
    Query(
        max_length=100,
        description="x1,y1,x2,y2: the part of the photograph that counts, in its pixels, upright.",
    ),
]
_KEPT = {"cache-control": "private, max-age=86400, immutable"}
_PAGE_FILES = {
    "": "text/html",
    "compared.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "page.css": "text/css",
    "page.js": "text/javascript",
}


def make_app(service: Service) -> FastAPI:
    """The application; whoever runs it decides who may ask, see `Guard`."""
    # The pages with which FastAPI shows an interface load scripts from elsewhere.
    app = FastAPI(title="senet_jax", version="1", docs_url=None, redoc_url=None)
    _answer_errors(app, service)
    _add_page(app)
    _add_photographs(app, service)
    _add_searches(app, service)
    return app


def _answer_errors(app: FastAPI, service: Service) -> None:
    folder = os.path.join(service.searcher.index.listing.folder, "")

    @app.exception_handler(UserError)
    def mistaken(_: Request, error: UserError) -> Response:
        return JSONResponse({"detail": str(error).replace(folder, "")}, 422)

    @app.exception_handler(UnknownPhotograph)
    def unknown(_: Request, error: UnknownPhotograph) -> Response:
        why = "no such photograph is in the index, or it is no longer kept; give it again"
        return JSONResponse({"detail": why}, 404)


def _add_page(app: FastAPI) -> None:
    def add(name: str, kind: str, content: bytes) -> None:
        @app.get(f"/{name}", include_in_schema=False)
        def file() -> Response:
            headers = {"cache-control": "no-cache"}
            return Response(content, media_type=kind, headers=headers)

    for name, kind in _PAGE_FILES.items():
        own = importlib.resources.files(__package__) / (name or "page.html")
        add(name, kind, own.read_bytes())
    add("base.css", "text/css", base_style().encode())


def _add_photographs(app: FastAPI, service: Service) -> None:
    photographs = service.photographs
    pictures: Kept[bytes] = Kept(PICTURE_BYTES, len)
    uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)

    def answer(known: Known) -> PhotographAnswer:
        height, width = photographs.size(known)
        in_index = known.row is not None
        return PhotographAnswer(
            id=known.id, name=known.name, in_index=in_index, width=width, height=height
        )

    @app.get("/api/index")
    def index() -> IndexAnswer:
        """What is searched, and by which network."""
        weights = service.searcher.weights
        return IndexAnswer(
            photographs=len(photographs),
            network=weights.architecture.name,
            trained_on=weights.training_set,
            is_random=weights.random,
            rerank=str(service.chain),
        )

    @app.get("/api/photographs")
    def some(
        start: Annotated[int, Query(ge=0, le=2**31)] = 0,
        count: Annotated[int, Query(ge=1, le=200)] = 48,
    ) -> ListAnswer:
        """Photographs of the index."""
        named = [NamedAnswer(id=k.id, name=k.name) for k in photographs.some(start, count)]
        return ListAnswer(total=len(photographs), start=start, photographs=named)

    @app.post(
        "/api/photographs",
        status_code=201,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def add(request: Request) -> PhotographAnswer:
        """Takes a photograph, the file itself as the body; it is kept in memory for a while."""
        async with uploads:
            content = await _body(request)
            known = await run_in_threadpool(photographs.add, content)
        return answer(known)

    @app.get("/api/photographs/{photograph}")
    def one(photograph: Id) -> PhotographAnswer:
        """A photograph's name and size."""
        return answer(photographs[photograph])

    @app.get("/api/photographs/{photograph}/{size}.jpg", response_class=Response)
    def picture(photograph: Id, size: str) -> Response:
        """A photograph, `small` or `large`, upright, as a JPEG."""
        if size not in SIDES:
            raise HTTPException(404, f"pictures are {' or '.join(SIDES)}")
        known = photographs[photograph]

        def draw() -> bytes:
            image = known.photograph.whole()
            return thumbnail(fitted(image, min(SIDES[size], max(image.shape[:2])))).jpeg

        jpeg = pictures.made((known.id, size), draw)
        return Response(jpeg, media_type="image/jpeg", headers=_KEPT)


async def _body(request: Request) -> bytes:
    """The body of a request, of at most `UPLOAD_BYTES`."""
    content = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for piece in request.stream():
                content += piece
                if len(content) > UPLOAD_BYTES:
                    raise HTTPException(
                        413, f"a photograph may have {UPLOAD_BYTES // 2**20} MiB; make it smaller"
                    )
    except TimeoutError as error:
        raise HTTPException(408, "the photograph came too slowly; give it again") from error
    return bytes(content)


def _add_searches(app: FastAPI, service: Service) -> None:
    photographs = service.photographs
    drawn: Kept[tuple[bytes, bytes]] = Kept(PICTURE_BYTES, lambda two: sum(map(len, two)))

    @app.get("/api/search")
    def search(
        photograph: QueryId,
        box: BoxText = None,
        top: Annotated[int, Query(ge=1, le=MOST_RESULTS, description="How many to find.")] = 24,
        rerank: Annotated[bool, Query(description="Whether to re-rank what is found.")] = False,
    ) -> SearchAnswer:
        """The photographs of the index that are most similar to one, or to a part of it."""
        query, part = photographs[photograph], _read_box(box)
        found = service.search(query, part, top, rerank)
        results = [
            Result(
                rank=rank,
                id=photographs.id_of(answer.path),
                name=photographs.name_of(answer.path),
                score=answer.score,
                rank_before=answer.rank_before,
            )
            for rank, answer in enumerate(found.answers, 1)
        ]
        return SearchAnswer(
            query=query.id,
            box=part,
            rerank=str(service.chain) if rerank else None,
            results=results,
            seconds=found.seconds,
        )

    @app.get("/api/matches")
    def matches(photograph: QueryId, item: ItemId, box: BoxText = None) -> MatchesAnswer:
        """The points that a photograph, or a part of it, has in common with another."""
        found = service.matches(photographs[photograph], _read_box(box), photographs[item])
        return MatchesAnswer(
            query_points=found.query_points.tolist(),
            item_points=found.item_points.tolist(),
            scores=found.scores.tolist(),
        )

    @app.get("/api/similarity/{of}.jpg", response_class=Response)
    def similarity(of: str, photograph: QueryId, item: ItemId, box: BoxText = None) -> Response:
        """Where two photographs are alike for the network: on the `query`, or on the `item`."""
        if of not in ("query", "item"):
            raise HTTPException(404, "similarity is of the query or the item")
        query, part, other = photographs[photograph], _read_box(box), photographs[item]
        two = drawn.made((query.id, part, other.id), lambda: service.similarity(query, part, other))
        return Response(two[of == "item"], media_type="image/jpeg", headers=_KEPT)


def _read_box(text: str | None) -> Box | None:
    if text is None:
        return None
    x1, y1, x2, y2 = parse_coordinates(text, "x1,y1,x2,y2")
    return x1, y1, x2, y2
