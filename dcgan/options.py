"""The options of the networks, of training and of the search."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from images.mask_options import BLENDS
from utils import Options, number, option

SIZES = tuple(2**i for i in range(3, 11))
KEEP = 3  # checkpoints

_count = number(int, 1, 65536)  # that a network's layers may have of anything


def filters(value: Any) -> int | tuple[int, ...]:
    """A check for `option`: a number of channels, or several; as text, parted by commas."""
    parts = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
    if not isinstance(parts, list | tuple):
        raise ValueError(f"{value} is neither a whole number nor several")
    numbers = tuple(_count(part) for part in parts)
    return numbers[0] if len(numbers) == 1 else numbers


def size(value: Any) -> int:
    """A check for `option`: a picture's side that the networks can climb to."""
    side = number(int)(value)
    if side not in SIZES:
        raise ValueError(f"{value} is not a power of two from {SIZES[0]} to {SIZES[-1]}")
    return side


def window(value: Any) -> int:
    """A check for `option`: the side of a window with a pixel in its middle, or 0 for none."""
    side = number(int)(value)
    if side != 0 and not (side % 2 and 3 <= side < 512):
        raise ValueError(f"{value} is neither 0 nor an odd number from 3 to 511")
    return side


@dataclass(frozen=True)
class NetworkOptions(Options):
    """Networks. What they are built from; a model's config.json holds it."""

    image_size: int = option(64, "side of the pictures, a power of two", check=size)
    c_dim: int = option(3, "channels of the pictures: 3 colour, 1 grey", check=number(int), choices=(3, 1))
    z_dim: int = option(100, "length of z", check=_count)
    gf_dim: int | Sequence[int] = option(
        64,
        "channels of G's last feature maps, doubled at each step down to 4x4, but eightfold at most; or of all, from "
        "4x4 up: 512,256,...",
        check=filters,
    )
    df_dim: int | Sequence[int] = option(64, "the same of D, or of all down to 4x4: 64,128,...", check=filters)

    def __post_init__(self):
        super().__post_init__()
        for name, dims in (("gf_dim", self.g_dims), ("df_dim", self.d_dims)):
            if len(dims) != self.stages:
                raise ValueError(
                    f"{name} has {len(dims)} numbers, not {self.stages} as image_size {self.image_size} asks"
                )
        # One network, one way to say it.
        for name, dims, climbing in (("gf_dim", self.g_dims, self.g_dims), ("df_dim", self.d_dims, self.d_dims[::-1])):
            usual = climbing == self._climb(climbing[-1])
            object.__setattr__(self, name, climbing[-1] if usual else tuple(dims))

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> "NetworkOptions":
        """What networks were built from whose variables, `generator/g_h1/kernel` and so on, have these shapes.

        LookupError or ValueError if there are no such networks.
        """
        deconvs = [shapes[f"{layer}/kernel"] for layer in layers(shapes, "generator/g_h")[1:]]
        convs = [shapes[f"{layer}/kernel"] for layer in layers(shapes, "discriminator/d_h", "_conv")]
        return cls(
            image_size=4 * 2 ** len(deconvs),
            c_dim=deconvs[-1][2],
            z_dim=shapes["generator/g_h0_lin/kernel"][0],
            gf_dim=[shapes["generator/g_bn0/gamma"][0], *(shape[2] for shape in deconvs[:-1])],
            df_dim=[shape[3] for shape in convs],
        )

    @property
    def stages(self) -> int:
        """Sizes of feature maps: 4x4, 8x8, ... image_size / 2."""
        return self.image_size.bit_length() - 3

    @property
    def g_dims(self) -> list[int]:
        """Channels of each of the generator's feature maps: [512, 256, 128, 64] for image_size 64, gf_dim 64."""
        return self._climb(self.gf_dim) if isinstance(self.gf_dim, int) else list(self.gf_dim)

    @property
    def d_dims(self) -> list[int]:
        """Channels of each of the discriminator's feature maps: [64, 128, 256, 512] for image_size 64, df_dim 64."""
        return self._climb(self.df_dim)[::-1] if isinstance(self.df_dim, int) else list(self.df_dim)

    def doubled(self) -> "NetworkOptions":
        """Networks for pictures of twice the side: the same feature maps, and larger ones of half the channels."""
        halves = (max(2 * self.c_dim, width // 2) for width in (self.g_dims[-1], self.d_dims[0]))
        gf_dim, df_dim = [*self.g_dims, next(halves)], [next(halves), *self.d_dims]
        return replace(self, image_size=2 * self.image_size, gf_dim=gf_dim, df_dim=df_dim)

    def _climb(self, last: int) -> list[int]:
        return [last * min(8, 2**i) for i in reversed(range(self.stages))]


def layers(names: Iterable[str], start: str, end: str = "") -> list[str]:
    """The layers of the variables `network/layer/variable` that begin and end so, by their numbers."""
    found = {name.rpartition("/")[0] for name in names}
    fitting = [layer for layer in found if layer.startswith(start) and layer.endswith(end)]
    return sorted(fitting, key=lambda layer: int(re.findall(r"\d+", layer)[0]))


seed_check = number(int, 0, 2**31 - 1)


@dataclass(frozen=True)
class TrainOptions(Options):
    """Training. The defaults are the post's, averaging aside."""

    epochs: int = option(
        25, "passes over the pictures in all, those of the run resumed counted", "--epoch", check=number(int, 1)
    )
    batch_size: int = option(64, "pictures a step; all of them where there are fewer", check=number(int, 1))
    learning_rate: float = option(0.0002, "Adam's learning rate, for both networks", check=number(float, above=0))
    beta1: float = option(0.5, "Adam's decay of the mean gradient", check=number(float, 0, below=1))
    g_updates: int = option(
        2,
        "updates of G a step, on the same z: the post's 2 keep D from winning early; with the DCGAN paper's 1 a step "
        "takes two thirds of the time",
        check=number(int, 1, 16),
    )
    flip: bool = option(False, "mirror half of the pictures, drawn anew each time")
    ema: float = option(
        0.999,
        "decay of the averaged generator, which samples and completions use, reached from below as steps go by; 0 "
        "keeps no average",
        check=number(float, 0, below=1),
    )
    local_norm: bool = option(
        False,
        "on several devices: normalise by each one's part of the batch instead of the whole, which spares them some "
        "messages",
    )
    seed: int = option(
        0, "the same seed gives the same run: the order of the pictures, z and flips follow from it", check=seed_check
    )

    def batches(self, pictures: int) -> int:
        """Steps an epoch of so many pictures."""
        return pictures // min(self.batch_size, pictures)


@dataclass(frozen=True)
class DeviceOptions(Options):
    """Devices. How the machine computes; what is saved fits any other."""

    precision: str = option(
        "auto",
        "of feature maps: float32; mixed, bfloat16 (float16 on older GPUs) but where it matters; or auto: mixed to "
        "train, where the processor or GPU has instructions for it, and float32 to complete",
        choices=("auto", "float32", "mixed"),
    )

    @property
    def of_search(self) -> str:
        """The precision to complete with. Short floats make more of what machines and sizes of batches differ in."""
        return "float32" if self.precision == "auto" else self.precision


APPROACHES = ("lbfgs", "adam", "pgd", "hmc")
STARTS = ("zero", "random", "fit")
RATES = {"adam": 0.1, "pgd": 0.001}  # step sizes


@dataclass(frozen=True)
class SearchOptions(Options):
    """Search. The defaults are what measured best (README); PRESETS has others."""

    approach: str = option(
        "lbfgs",
        "limited-memory BFGS, Adam, the post's projected gradient descent, or Hamiltonian Monte Carlo",
        choices=APPROACHES,
    )
    start: str = option(
        "zero",
        "the first z: zero, the middle of the cube; random, uniform in it; or fit, a linear regression of z on the "
        "known pixels",
        choices=STARTS,
    )
    n_iter: int = option(30, "iterations in the space of z", "--nIter", check=number(int, 1))
    lr: float | None = option(
        None,
        f"adam, pgd: step size (default: {', '.join(f'{rate:g} for {approach}' for approach, rate in RATES.items())})",
        check=number(float, above=0),
    )
    lr_decay: str = option(
        "cosine",
        "adam, pgd: let the step size fall to 0 along half a cosine, or keep it",
        "--lrDecay",
        choices=("cosine", "none"),
    )
    beta1: float = option(0.9, "adam: decay of the mean gradient", check=number(float, 0, below=1))
    beta2: float = option(0.999, "adam: decay of the mean squared gradient", check=number(float, 0, below=1))
    eps: float = option(1e-8, "adam: added to the root of the mean squared gradient", check=number(float, above=0))
    momentum: float = option(0.9, "pgd: momentum", check=number(float, 0, below=1))
    hmc_beta: float = option(
        2.0, "hmc: the potential is this times the loss (the post: 0.2)", "--hmcBeta", check=number(float, above=0)
    )
    hmc_eps: float = option(
        0.02, "hmc: size of a leapfrog step (the post: 0.001)", "--hmcEps", check=number(float, above=0)
    )
    hmc_l: int = option(10, "hmc: leapfrog steps an iteration (the post: 100)", "--hmcL", check=number(int, 1))
    hmc_anneal: float = option(
        1.0, "hmc: what hmcBeta is multiplied by after each iteration", "--hmcAnneal", check=number(float, above=0)
    )
    context_window: int = option(
        7, "side of the window of the weighted contextual loss; 0: all known pixels weigh 1", "--contextWindow", window
    )
    context_floor: float = option(
        0.1,
        "what each known pixel weighs besides the share of hidden ones around it: those far from the hole count too",
        "--contextFloor",
        check=number(float, 0),
    )
    lam: float = option(
        0.0, "weight of the perceptual loss; 0: D is not asked, which halves the time", check=number(float, 0)
    )
    z_penalty: float = option(
        15.0,
        "weight of the squared difference of |z| from zLength, which keeps z from fitting the known pixels at the "
        "expense of the hidden ones",
        "--zPenalty",
        check=number(float, 0),
    )
    z_length: float = option(
        0.4,
        "the length that z is kept near, as a share of a random z's: with a larger one what is hidden comes out "
        "livelier, with a smaller one nearer to what is likely, pixel by pixel",
        "--zLength",
        check=number(float, 0),
    )
    refine: int = option(
        8,
        "then search on in G's feature maps of this side, or the largest below; 0: do not",
        check=number(int),
        choices=(0, *(2**i for i in range(2, 10))),
    )
    refine_iter: int = option(30, "iterations of that, by L-BFGS", "--refineIter", check=number(int, 1))
    refine_penalty: float = option(
        0.001, "weight of the squared change of the feature maps", "--refinePenalty", check=number(float, 0)
    )
    out_interval: int = option(
        50, "iterations between two frames; 0: no frames, only results", "--outInterval", check=number(int, 0)
    )
    seed: int = option(0, "what random masks, random z and momenta follow from", check=seed_check)

    @property
    def iterations(self) -> int:
        """Iterations in all."""
        return self.n_iter + (self.refine_iter if self.refine else 0)


@dataclass(frozen=True)
class Preset:
    """A search and blending by name, for `complete.py --preset` and as a method of evaluate.py."""

    name: str
    help: str
    search: SearchOptions = SearchOptions()
    blend: str = BLENDS[0]

    @property
    def options(self) -> dict[str, Any]:
        """The values by the names of the options."""
        return asdict(self.search) | {"blend": self.blend}


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("default", "a plausible completion, close to the truth on average"),
        Preset(
            "likely", "the smooth completion that is closest to the truth, pixel by pixel", SearchOptions(z_length=0.0)
        ),
        Preset(
            "lively", "as sharp as the generator's samples, but further from the truth", SearchOptions(z_length=0.85)
        ),
        Preset(
            "post",
            "the search of the post's repository: 1000 iterations of Adam, without blending; some 30 times slower",
            SearchOptions(
                approach="adam",
                start="random",
                n_iter=1000,
                lr=0.01,
                lr_decay="none",
                context_window=0,
                lam=0.1,
                z_penalty=0.0,
                refine=0,
            ),
            "none",
        ),
    )
}
