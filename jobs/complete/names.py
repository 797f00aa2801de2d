"""The names of the files that a completion writes, and their notes in the list of the folder."""

from collections.abc import Iterator

from images.incomplete import Face

FRAMES = "frames"  # begins the notes of all frames


def suffix(nth: int) -> str:
    """The suffix of the names of the frames of batch number `nth`."""
    return f"_{nth}" if nth > 1 else ""


def frames_note(nth: int) -> str:
    """The note of the frames of batch number `nth`, and the beginning of its sheet's note."""
    return f"{FRAMES} of batch {nth}: "


def log_name(face: Face) -> str:
    """The log of a search: logs/hats_02.log for photo 2, logs/hats_02_2.log for its second face."""
    return f"logs/hats_{face.photo:02d}{f'_{face.index + 1}' if face.index else ''}.log"


def frame_names(nth: int, iterations: int, interval: int) -> Iterator[str]:
    """The frames of batch number `nth`, besides its logs."""
    shown = [*range(0, iterations, interval), iterations]
    grids = [f"{folder}/{i:04d}" for folder in ("hats_imgs", "completed") for i in shown]
    for name in ("before", "masked", "sheet", "photos", *grids):
        yield f"{name}{suffix(nth)}.png"
    yield f"completion{suffix(nth)}.gif"
