"""Aligns the faces of many photos on all cores and writes a table of their status and transforms."""

import dataclasses
import os
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import cv2
import dlib
import numpy as np

from faces.detector import FaceFinder, face_transform, filled, predictor_path
from faces.frame import BLACK, Frame
from faces.table import COLUMNS, TABLE, earlier_rows
from images.decoding import PictureError, in_turn, read_photo
from images.files import find_pictures, save_picture, unique_names
from images.photo import Photo
from jobs.arguments import AlignOptions
from outputs import Outputs, only_writer
from utils import Progress, UserError, say, write_rows

UNREADABLE = (PictureError, MemoryError, RuntimeError, cv2.error)  # dlib and OpenCV raise the last two
AT_ONCE = 1000  # photos that wait for a thread


class Job(NamedTuple):
    """A photo to align."""

    name: str  # of the photo in alignment.csv
    photo: Path
    output: str  # name of the face's file, without a suffix


class Aligner:
    """Aligns photos with a landmark model. Several threads may use it."""

    def __init__(self, predictor: Path, options: AlignOptions):
        """Raises UserError if `predictor` is not a model of 68 landmarks."""
        self.options, self.outputs = options, Outputs(options.out)
        try:
            self.finder = FaceFinder(str(predictor))
            found = len(self.finder.landmarks(np.zeros((64, 64, 3), np.uint8), dlib.rectangle(0, 0, 63, 63)))
        except RuntimeError as error:
            raise UserError(f"{predictor} is not a landmark model of dlib ({error}): choose another") from error
        if found != 68:
            raise UserError(f"{predictor} finds {found} landmarks: choose a model of 68")

    def frames(self, photo: Photo, boxes: Sequence[dlib.rectangle]) -> list[Frame]:
        """The frames of the faces in these boxes: of the first one, or of all with --all."""
        size, kind, margin = self.options.size, self.options.landmarks, self.options.margin
        landmarks = [self.finder.landmarks(photo.pixels, box) for box in (boxes if self.options.all else boxes[:1])]
        return [Frame(face_transform(points, kind, size), size).widened(margin) for points in landmarks]

    def align(self, job: Job) -> list[list[str]]:
        """Writes the faces of a photo; returns its rows of alignment.csv."""
        try:
            with in_turn(job.photo):
                photo = read_filled(job.photo)
                boxes = self.finder.faces(photo.pixels)
                if not boxes:
                    return [row_without_face(job.name, "no face")]
                if self.options.skip_multi and len(boxes) > 1:
                    return [row_without_face(job.name, "several faces")]
                frames = self.frames(photo, boxes)
                outside = cv2.BORDER_REPLICATE if self.options.margin else BLACK
                views = [frame.view(photo, outside) for frame in frames]
            height, width = photo.shape
            rows = []
            for number, (frame, (face, known)) in enumerate(zip(frames, views, strict=True), 1):
                output = output_of(job, number, self.options.all)
                pixels = face if photo.intact else np.dstack([face, 255 * known.astype(np.uint8)])
                self.outputs.write(output, partial(save_picture, pixels=pixels))
                sizes = width, height, frame.size, len(views) if self.options.all else "", self.options.margin
                rows.append([job.name, output, "aligned", *map(str, (*frame.transform.ravel(), *sizes))])
            return rows
        except UNREADABLE:
            return [row_without_face(job.name, "unreadable")]

    def align_all(self, jobs: Sequence[Job]) -> Generator[list[list[str]], None, None]:
        """Aligns photos in parallel, because dlib and OpenCV let other threads run; yields the rows of each."""
        threads = ThreadPoolExecutor(self.options.jobs)
        try:
            for first in range(0, len(jobs), AT_ONCE):
                yield from threads.map(self.align, jobs[first : first + AT_ONCE])
        finally:
            threads.shutdown(cancel_futures=True)


def row_without_face(name: str, status: str) -> list[str]:
    """The row of alignment.csv for a photo without an aligned face."""
    return [name, "", status, *[""] * (len(COLUMNS) - 3)]


def output_of(job: Job, number: int, numbered: bool) -> str:
    """The file for face `number` of a photo.

    With --all, every face is numbered, so that NAME_2 of one photo is not NAME_2 of a photo of that name.
    """
    return f"{job.output}_{number}.png" if numbered else f"{job.output}.png"


def read_filled(path: Path) -> Photo:
    """Reads a photo and fills its hole, so that hidden pixels neither move the face nor show."""
    photo = read_photo(path)
    return photo if photo.intact else dataclasses.replace(photo, pixels=filled(photo.pixels, photo.known))


# ---------------------------------------------------------------------------- photos and their faces


def find_photos(raw: Path, out: Path) -> dict[str, Path]:
    """The photos by their names in alignment.csv. Raises UserError if all of them lie in `out`."""
    photos = [raw] if raw.is_file() else find_pictures(raw)
    folder = raw.parent if raw.is_file() else raw
    outside = [path for path in photos if os.path.realpath(path.parent) != os.path.realpath(out)]
    if not outside:
        raise UserError(f"{folder} and {out} are the same folder: choose another folder for the faces")
    return {str(path.relative_to(folder)): path for path in outside}


def by_photo(rows: Iterable[list[str]]) -> dict[str, list[list[str]]]:
    """The rows of each photo."""
    found: dict[str, list[list[str]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return found


def named_jobs(photos: dict[str, Path], rows: Iterable[list[str]]) -> list[Job]:
    """A job for each photo. Photos in the rows of an earlier run keep their output file."""
    known = {}
    for source, output, *_, faces, _ in rows:
        if output:
            stem = Path(output).stem
            known[photos.get(source, Path(source))] = stem.rpartition("_")[0] if faces else stem
    names = unique_names(list(photos.values()), known)
    return [Job(*photo, name) for photo, name in zip(photos.items(), names, strict=True)]


def is_done(rows: Sequence[list[str]], outputs: Outputs, skip_multi: bool) -> bool:
    """Whether a photo with these rows of an earlier run can be skipped.

    A photo is aligned again if one of its faces is gone, if a row is damaged, missing or of an earlier version, if it
    could not be read, or if it was left out for its several faces and --skipMulti is not given now.
    """
    status, faces = rows[0][2], rows[0][-2]
    if status != "aligned":
        return status == "no face" or (status == "several faces" and skip_multi)
    try:
        finite = np.isfinite([float(number) for row in rows for number in (*row[3:-2], row[-1] or 0)]).all()
        return bool(finite) and len(rows) == int(faces or 1) and all(outputs.owns(row[1]) for row in rows)
    except ValueError:
        return False


def check_alike(aligner: Aligner, photos: dict[str, Path], earlier: dict[str, list[list[str]]]) -> None:
    """Aligns one photo of an earlier run again. Raises UserError if that gives another transform."""
    for name, (row, *_) in earlier.items():
        if row[2] == "aligned" and name in photos:
            try:
                photo = read_filled(photos[name])
                frames = aligner.frames(photo, aligner.finder.faces(photo.pixels))
                expected = [float(number) for number in row[3:9]]
            except (*UNREADABLE, ValueError):  # the photo or its row was damaged since; try the next one
                continue
            alike = frames and np.allclose(frames[0].transform.ravel(), expected, atol=1e-6)
            if not alike or bool(row[-2]) != aligner.options.all:
                raise UserError(
                    f"{aligner.options.out} holds faces with another --size, --margin, --all, landmarks or landmark "
                    f"model, or {name} has changed: choose another folder, or repeat the options of the earlier run"
                )
            return


def align(options: AlignOptions) -> None:
    """Aligns the photos that are not done yet and prints a summary.

    Raises UserError if there is no photo, no landmark model or no face, or if `out` holds other faces.
    """
    with only_writer(options.out):
        _align_all(options)


def _align_all(options: AlignOptions) -> None:
    out, log = options.out, options.out / TABLE
    predictor = predictor_path(options.predictor)
    photos = find_photos(options.raw, out)
    rows = earlier_rows(log)
    outputs = Outputs(out)
    earlier = by_photo(rows)
    kept = {name: part for name, part in earlier.items() if is_done(part, outputs, options.skip_multi)}
    aligner = Aligner(predictor, options)
    check_alike(aligner, photos, kept)
    jobs = [job for job in named_jobs(photos, rows) if job.name not in kept]
    outputs.check(TABLE, *(output_of(job, 1, options.all) for job in jobs))
    if kept:
        say(f"{len(photos) - len(jobs)} of {len(photos)} photos are done already")

    done = {name: part for name, part in kept.items() if name in photos}
    outputs.write(TABLE, lambda path: write_rows(path, [COLUMNS, *chain.from_iterable(kept.values())]), grows=True)
    progress = Progress(len(jobs), "photos")
    with closing(aligner.align_all(jobs)) as parts:  # an error ends the threads before the folder is unlocked
        for part in parts:
            outputs.add_rows(TABLE, part)
            name, _, status, *_ = part[0]
            done[name] = part
            if options.verbose or status == "unreadable":
                say(f"{name}: {status}")
            progress.update(progress.done + 1)

    statuses = Counter(part[0][2] for part in done.values())
    say(", ".join(f"{statuses[s]} {s}" for s in ("aligned", "no face", "several faces", "unreadable")))
    faces = sum(bool(row[1]) for part in done.values() for row in part)
    say(f"aligned faces: {faces} in {out}; status of each photo: {log}")
    if not faces:
        raise UserError(f"no face was aligned from {options.raw}: choose photos of faces seen from the front")
