"""Pictures with holes, the input of a completion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from images.tone import GRAY, Tone, tone_of

HIDDEN = 128  # gray, shown in the hole


@dataclass(frozen=True)
class Face:
    """Identifies a picture to complete: a face of a photo, or an aligned picture, which is face 0 of itself."""

    photo: int  # index of the photo among all photos of the call
    index: int = 0  # index of the face in the photo
    attempt: int = 0  # 0 is the best guess; others are alternatives, see `SearchOptions.z_length_of`


@dataclass(frozen=True, eq=False)
class Incomplete:
    """A batch of pictures with their holes. ValueError if the shapes do not match."""

    pictures: np.ndarray  # uint8 [N, H, W, C]. Pixels in the hole are ignored, except those `guessed`
    masks: np.ndarray  # bool [N, H, W], True where a pixel is known. One [H, W] may be given for all pictures
    lowres: int = 0  # side of the blocks whose means are known everywhere; 0 if no means are known
    # [N], by default Face(0), Face(1), ... The random numbers of a picture's search depend on its id alone.
    ids: Sequence[Face] = ()
    tones: Sequence[Tone | None] = ()  # [N]: the tones of toned pictures; by default all are color pictures
    guessed: Any = False  # bool [N, H, W]: pixels in the hole that the pictures have a guess for. The search uses it

    def __post_init__(self):
        pictures, masks = self.pictures, np.asarray(self.masks, bool)
        if pictures.ndim != 4 or pictures.dtype != np.uint8:
            raise ValueError(f"pictures are {pictures.dtype} {pictures.shape}, not uint8 [N, H, W, C]")
        if self.lowres and (pictures.shape[1] % self.lowres or pictures.shape[2] % self.lowres):
            raise ValueError(f"lowres {self.lowres} does not divide the pictures' {pictures.shape[1:3]}")
        object.__setattr__(self, "masks", np.broadcast_to(masks, pictures.shape[:3]))
        object.__setattr__(self, "guessed", np.broadcast_to(self.guessed, pictures.shape[:3]))
        object.__setattr__(self, "ids", tuple(self.ids if len(self.ids) else map(Face, range(len(pictures)))))
        object.__setattr__(self, "tones", tuple(self.tones or [None] * len(pictures)))
        if len(self.ids) != len(pictures):
            raise ValueError(f"{len(self.ids)} ids for {len(pictures)} pictures")

    @classmethod
    def joined(cls, parts: Sequence["Incomplete"], lowres: int = 0, ids: Sequence[Face] = ()) -> "Incomplete":
        """Concatenates one or more batches."""
        names = ("pictures", "masks", "guessed")
        pictures, masks, guessed = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
        return cls(pictures, masks, lowres, ids, [tone for part in parts for tone in part.tones], guessed)

    def with_tones(self) -> "Incomplete":
        """The same pictures with the tones that their known pixels have."""
        if self.pictures.shape[-1] == 1:
            return self
        return replace(self, tones=[*map(tone_of, self.pictures, self.masks)])

    def mirrored(self, where: np.ndarray) -> "Incomplete":
        """Guesses the hidden pixels `where`, bool [H, W], from their known mirror images."""
        guessed = ~self.masks & self.masks[:, :, ::-1] & where
        pictures = np.where(guessed[..., None], self.pictures[:, :, ::-1], self.pictures)
        return replace(self, pictures=pictures, guessed=guessed)

    def tried(self, attempts: Sequence[int]) -> "Incomplete":
        """A batch with all pictures once for each of the attempts: first all of the first attempt."""
        ids = [replace(face, attempt=attempt) for attempt in attempts for face in self.ids]
        return self.joined([self] * len(attempts), self.lowres, ids)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, part: slice) -> "Incomplete":
        pictures, masks, guessed = (array[part] for array in (self.pictures, self.masks, self.guessed))
        return Incomplete(pictures, masks, self.lowres, self.ids[part], self.tones[part], guessed)

    def shown(self) -> np.ndarray:
        """uint8 [N, H, W, C]: the known pixels with a gray hole; for `lowres` the means of the blocks."""
        if not self.lowres:
            return np.where(self.masks[..., None], self.pictures, np.uint8(HIDDEN))
        n, height, width, channels = self.pictures.shape
        side = self.lowres
        blocks = self.pictures.reshape(n, height // side, side, width // side, side, channels)
        means = blocks.mean(axis=(2, 4)).round().astype(np.uint8)
        return means.repeat(side, axis=1).repeat(side, axis=2)

    def in_gray(self) -> "Incomplete":
        """The same pictures as the model sees them: those with a tone in gray."""
        grays = replace(self, tones=[tone and GRAY for tone in self.tones])
        return replace(self, pictures=grays.toned(self.pictures), tones=())

    def toned(self, generated: np.ndarray) -> np.ndarray:
        """Generated pictures, uint8 [N, H, W, C], in the tones of these pictures."""
        if not any(self.tones):
            return generated
        pairs = zip(generated, self.tones, strict=True)
        return np.stack([tone.applied(picture) if tone else picture for picture, tone in pairs])

    def filled(self, generated: np.ndarray) -> np.ndarray:
        """The pictures with their holes filled from `generated`, uint8 [N, H, W, C]."""
        return np.where(self.masks[..., None], self.pictures, generated)
