"""Photos with a hole: their faces in the model's frame, and the completed faces back in the photo."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from faces.frame import Frame
from images.incomplete import Incomplete
from images.photo import Part, Photo
from images.spline import Spline
from images.tone import Tone, luminance, tone_of

FADE = 0.25  # of a frame's side: wide enough to leave no visible edge
# Of a frame's side. Located faces are displaced by about as much, so a hole that ends so close to the frame's edge was
# probably meant to end with the frame.
MARGIN = 0.03
ELLIPSE = 1.17, 1.63  # width and height of the ellipse that a head fills, in sides of the frame without a margin
CLOSE = 0.1  # of a frame's side: known pixels farther away from a head do not change its colors
DETAIL = 256  # pixels of the longer side in which the tone is looked for, or more
LITTLE = 0.005  # of the hole: a smaller share outside of all frames is not worth a message


def faces_in(photo: Photo, frames: Sequence[Frame], c_dim: int = 3) -> Incomplete:
    """The photo's faces in their frames, one or more, as pictures to complete with a model of `c_dim` channels."""
    views = [frame.view(photo) for frame in frames]
    faces = np.stack([face for face, _ in views])
    known = np.stack([known for _, known in views])
    if c_dim == 1:
        return Incomplete(luminance(faces)[..., None], known)
    return Incomplete(faces, known, tones=[tone_around(photo, frames)] * len(frames))


def heads_in(photo: Photo, frames: Sequence[Frame], c_dim: int, margin: float) -> Incomplete:
    """The same for heads in frames with a margin, whose hidden pixels are guessed from their mirror images.

    Else, the hair of a hidden half would be dark, whatever the color of the visible half. Pixels beside the head are
    not guessed, because backgrounds are less symmetric.
    """
    heads = faces_in(photo, frames, c_dim)
    size = heads.pictures.shape[1]
    width, height = (size / (1 + 2 * margin) * side for side in ELLIPSE)
    y, x = np.indices((size, size)) - (size - 1) / 2
    return heads.mirrored((x / width) ** 2 + (y / height) ** 2 < 0.25)


def tone_around(photo: Photo, frames: Sequence[Frame]) -> Tone | None:
    """The tone of the photo around the faces, at most one side of a frame away, or else of the whole photo."""
    if frames:
        corners = np.concatenate([frame.corners(margin=1) for frame in frames]).clip(0).astype(int)
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0) + 1
        photo = photo[top:bottom, left:right]
    smaller, _ = photo.shrunk(max(photo.shape) // DETAIL)
    return tone_of(smaller.pixels, smaller.known)


class Layer(NamedTuple):
    """Completed faces or heads of a photo."""

    frames: Sequence[Frame]
    faces: np.ndarray  # uint8 [N, size, size, C]


class Compositor:
    """Fills the hole of a photo from completed faces in these frames, several times if need be.

    In the hole the result is

        weight * face + spline(weight * (photo - face)) + (1 - weight) * under

    where `spline` interpolates into the hole (images/spline.py). `under` is spline(photo), or the heads and a spline
    through their edges. The weight is 1 in the frames. It falls to 0 within `fade`, a share of a frame's side, toward
    places where the hole goes on outside of the frame. So the face meets the known pixels around it without an edge,
    as in images/blending.py, and `under` alone fills the hole outside of all frames. Known pixels stay as they are, and
    no other pixel of the photo is read.
    """

    def __init__(self, photo: Photo, frames: Sequence[Frame], fade: float = FADE, heads: Layer | None = None):
        self.photo, self.frames, self.fade = photo, frames, fade
        self.parts = []
        for part, hole in regions(photo):
            spline = Spline(~hole)
            under = self._heads(heads, part, hole, spline) if heads else spline(self._known(part, hole))
            self.parts.append((part, hole, spline, under))

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3]: the photo with these faces, uint8 [N, size, size, C]."""
        completed = self.photo.pixels.copy()
        for part, hole, spline, under in self.parts:
            pixels = self._known(part, hole)
            face, weight = _mean_face(hole, [frame.in_part(part) for frame in self.frames], faces, self.fade)
            in_hole = (weight * face)[hole] + spline(weight * (pixels - face)) + (1 - weight[hole]) * under
            completed[part][hole] = in_hole.clip(0, 255).round()
        return completed

    def _known(self, part: Part, hole: np.ndarray) -> np.ndarray:
        """A part of the photo, float32 [h, w, 3], with 0 in the hole."""
        return np.where(hole[..., None], 0, self.photo.pixels[part]).astype(np.float32)

    def _heads(self, heads: Layer, part: Part, hole: np.ndarray, spline: Spline) -> np.ndarray:
        """The pixels of a part of the hole, [n, 3]: the heads, and outside of their frames a spline from their edges.

        A head does not fade: a cheek or hair that fades into a smooth color looks like fog.
        """
        pixels, frames = self._known(part, hole), [frame.in_part(part) for frame in heads.frames]
        inside, close = (_covered(frames, hole.shape, margin) for margin in (0, CLOSE))
        if not (hole & inside).any():
            return spline(pixels)
        face, weight = _mean_face(hole & inside, frames, heads.faces, FADE)
        has_face = weight[..., 0] > 0
        pixels[hole] = face[hole] + spline((has_face & close)[..., None] * (pixels - face))
        beyond = hole & ~(has_face & inside)
        pixels[beyond] = Spline(~beyond)(pixels)
        return pixels[hole]


def regions(photo: Photo) -> Iterator[tuple[Part, np.ndarray]]:
    """Yields each independent part of the hole: the box that its spline depends on, and bool [h, w]: where it is."""
    rows, columns = near = photo.around_hole(margin=2)
    around = cv2.dilate((~photo.known[near]).view(np.uint8), np.ones((5, 5), np.uint8))
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(around)
    for label, (left, top, width, height, _) in enumerate(boxes[1:], 1):
        box = np.s_[top : top + height, left : left + width]
        top, left = top + rows.start, left + columns.start
        part = np.s_[top : top + height, left : left + width]
        yield part, ~photo.known[part] & (labels[box] == label)


def _mean_face(hole: np.ndarray, frames: Sequence[Frame], faces: np.ndarray, fade: float) -> tuple[np.ndarray, ...]:
    """The mean of the faces at each pixel of a part of the photo, [h, w, 3], and its weight, [h, w, 1].

    Where frames overlap, a face counts by its weight and its distance from the edge of its frame.
    """
    weight, shares, total = (np.zeros((*hole.shape, n), np.float32) for n in (1, 1, 3))
    for frame, face in zip(frames, faces, strict=True):
        inside = frame.covered(hole.shape, MARGIN)
        if not (hole & inside).any():
            continue
        size, (height, width) = frame.size, hole.shape
        middle = size / 2 - np.abs(np.arange(size) - (size - 1) / 2)
        depth = np.minimum.outer(middle, middle)
        picture = np.dstack([np.broadcast_to(face, (size, size, 3)), depth]).astype(np.float32)
        enlarged = cv2.warpAffine(picture, frame.back, (width, height), None, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
        due = _weight(hole, inside, fade * frame.side)
        share = due * enlarged[..., 3:].clip(0.5)
        weight = np.maximum(weight, due)
        shares += share
        total += share * enlarged[..., :3]
    return total / np.maximum(shares, 1e-9), weight


def _weight(hole: np.ndarray, inside: np.ndarray, fade: float) -> np.ndarray:
    """[h, w, 1] from 1 down to 0 within `fade` pixels of the hole outside of the frame. inside: bool [h, w]."""
    # The spline at a place is decided by known pixels at most two away. Next to a hole that the face does not reach,
    # there are none, so the weight reaches 0 two pixels earlier.
    distance = cv2.distanceTransform((~hole | inside).astype(np.uint8), cv2.DIST_L2, 5) - 2
    ramp = distance.clip(0, np.float32(fade)) / np.float32(fade)
    return (ramp**2 * (3 - 2 * ramp))[..., None]


def _covered(frames: Sequence[Frame], shape: Sequence[int], margin: float = 0) -> np.ndarray:
    """bool [H, W]: which pixels of a photo lie in one or more of the frames, of which there is at least one."""
    return np.any([frame.covered(shape, margin) for frame in frames], axis=0)


def share_outside(photo: Photo, frames: Sequence[Frame]) -> float:
    """The share of the hole that lies in none of the frames, 0 to 1."""
    part = photo.around_hole()
    hole = ~photo.known[part]
    inside = _covered([frame.in_part(part) for frame in frames], hole.shape)
    return float((hole & ~inside).sum() / hole.sum())
