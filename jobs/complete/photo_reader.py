"""Photos to complete: their masks and faces, and how the completed faces make a completed photo."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dcgan.options import SearchOptions
from faces.alignment import earlier_rows
from faces.compositing import carried_back, covered, hidden_by, in_frames, pixel_side, share_outside, with_known
from faces.detector import TEMPLATES, FaceFinder, face_transform, predictor_path
from faces.finding import LANDMARKS, Fill, damaged_faces
from images.files import PictureError, colours, load_each, pixel_count, read_photo
from images.incomplete import HIDDEN, Incomplete
from images.mask_files import Final, find_mask, mask_files, read_any_mask, stretched
from images.mask_options import MaskOptions
from images.masks import checked, make_mask
from images.sheets import thumbnail
from jobs.complete.arguments import PhotoOptions
from utils import Progress, UserError, digest, say

if TYPE_CHECKING:
    from model import DCGAN

QUICK = SearchOptions(n_iter=20, refine=0, out_interval=0)  # what comes after moves the landmarks little
# Landmarks are found better in a face that is whole up to where its frame ends: in 60 halves, displaced by 1.60 64ths
# of the frame on average instead of 1.75.
QUICK_FADE = 0.08
LITTLE = 0.005  # of the hole: too little to be said
SMALL = 16  # pixels: of a smaller face little is to be seen
# A face by --points may be so many times as long as it should be for its width, or as wide. None that align.py found in
# 10,363 photos is above 1.85, and with the lip named before an eye 99.9 % of them would be above 3.6.
MOST_STRETCHED = 3
HELP = (
    'if there is one, name its inner eye corners and lower lip by --points "x,y x,y x,y", or the --alignment of an '
    "undamaged version"
)


@dataclass(frozen=True)
class LoadedPhoto:
    """A photo to complete, and once they are found the faces to complete in it."""

    path: Path
    made_of: tuple[str]
    """What a completion of it depends on, digested."""
    transforms: tuple[np.ndarray, ...] = ()
    """[k], each [2, 3], from the photo into the model's frame."""
    incomplete: Incomplete | None = None
    """[k] faces there."""

    fitted = False  # into a square


class PhotoReader:
    """Reads photos and the masks that the options give them, finds their faces, and puts them together again."""

    lowres = 0

    def __init__(self, photos: PhotoOptions, masks: MaskOptions, dcgan: "DCGAN", seed: int):
        """For the model's frames. Random masks follow from `seed`.

        UserError if the options name no mask that can be used, or no alignment, or if there is no landmark model.
        """
        self.options, self.size, self.c_dim = masks, dcgan.image_size, dcgan.c_dim
        size = self.size
        self.mask = read_any_mask(masks.file, masks.invert) if masks.file else None
        self.in_frame = make_mask(masks.kind or "center", size, masks, seed)
        self.finder = FaceFinder(str(predictor_path(None)))
        self.fill = quick_fill(dcgan)
        faces = np.reshape(photos.points or (), (-1, 3, 2))
        self.by_points = [(face, transform_by(face, size)) for face in faces]
        self.alignment = alignment_of(photos.alignment, size) if photos.alignment else None

    def has_mask(self, path: Path) -> bool:
        """Whether there is a mask for the photo; not whether it can be read."""
        return not self.options.folder or bool(mask_files(self.options.folder, path))

    def read(self, path: Path) -> LoadedPhoto:
        """A photo, not yet its faces; UserError if it or its mask cannot be read, or if the mask does not fit."""
        pixels, known, by_face = self._masked(path)
        given = self._given(path)
        holes = [self.in_frame] if by_face else []
        return LoadedPhoto(path, (digest(np.where(known[..., None], pixels, 0), known, *holes, *given),))

    def _masked(self, path: Path) -> tuple[np.ndarray, np.ndarray, bool]:
        """The photo, uint8 [H, W, 3], which pixels are known, bool [H, W], and whether its faces have holes besides."""
        pixels, opaque = read_photo(path)
        known = np.ones(pixels.shape[:2], bool) if opaque is None else opaque
        mask = self._mask(path)
        by_face = mask is None and not (self.options.usual and opaque is not None)
        if mask is not None:
            height, width = known.shape
            try:
                known = known & stretched(mask, width, height)
            except ValueError as error:
                raise UserError(
                    f"the mask of {path} is {error}, and it is {width}x{height}: bring both into one shape"
                ) from error
        if not by_face:
            checked(known, f"the mask of {path}")
        return pixels, known, by_face

    def _mask(self, path: Path) -> np.ndarray | None:
        """The mask picture of the photo, bool [h, w], if the options name one."""
        folder = self.options.folder
        return read_any_mask(find_mask(folder, path), self.options.invert) if folder else self.mask

    def _given(self, path: Path) -> list[np.ndarray]:
        """Where the options say that the photo's faces are."""
        if self.by_points:
            return [transform for _, transform in self.by_points]
        if self.alignment is None:
            return []
        if path.stem not in self.alignment:
            raise UserError(f"no row of the --alignment is of a photo named {path.stem}: name one that has it, or none")
        return [self.alignment[path.stem]]

    def with_faces(self, loaded: dict[int, LoadedPhoto]) -> dict[int, LoadedPhoto]:
        """The photos with their faces; names those without one."""
        progress = Progress(len(loaded), "photos")

        def look(photo: LoadedPhoto) -> LoadedPhoto:
            progress.update(progress.done + 1, "looking for faces")
            with can_be_done(photo.path):
                return self._with_faces(photo)

        return load_each(loaded, look)

    def _with_faces(self, photo: LoadedPhoto) -> LoadedPhoto:
        """The photo with its faces that meet the hole; UserError if there is none. Says what else is to be known."""
        pixels, known, by_face = self._masked(photo.path)
        shape = known.shape
        for points, transform in self.by_points:
            if not with_known(pixels, np.ones_like(known), [transform], self.size):
                raise UserError(
                    f"{photo.path} is {shape[1]}x{shape[0]}, and shows nothing of a face at the --points "
                    f"{as_points(points)}: name them in its pixels, counted from its upper left corner"
                )
        given = self._given(photo.path)
        transforms = given or damaged_faces(self.finder, pixels, known, self.size, self.fill, by_face)
        if by_face:
            known = known & ~hidden_by(shape, self.in_frame, transforms)
        meet = [each for each in transforms if (covered(shape, [each], self.size) & ~known).any()]
        meet = with_known(pixels, known, meet, self.size)
        if 0 < len(meet) < len(given):
            say(
                f"{photo.path}: its hole meets {len(meet)} of the {len(given)} faces named: the others stay as they are"
            )
        if not meet and given:
            named = "--points" if self.by_points else "--alignment"
            hidden = (known & covered(shape, transforms, self.size)).any()
            what = "meets no face" if hidden else "hides the whole face"
            raise UserError(f"{photo.path}: its hole {what} by the {named}: name one that is hidden in part")
        if not meet:
            where = "in it" if by_face else "at its hole"
            raise UserError(f"{photo.path}: no face is found {where}; {HELP}{self._hint_to_invert(photo.path)}")
        outside = share_outside(known, meet, self.size)
        if outside > LITTLE:
            say(f"{photo.path}: {outside:.0%} of its hole lies outside its faces, and is filled by a spline alone")
        for transform in meet:
            side = pixel_side(transform) * self.size
            if side < SMALL:
                say(f"{photo.path}: a face of {side:.0f} pixels is small: little is to be seen of it")
        return replace(photo, transforms=tuple(meet), incomplete=in_frames(pixels, known, meet, self.size, self.c_dim))

    def _hint_to_invert(self, path: Path) -> str:
        """What to add where no face is found, if the photo's mask may have been meant the other way round."""
        mask = self._mask(path)
        if mask is None or self.options.invert or mask.mean() >= 0.5:
            return ""
        return f"; its mask hides {1 - mask.mean():.0%} of it: white is what is known, and --invertMask swaps that"

    def final(self, photo: LoadedPhoto, faces: np.ndarray) -> Final:
        """What is written of the photo with the completed `faces`, uint8 [k, size, size, c_dim]."""
        pixels, known, by_face = self._masked(photo.path)
        if by_face:
            known = known & ~hidden_by(known.shape, self.in_frame, photo.transforms)
        with can_be_done(photo.path):
            completed = carried_back(pixels, known, photo.transforms, faces)
        masked = np.where(known[..., None], pixels, np.uint8(HIDDEN))
        row = [thumbnail(picture) for picture in (pixels, masked, completed)]
        grey, profile = colours(photo.path)
        return Final(completed[..., :1] if grey else completed, profile, row)


@contextmanager
def can_be_done(path: Path) -> Iterator[None]:
    """PictureError if dlib, OpenCV or the memory do not suffice in here for the photo."""
    try:
        yield
    except (MemoryError, RuntimeError, cv2.error) as error:
        reason = str(error).strip().splitlines() or ["out of memory"]
        raise PictureError(f"{path} cannot be completed ({reason[0]}): make it smaller") from error


def quick_fill(dcgan: "DCGAN") -> Fill:
    """How the holes in faces are filled so that their landmarks can be found: by a short search."""

    def fill(photo: np.ndarray, known: np.ndarray, transforms: list[np.ndarray]) -> np.ndarray:
        faces = in_frames(photo, known, transforms, dcgan.image_size, dcgan.c_dim)
        *_, last = dcgan.complete(faces, QUICK)
        return carried_back(photo, known, transforms, last.generated, QUICK_FADE)

    return fill


def as_points(points: np.ndarray) -> str:
    """Three points, [3, 2] (x, y), as --points takes them."""
    return " ".join(f"{x:.10g},{y:.10g}" for x, y in points)


def transform_by(points: np.ndarray, size: int) -> np.ndarray:
    """[2, 3], into a frame of `size`, of the face whose inner eye corners and lower lip are at `points`, [3, 2] (x, y).

    UserError if they are not those of a face.
    """
    (ax, ay), (bx, by) = points[1] - points[0], points[2] - points[0]
    landmarks = np.zeros((68, 2))
    landmarks[list(TEMPLATES[LANDMARKS])] = points if ax * by > ay * bx else points[[1, 0, 2]]
    transform = face_transform(landmarks, LANDMARKS, size)
    most, least = np.linalg.svd(transform[:, :2], compute_uv=False)
    if not most < MOST_STRETCHED * least:  # or both are 0, if the points lie on one line
        raise UserError(
            f"the --points {as_points(points)} are no face's: name its eyes' inner corners, and then its lower lip"
        )
    return transform


def alignment_of(path: Path, size: int) -> dict[str, np.ndarray]:
    """By the photos' stems, the transforms [2, 3] of an alignment.csv into a frame of `size`.

    UserError if it is no such file, or damaged, or if two photos in it have one stem.
    """
    transforms: dict[str, np.ndarray] = {}
    for source, output, status, *numbers in earlier_rows(path):
        if status != "aligned":
            continue
        stem = Path(source).stem
        if stem in transforms:
            raise UserError(f"{path} has several photos named {stem}: align them again under names of their own")
        try:
            side = np.sqrt(pixel_count(path.parent / output))
        except PictureError:
            side = size  # the faces are not there any more: they were the model's, presumably
        try:
            transform = np.array(list(map(float, numbers))).reshape(2, 3) * size / side
            if not 0 < abs(np.linalg.det(transform[:, :2])) < np.inf or not np.isfinite(transform).all():
                raise ValueError
        except ValueError:
            raise UserError(f"{path} is damaged at {source}: align the photos again") from None
        transforms[stem] = transform
    if not transforms:
        raise UserError(f"{path} has no aligned face: name the alignment.csv that align.py wrote for the photos")
    return transforms
