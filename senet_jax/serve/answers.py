"""The JSON that a server answers with."""

from pydantic import BaseModel, Field


class IndexAnswer(BaseModel):
    """The index that is searched."""

    photographs: int = Field(description="How many different photographs it has.")
    network: str = Field(description="The name of the network that describes.")
    trained_on: str = Field(
        description="What its weights were trained on; empty where it is not told."
    )
    is_random: bool = Field(description="Whether its weights were never trained.")
    rerank: str = Field(description="The re-ranking that a search may ask for.")


class PhotographAnswer(BaseModel):
    """A photograph that may be searched with."""

    id: str = Field(description="The digest of its content, in hexadecimal.")
    name: str = Field(description="Of its file, for people to read.")
    in_index: bool
    width: int = Field(description="In pixels, upright.")
    height: int = Field(description="In pixels, upright.")


class NamedAnswer(BaseModel):
    """A photograph of the index."""

    id: str
    name: str


class ListAnswer(BaseModel):
    """Some photographs of the index, in the order of their names."""

    total: int
    start: int
    photographs: list[NamedAnswer]


class Result(BaseModel):
    """A photograph that was found."""

    rank: int = Field(description="From 1.")
    id: str
    name: str
    score: float = Field(description="The cosine of its descriptor and the query's.")
    rank_before: int | None = Field(
        description="Its rank before the re-ranking; null without one, or if it was far behind."
    )


class SearchAnswer(BaseModel):
    """What a search has found, best first."""

    query: str = Field(description="The id of the photograph that was searched with.")
    box: tuple[float, float, float, float] | None
    rerank: str | None = Field(description="The re-ranking, null if there was none.")
    results: list[Result]
    seconds: dict[str, float] = Field(description="What describing and searching took.")


class MatchesAnswer(BaseModel):
    """Points that two photographs have in common, x and y in pixels of the upright photographs."""

    query_points: list[tuple[float, float]]
    item_points: list[tuple[float, float]]
    scores: list[float] = Field(description="How sure each match is; higher is surer.")
