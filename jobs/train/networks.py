"""Loads or builds the model that a run trains."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from dcgan.options import NetworkOptions
from faces.table import check_margin
from jobs.train.run import Run
from model import DCGAN
from utils import UserError, WrongCommand, say


def model_of(run: Run, named: Mapping[str, Any], seed: int, **devices: Any) -> DCGAN:
    """The DCGAN to train. named: the network options given by the user. devices: precision and strategy.

    A model of --init grows if `named` asks for larger pictures, and gets the margin that is named. Raises UserError if
    the model has other networks, or if the pictures have another margin.
    """
    dcgan = _model_of(run, named, seed, **devices)
    again = "choose other pictures" if run.resumed else "give that --margin, too, or choose other pictures"
    check_margin(run.paths, dcgan.options.margin, again)
    return dcgan


def _model_of(run: Run, named: Mapping[str, Any], seed: int, **devices: Any) -> DCGAN:
    source = run.options.checkpoint_dir if run.resumed else run.options.init
    if source is None:
        try:
            return DCGAN(**asdict(NetworkOptions(**named)), seed=seed, **devices)
        except ValueError as error:
            raise WrongCommand(error) from error
    dcgan = DCGAN.load(source, training=run.resumed, **devices)
    steps, size = int(dcgan.step), dcgan.image_size
    if not run.resumed and named.get("image_size", 0) > size:
        dcgan = dcgan.grown(named["image_size"], seed)
    margin = dcgan.options.margin
    if not run.resumed:
        dcgan.options = replace(dcgan.options, margin=named.get("margin", margin))
    flag = "--checkpoint_dir" if run.resumed else "--init"
    for name, value in named.items():
        with suppress(ValueError):
            if replace(dcgan.options, **{name: value}) == dcgan.options:
                continue
        theirs = _text(getattr(dcgan.options, name))
        raise UserError(
            f"the model in {source} has --{name} {theirs}, not {_text(value)}: change that option, or choose another "
            f"{flag}"
        )
    if run.resumed:
        say(f"resumed from {source} at step {steps}" + ("; --init is ignored" if run.options.init else ""))
    else:
        growth = f", enlarged from {size} to {dcgan.image_size} pixels" if dcgan.image_size > size else ""
        moved = "" if dcgan.options.margin == margin else f"; it was trained with --margin {margin:g}"
        say(f"starts from the model in {source}, trained for {steps} steps{growth}{moved}")
        dcgan.step.assign(0)
    return dcgan


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
