"""Pictures with holes: what a completion begins with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HIDDEN = 128  # grey
FACES_APART = 1_000_000  # more than a call has pictures: a face's number does not depend on how many there are


@dataclass(frozen=True, eq=False)
class Incomplete:
    """A batch of pictures, of each of which something is known. ValueError if the parts do not fit each other."""

    pictures: np.ndarray
    """uint8 [N, H, W, C]. What lies in the hole may be anything."""
    masks: np.ndarray
    """bool [N, H, W], 1 where a pixel is known and 0 in the hole; made of [H, W], one for all, too."""
    lowres: int = 0
    """Side of the blocks whose means are known besides, everywhere; 0: none are."""
    numbers: Sequence[int] = ()
    """[N]: the number that each picture has among all that are completed, 0 and up unless given. What is random about
    a picture follows from it."""

    def __post_init__(self):
        pictures, masks = self.pictures, np.asarray(self.masks, bool)
        if pictures.ndim != 4 or pictures.dtype != np.uint8:
            raise ValueError(f"pictures are {pictures.dtype} {pictures.shape}, not uint8 [N, H, W, C]")
        if self.lowres and (pictures.shape[1] % self.lowres or pictures.shape[2] % self.lowres):
            raise ValueError(f"lowres {self.lowres} does not divide the pictures' {pictures.shape[1:3]}")
        object.__setattr__(self, "masks", np.broadcast_to(masks, pictures.shape[:3]))
        object.__setattr__(self, "numbers", tuple(self.numbers if len(self.numbers) else range(len(pictures))))
        if len(self.numbers) != len(pictures):
            raise ValueError(f"{len(self.numbers)} numbers for {len(pictures)} pictures")

    @classmethod
    def joined(cls, parts: Sequence["Incomplete"], lowres: int = 0, numbers: Sequence[int] = ()) -> "Incomplete":
        """The pictures of all parts, one or more, in one batch."""
        pictures, masks = (np.concatenate([getattr(part, name) for part in parts]) for name in ("pictures", "masks"))
        return cls(pictures, masks, lowres, numbers)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, part: slice) -> "Incomplete":
        return Incomplete(self.pictures[part], self.masks[part], self.lowres, self.numbers[part])

    def shown(self) -> np.ndarray:
        """What is known, uint8 [N, H, W, C]: the known pixels on grey, or for `lowres` the means of the blocks."""
        if not self.lowres:
            return np.where(self.masks[..., None], self.pictures, np.uint8(HIDDEN))
        n, height, width, channels = self.pictures.shape
        side = self.lowres
        blocks = self.pictures.reshape(n, height // side, side, width // side, side, channels)
        means = blocks.mean(axis=(2, 4)).round().astype(np.uint8)
        return means.repeat(side, axis=1).repeat(side, axis=2)

    def filled(self, generated: np.ndarray) -> np.ndarray:
        """The pictures with `generated`, uint8 [N, H, W, C], in their holes; the known pixels as they are."""
        return np.where(self.masks[..., None], self.pictures, generated)
