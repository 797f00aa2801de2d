"""Groups of pictures of one kind, batches of pictures that are searched together, and the results of a batch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from completion.given_masks import GivenMasks
from dcgan.options import SearchOptions
from images.blending import blend
from images.decoding import Source
from images.files import Loader, load_each
from images.incomplete import Face, Incomplete
from images.photo import Photo
from utils import digest, never

if TYPE_CHECKING:
    from model import DCGAN, SearchStep


class Final(NamedTuple):
    """A completed picture as it is written."""

    photo: Photo
    row: Sequence[np.ndarray] = ()  # thumbnails of a photo, original, masked and completed, each uint8 [h, w, 3]
    close_up: Sequence[np.ndarray] = ()  # thumbnails of the faces, masked and completed, each uint8 [h, w, C]


class Reader(ABC):
    """Reads pictures of one kind with their masks. Pictures without faces to look for stay as they are read."""

    masks: GivenMasks

    @abstractmethod
    def read(self, path: Source) -> Any:
        """Reads a picture. UserError if that is not possible."""

    def looked_at(self, loaded: Any) -> Any:
        """The picture with what can be found out while another batch is searched."""
        return loaded

    def with_faces(self, loaded: dict[int, Any], load: Loader = load_each) -> dict[int, Any]:
        """The pictures with the faces in them located. load: deals with those that cannot be completed."""
        return loaded

    def with_heads(self, loaded: Mapping[int, Any], stopped: Callable[[], bool]) -> Mapping[int, Any]:
        """The pictures with the heads around their faces searched; the search ends once `stopped` returns True."""
        return loaded

    @abstractmethod
    def finals(self, loaded: Any, tries: Sequence[np.ndarray]) -> Iterator[Final]:
        """The pictures to write, from the completed faces of each try, uint8 [k, size, size, c_dim]."""


@dataclass(frozen=True)
class Recipe:
    """How pictures are completed."""

    dcgan: "DCGAN"
    search: SearchOptions
    blending: str
    tries: int = 1  # completions of each picture

    def digest(self, lowres: int) -> str:
        """A digest of everything that a result depends on, except its picture."""
        weights = [*self.dcgan.generator.get_weights(), *self.dcgan.discriminator.get_weights()]
        return digest(*weights, self.dcgan.precision, replace(self.search, out_interval=0), self.blending, lowres)


@dataclass(frozen=True)
class Group:
    """The photos or the aligned pictures of a call."""

    numbers: Sequence[int]  # the indices of its pictures among all pictures of the call
    recipe: Recipe
    reader: Reader

    @cached_property
    def how(self) -> str:
        """A digest of everything that a result depends on, except its picture."""
        return self.recipe.digest(self.reader.masks.options.lowres)

    def note(self, number: int, loaded: Any) -> str:
        """The note of a picture's finished results: a digest of everything that they depend on."""
        return digest(self.how, number, *loaded.made_of)


@dataclass(frozen=True)
class Batch:
    """Pictures that are searched together."""

    nth: int  # 1 and up, among the batches of a call
    group: Group
    loaded: Mapping[int, Any]  # the pictures that the reader has loaded, by their indices among all of the call

    @property
    def paths(self) -> list[Any]:
        """The files of the pictures."""
        return [each.path for each in self.loaded.values()]

    @cached_property
    def notes(self) -> dict[int, str]:
        """The notes of finished results, by the pictures' numbers."""
        return {number: self.group.note(number, each) for number, each in self.loaded.items()}

    @property
    def has_faces(self) -> bool:
        """Whether there may be a face to search for. It is certain once the faces of photos are located."""
        return any(each.incomplete is None or len(each.incomplete) for each in self.loaded.values())

    @cached_property
    def incomplete(self) -> Incomplete:
        """[N * tries]: the pictures, or the located faces of photos. The best guesses come first."""
        parts = [each.incomplete for each in self.loaded.values()]
        ids = [Face(number, k) for number, part in zip(self.loaded, parts, strict=True) for k in range(len(part))]
        joined = Incomplete.joined(parts, self.group.reader.masks.options.lowres, ids)
        return joined.tried(range(self.group.recipe.tries))

    @property
    def best_guesses(self) -> Incomplete:
        """[N]: the first rows of `incomplete`."""
        return self.incomplete[: len(self.incomplete) // self.group.recipe.tries]

    def rows(self, number: int, attempt: int = 0) -> list[int]:
        """The rows of `incomplete` that are faces of a picture, by an attempt."""
        ids = self.incomplete.ids
        return [i for i, face in enumerate(ids) if (face.photo, face.attempt) == (number, attempt)]

    def with_heads(self, stopped: Callable[[], bool] = never) -> "Batch":
        """The batch with the heads around its faces searched. The search ends early once `stopped` returns True."""
        return replace(self, loaded=self.group.reader.with_heads(self.loaded, stopped))

    def outcome(self, last: "SearchStep") -> "Outcome":
        """The outcome of a search by its last state."""
        blended = blend(last.generated, self.incomplete, self.group.recipe.blending)
        return Outcome(blended, last.restarts, np.isfinite(last.losses[:, 2]), last.iteration)


@dataclass(frozen=True)
class Outcome:
    """A batch after search and blending."""

    blended: np.ndarray  # uint8 [N, H, W, C], the results
    restarts: np.ndarray  # [N]: how often each picture's search was restarted
    found: np.ndarray  # bool [N]: whether a z was found; without one there is no result
    iteration: int  # the last iteration of the search

    @classmethod
    def without_faces(cls, batch: Batch, iteration: int) -> "Outcome":
        """The outcome of photos whose holes meet no face, and that need no search."""
        return cls(batch.incomplete.pictures, np.zeros(0, int), np.zeros(0, bool), iteration)
