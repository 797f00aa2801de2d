"""The options of the networks, of training and of the search."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from images.mask_options import BLENDS
from utils import COUNT, DECAY, NOT_NEGATIVE, POSITIVE, SEED, Options, number, option

SIZES = tuple(2**i for i in range(3, 11))
KEEP = 3  # checkpoints

_width = number(int, 1, 65536)  # of a layer: its channels or inputs
MARGIN = number(float, 0, 4)  # of align.py


def filters(value: Any) -> int | tuple[int, ...]:
    """A check for `option`: one number of channels or several, in text separated by commas."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    numbers = tuple(map(_width, parts))
    return numbers[0] if len(numbers) == 1 else numbers


def size(value: Any) -> int:
    """A check for `option`: a size of pictures that networks can be built for."""
    side = number(int)(value)
    if side not in SIZES:
        raise ValueError(f"{value} is not a power of two from {SIZES[0]} to {SIZES[-1]}")
    return side


def window(value: Any) -> int:
    """A check for `option`: an odd side of a window, or 0 for no window."""
    side = number(int)(value)
    if side != 0 and not (side % 2 and 3 <= side < 512):
        raise ValueError(f"{value} is neither 0 nor an odd number from 3 to 511")
    return side


@dataclass(frozen=True)
class NetworkOptions(Options):
    """Networks. A model's config.json holds these options."""

    image_size: int = option(64, "width and height of the pictures, a power of two", check=size)
    c_dim: int = option(3, "channels of the pictures: 3 for color, 1 for gray", check=number(int), choices=(3, 1))
    z_dim: int = option(100, "number of elements of z", check=_width)
    gf_dim: int | Sequence[int] = option(
        64,
        "channels of G's last feature maps. Each earlier layer has twice as many as the next one, up to 8 * N. "
        "Or the channels of every layer from 4x4 up: 512,256,...",
        check=filters,
    )
    df_dim: int | Sequence[int] = option(
        64,
        "channels of D's first feature maps. Each later layer has twice as many as the one before, up to 8 * N. "
        "Or the channels of every layer down to 4x4: 64,128,...",
        check=filters,
    )
    margin: float = option(0.0, "the --margin that align.py used for the pictures", check=MARGIN)

    def __post_init__(self):
        super().__post_init__()
        for name, dims, climbing in (("gf_dim", self.g_dims, self.g_dims), ("df_dim", self.d_dims, self.d_dims[::-1])):
            if len(dims) != self.stages:
                raise ValueError(
                    f"{name} has {len(dims)} numbers, but image_size {self.image_size} needs {self.stages}"
                )
            # A list that doubles each time is replaced by its number, so that equal networks have equal options.
            usual = climbing == self._climb(climbing[-1])
            object.__setattr__(self, name, climbing[-1] if usual else tuple(dims))

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> "NetworkOptions":
        """The options of networks whose variables, such as `generator/g_h1/kernel`, have these shapes.

        Raises LookupError or ValueError if no networks have them.
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
        """The number of sizes of feature maps: 4x4, 8x8, ... image_size / 2."""
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
        """Options for pictures of twice the size: the same feature maps, and larger ones with half the channels."""
        halves = (max(2 * self.c_dim, width // 2) for width in (self.g_dims[-1], self.d_dims[0]))
        gf_dim, df_dim = [*self.g_dims, next(halves)], [next(halves), *self.d_dims]
        return replace(self, image_size=2 * self.image_size, gf_dim=gf_dim, df_dim=df_dim)

    def _climb(self, last: int) -> list[int]:
        return [last * min(8, 2**i) for i in reversed(range(self.stages))]


def layers(names: Iterable[str], start: str, end: str = "") -> list[str]:
    """The layers in names `network/layer/variable` that have this start and end, sorted by their numbers."""
    found = {name.rpartition("/")[0] for name in names}
    fitting = [layer for layer in found if layer.startswith(start) and layer.endswith(end)]
    return sorted(fitting, key=lambda layer: int(re.findall(r"\d+", layer)[0]))


@dataclass(frozen=True)
class TrainOptions(Options):
    """Training. The defaults are the post's, except for the averaging."""

    epochs: int = option(25, "passes over all pictures, including passes before the run was resumed", "--epoch", COUNT)
    batch_size: int = option(64, "pictures in a step, or all pictures if there are fewer", check=COUNT)
    learning_rate: float = option(0.0002, "Adam's learning rate for both networks", check=POSITIVE)
    beta1: float = option(0.5, "Adam's decay of the mean gradient", check=DECAY)
    g_updates: int = option(
        2,
        "updates of G in a step, with the same z. 2, as in the post, keeps D from winning early. 1, as in the DCGAN "
        "paper, takes two thirds of the time",
        check=number(int, 1, 16),
    )
    flip: bool = option(False, "each time a picture is used, mirror it with probability 1/2")
    ema: float = option(
        0.999,
        "decay of the moving average of G's weights. Samples and completions use this average. A larger value averages "
        "over more steps; 0 uses the latest weights",
        check=DECAY,
    )
    local_norm: bool = option(
        False, "with several devices: each device normalizes its own part of the batch, which saves communication"
    )
    seed: int = option(0, "seed of the initial weights, the order of the pictures, z and flips", check=SEED)

    def batches(self, pictures: int) -> int:
        """Steps in an epoch of this many pictures."""
        return pictures // min(self.batch_size, pictures)


@dataclass(frozen=True)
class DeviceOptions(Options):
    """Devices. Models are saved in the same format for all of them."""

    precision: str = option(
        "auto",
        "number format of feature maps. float32; mixed: mostly bfloat16 (float16 on older GPUs); auto: mixed for "
        "training if the processor or GPU supports it, and float32 for everything else",
        choices=("auto", "float32", "mixed"),
    )

    @property
    def of_search(self) -> str:
        """The precision for completion. With short floats results differ more between machines and batch sizes."""
        return "float32" if self.precision == "auto" else self.precision


APPROACHES = ("lbfgs", "adam", "pgd", "hmc")
STARTS = ("zero", "random")
RATES = {"adam": 0.1, "pgd": 0.001}  # step sizes
LENGTHS = (0.7, 0.85, 1.0)  # z_length of the alternatives, in turn
LR_DECAYS = ("cosine", "none")


@dataclass(frozen=True)
class SearchOptions(Options):
    """Search. The defaults measured best (docs/evaluation.md); PRESETS has others."""

    approach: str = option(
        "lbfgs",
        "the optimizer. lbfgs: limited-memory BFGS; adam; pgd: the post's projected gradient descent; hmc: Hamiltonian "
        "Monte Carlo, which draws random samples",
        choices=APPROACHES,
    )
    start: str = option(
        "zero",
        "the first z. zero; random: uniform in [-1, 1], as in the post",
        choices=STARTS,
    )
    n_iter: int = option(30, "iterations over z", "--nIter", COUNT)
    lr: float | None = option(
        None,
        f"adam, pgd: step size (default: {', '.join(f'{rate:g} for {approach}' for approach, rate in RATES.items())})",
        check=POSITIVE,
    )
    lr_decay: str = option(
        "cosine",
        "adam, pgd: how the step size falls to 0; none: it stays the same",
        "--lrDecay",
        choices=LR_DECAYS,
    )
    beta1: float = option(0.9, "adam: decay of the mean gradient", check=DECAY)
    beta2: float = option(0.999, "adam: decay of the mean squared gradient", check=DECAY)
    eps: float = option(1e-8, "adam: added to the root of the mean squared gradient", check=POSITIVE)
    momentum: float = option(0.9, "pgd: momentum", check=DECAY)
    hmc_beta: float = option(
        2.0, "hmc: factor of the loss; a larger value gives less random results (the post: 0.2)", "--hmcBeta", POSITIVE
    )
    hmc_eps: float = option(0.02, "hmc: size of a leapfrog step (the post: 0.001)", "--hmcEps", POSITIVE)
    hmc_l: int = option(10, "hmc: leapfrog steps in an iteration (the post: 100)", "--hmcL", COUNT)
    hmc_anneal: float = option(1.0, "hmc: factor by which hmcBeta changes in each iteration", "--hmcAnneal", POSITIVE)
    context_window: int = option(
        7,
        "the weight of a known pixel is the share of hidden pixels in a window of N by N around it, so that pixels "
        "near the hole count most. 0: all known pixels count the same",
        "--contextWindow",
        window,
    )
    context_floor: float = option(
        0.1,
        "added to the weight of every known pixel: with a larger value, the result also fits pixels far from the hole",
        "--contextFloor",
        NOT_NEGATIVE,
    )
    lam: float = option(
        0.0,
        "weight of the perceptual loss: with a larger value, the result must look more real to D. 0: D is not used, "
        "which halves the time",
        check=NOT_NEGATIVE,
    )
    z_penalty: float = option(
        15.0,
        "how strictly the length of z is kept near --zLength: with a larger value, the result looks more like a face "
        "but fits the known pixels less",
        "--zPenalty",
        NOT_NEGATIVE,
    )
    z_length: float = option(
        0.4,
        "length of z, relative to a random z: with a larger value, the result is sharper and more varied; with a "
        "smaller one, it is smoother and closer to an average face",
        "--zLength",
        NOT_NEGATIVE,
    )
    refine: int = option(
        8,
        "side in pixels of G's feature maps that are searched after z: with a larger value, the result fits the "
        "known pixels more closely but looks less like a face. 0: search z only",
        check=number(int),
        choices=(0, *(2**i for i in range(2, 10))),
    )
    refine_iter: int = option(30, "iterations over the feature maps", "--refineIter", COUNT)
    refine_penalty: float = option(
        0.001,
        "with a larger value, the feature maps stay closer to those that G makes of z",
        "--refinePenalty",
        NOT_NEGATIVE,
    )
    out_interval: int = option(
        50, "iterations between frames (pictures of the current result); 0: no frames", "--outInterval", number(int, 0)
    )
    seed: int = option(0, "seed of the random masks, the random z and hmc", check=SEED)

    def z_length_of(self, attempt: int) -> float:
        """The `z_length` of an attempt, from 0: that of the best guess, or the longer one of an alternative."""
        return max(self.z_length, LENGTHS[(attempt - 1) % len(LENGTHS)]) if attempt else self.z_length

    @property
    def iterations(self) -> int:
        """Iterations over z and feature maps."""
        return self.n_iter + (self.refine_iter if self.refine else 0)


@dataclass(frozen=True)
class Preset:
    """A search and blending by name, for `complete.py --preset` and as a method of evaluate.py."""

    name: str
    help: str
    search: SearchOptions = SearchOptions()
    blend: str = BLENDS[0]

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values by the names of the options: those that are given, and the preset's.

        The preset's step size is not for approaches that have none.
        """
        own = {**asdict(self.search), "blend": self.blend, **given}
        if own["approach"] not in RATES and "lr" not in given:
            own["lr"] = None
        return own


_POST = SearchOptions(
    "adam", "random", n_iter=1000, lr=0.01, lr_decay="none", context_window=0, lam=0.1, z_penalty=0.0, refine=0
)
_PRESETS = (
    Preset("default", "a compromise: close to the true picture, and fairly sharp"),
    Preset("likely", "smooth, and closest to the true picture pixel by pixel", SearchOptions(z_length=0.0)),
    Preset("lively", "as sharp as G's samples, but further from the true picture", SearchOptions(z_length=0.85)),
    Preset(
        "post",
        "the search of the post's repository: 1000 iterations of Adam, without blending; about 30 times slower",
        _POST,
        "none",
    ),
)
PRESETS = {preset.name: preset for preset in _PRESETS}
