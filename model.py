"""A DCGAN, its adversarial training, and the search that completes pictures with it.

Radford et al., "Unsupervised Representation Learning with Deep Convolutional GANs" (arXiv:1511.06434); Yeh, Chen
et al., "Semantic Image Inpainting with Deep Generative Models" (arXiv:1607.07539); Amos, "Image Completion with
Deep Learning in TensorFlow" (2016), here "the post".

    dcgan = DCGAN.load("checkpoints/pretrained")
    images = dcgan.generator(z)              # z [batch, z_dim] in [-1, 1] -> [batch, H, W, c_dim] in [-1, 1]
    logits = dcgan.discriminator(images)     # [batch, 1]
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcgan import checkpoints, devices
from dcgan.devices import chosen, dtype_policy
from dcgan.growing import grow_discriminator, grow_generator
from dcgan.options import KEEP, NetworkOptions, SearchOptions, TrainOptions
from dcgan.schedule import Schedule
from dcgan.search import search
from dcgan.search_loss import SearchLoss
from dcgan.training import Training
from images.dataset import Dataset, one_ahead
from images.incomplete import Incomplete
from kernels.layers import fill_batch
from kernels.network import Network
from kernels.tensorflow import enough_memory, keras, tf
from ops import Weights, batch_norm, computing_in, conv2d, conv2d_transpose, linear, lrelu, to_uint8
from utils import UserError, never

LOSSES = ("d_loss", "d_loss_real", "d_loss_fake", "g_loss")
Pictures = np.ndarray | Dataset


@dataclass(frozen=True)
class TrainStep:
    """The state after one training step or several. Its tensors may still be computing on the device."""

    step: int  # steps done, from 1. All fields except the losses describe the latest step
    epoch: int  # from 0
    batch: int  # the step's place in its epoch, from 1 to `batches`
    batches: int  # steps in an epoch
    # [n, 4]: the LOSSES of each of the n steps since the last yield, all in this epoch. d_loss is computed before D's
    # update, g_loss before G's last update.
    losses: Any
    z: Any  # [batch, z_dim]; with several workers, this worker's part, as for the logits
    d_logits_real: Any  # [batch, 1], before D's update
    d_logits_fake: Any  # [batch, 1], before D's update


@dataclass(frozen=True)
class SearchStep:
    """The state of the search for z at its start or after an iteration."""

    iteration: int  # iterations done, in z and then in G's feature maps
    z: np.ndarray  # float32 [batch, z_dim] in [-1, 1]. It stays the same while the feature maps are searched
    # [batch, 3]: contextual, perceptual and total loss; not finite until a point with a finite loss is found. The
    # perceptual loss is NaN if it is not computed: with lam 0, the default, and in G's feature maps.
    losses: np.ndarray
    restarts: np.ndarray  # [batch]: how often the search has restarted because the loss was not finite
    generated: Any  # uint8 [batch, H, W, c_dim]: G(z), or G of the feature maps; None between frames
    completed: Any  # uint8 [batch, H, W, c_dim]: the known pixels, and `generated` in the hole; None between frames


class DCGAN:
    """A generator and a discriminator, with their training and the search for z.

    Both networks run batch normalization in inference mode unless they are called with `training=True`.
    """

    def __init__(
        self,
        image_size: int = NetworkOptions.image_size,
        c_dim: int = NetworkOptions.c_dim,
        z_dim: int = NetworkOptions.z_dim,
        gf_dim: int | Sequence[int] = NetworkOptions.gf_dim,
        df_dim: int | Sequence[int] = NetworkOptions.df_dim,
        margin: float = NetworkOptions.margin,
        seed: int | None = 0,
        precision: str = "float32",
        strategy: tf.distribute.Strategy | None = None,
    ):
        """Builds networks as in `NetworkOptions`, with random weights that follow from `seed`, or zeros if it is None.

        precision: as in `DeviceOptions`; weights, images and logits are float32 in all of them. strategy: distributes
        the networks over several devices. Raises ValueError for invalid options.
        """
        self.precision = chosen(precision)
        self.policy = dtype_policy(self.precision)
        self.strategy = strategy or tf.distribute.get_strategy()
        self.options = NetworkOptions(image_size, c_dim, z_dim, gf_dim, df_dim, margin)
        self.image_size, self.c_dim, self.z_dim = self.options.image_size, self.options.c_dim, self.options.z_dim
        with self.strategy.scope():
            self._generator = self._build_generator(seed)
            self.discriminator = self._build_discriminator(None if seed is None else seed + 1)
        self._search_loss = SearchLoss(self.discriminator, self.strategy)
        self.step = tf.Variable(0, dtype=tf.int64)  # training steps done
        self.directory: Path | None = None  # that it was loaded from, if it was not trained since
        self.training: Training | None = None
        self._stale = False  # whether training has made G's batch statistics out of date

    # ------------------------------------------------------------------------------------ networks

    @property
    def generator(self) -> keras.Model:
        """G: z [batch, z_dim] in [-1, 1] -> images [batch, H, W, c_dim] in [-1, 1].

        Its weights are averages over the training steps. Its batch statistics are brought up to date on access.
        """
        if self._stale:
            self._settle_statistics()
            self._stale = False
        return self._generator

    def _build_generator(self, seed: int | None) -> keras.Model:
        weights = Weights(seed)
        widths = self.options.g_dims
        with computing_in(self.policy):
            layers = [
                keras.Input((self.z_dim,)),
                linear(4 * 4 * widths[0], weights, "g_h0_lin"),
                keras.layers.Reshape((4, 4, widths[0])),  # 4x4x512 at image_size 64
                batch_norm("g_bn0"),
                keras.layers.ReLU(),
            ]
            for i, width in enumerate(widths[1:], 1):  # -> 8x8x256 -> 16x16x128 -> 32x32x64
                layers += [conv2d_transpose(width, weights, f"g_h{i}"), batch_norm(f"g_bn{i}"), keras.layers.ReLU()]
            layers += [  # -> 64x64x3
                conv2d_transpose(self.c_dim, weights, f"g_h{len(widths)}"),
                keras.layers.Activation("tanh", dtype="float32"),
            ]
        return Network(layers, name="generator")

    def _build_discriminator(self, seed: int | None) -> keras.Model:
        weights = Weights(seed)
        widths = self.options.d_dims
        with computing_in(self.policy):
            layers = [
                keras.Input((self.image_size, self.image_size, self.c_dim)),
                conv2d(widths[0], weights, "d_h0_conv"),  # 64x64x3 -> 32x32x64
                lrelu(),
            ]
            for i, width in enumerate(widths[1:], 1):  # -> 16x16x128 -> 8x8x256 -> 4x4x512
                layers += [conv2d(width, weights, f"d_h{i}_conv"), batch_norm(f"d_bn{i}"), lrelu()]
            layers += [keras.layers.Flatten(), linear(1, weights, f"d_h{len(widths)}_lin")]
        return Network(layers, name="discriminator")

    def grown(self, image_size: int, seed: int = 0) -> "DCGAN":
        """A model for larger pictures that begins as this one. `image_size`: a power of two.

        It generates the same pictures, enlarged, and judges pictures by their reduced versions, until it has learned.
        """
        smaller = self
        while smaller.image_size < image_size:
            options = asdict(smaller.options.doubled())
            larger = DCGAN(**options, seed=seed, precision=self.precision, strategy=self.strategy)
            count = larger._at_once(64)
            z = np.random.default_rng(0).uniform(-1, 1, (count, self.z_dim)).astype(np.float32)
            with enough_memory(count, larger.image_size):
                grow_generator(smaller.generator, larger.generator, z)
                grow_discriminator(smaller.discriminator, larger.discriminator, larger.generator(z))
            smaller = larger
        return smaller

    # ------------------------------------------------------------------------------------ training

    def train(
        self, pictures: Pictures, options: TrainOptions, origin: int = 0, intervals: Sequence[int] = ()
    ) -> Iterator[TrainStep]:
        """Trains on `pictures`, uint8 [N, H, W, c_dim]; yields after each execution.

        It continues after the steps done so far. An execution is one step; on a GPU, up to ten steps, so that the GPU
        does not wait for Python. It ends with an epoch, and after each step that is a multiple of one of the
        `intervals`. What a step computes depends only on the pictures, the options and the step's number. `origin` is
        the step from which epochs are counted. To stop, leave the loop. Raises ValueError if `pictures` do not fit the
        model, UserError if the device runs out of memory.
        """
        self._check(pictures)
        training = self.start_training()
        training.set_options(options)
        schedule = Schedule(len(pictures), options, origin)
        mine = devices.share(self.strategy, schedule.batch_size)
        pixels = schedule.batch_size * self.image_size**2
        most = min(schedule.batches, devices.steps_per_execution(self.strategy, pixels))

        def load(steps: range) -> tuple[range, list[np.ndarray]]:
            batches = [pictures[schedule.indices(step)[mine]] for step in steps]
            return steps, batches + batches[-1:] * (most - len(batches))  # XLA compiles for one number of batches

        self.directory = None  # its model is another one now
        for steps, loaded in one_ahead(load, schedule.executions(int(self.step), most, intervals)):
            self._stale = True
            with enough_memory(schedule.batch_size, self.image_size):
                batches = [devices.parts(self.strategy, batch) for batch in loaded]
                losses, *others = training.run(batches, *map(tf.constant, (steps.start, len(steps))), options)
            epoch, batch = schedule.place(steps[-1])
            of_last = (values[len(steps) - 1] for values in others)
            yield TrainStep(steps.stop, epoch, batch + 1, schedule.batches, losses[: len(steps)], *of_last)

    def _check(self, pictures: Pictures) -> None:
        shape = (self.image_size, self.image_size, self.c_dim)
        if pictures.dtype != np.uint8 or pictures.shape[1:] != shape or not len(pictures):
            raise ValueError(f"pictures are {pictures.dtype} {pictures.shape}, not uint8 [N, {shape}] with N >= 1")

    def start_training(self) -> Training:
        """The training state; a new one begins with the model's weights."""
        if self.training is None:
            weights = self.generator.get_weights()
            with self.strategy.scope():
                live = self._build_generator(seed=None)
                live.set_weights(weights)
                networks = live, self._generator, self.discriminator
                self.training = Training(*networks, self.step, self.strategy, self.policy)
            self._stale = True
        return self.training

    def _settle_statistics(self) -> None:
        """Sets G's batch statistics to those of its feature maps for 256 fixed z.

        Averaged weights make other feature maps than the weights that they average. Averaged statistics would not fit
        these, and samples would be pale. (Brock et al., arXiv:1809.11096, call these standing statistics.)
        """
        count = self._at_once(256)
        x = tf.constant(np.random.default_rng(0).uniform(-1, 1, (count, self.z_dim)), tf.float32)
        with enough_memory(count, self.image_size):
            for layer in self._generator.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    mean, variance = tf.nn.moments(tf.cast(x, tf.float32), list(range(x.shape.rank - 1)))
                    layer.moving_mean.assign(mean)
                    layer.moving_variance.assign(variance)
                x = layer(x)

    def _at_once(self, most: int) -> int:
        """How many images to make at once: `most`, or fewer if feature maps are large."""
        return max(1, min(most, 2**22 // self.image_size**2))

    def generate(self, z: np.ndarray) -> Iterator[np.ndarray]:
        """G(z) of z [N, z_dim] in [-1, 1], batch by batch, uint8 [n, H, W, c_dim].

        An image depends on N by rounding alone. Raises UserError if the device runs out of memory.
        """
        size = self._at_once(64)
        for first in range(0, len(z), size):
            part = z[first : first + size]
            with enough_memory(size, self.image_size):
                yield to_uint8(self.generator(fill_batch(part))).numpy()[: len(part)]

    # ---------------------------------------------------------------------------------- completion

    def complete(
        self, incomplete: Incomplete, options: SearchOptions, stopped: Callable[[], bool] = never
    ) -> Iterator[SearchStep]:
        """Searches z in [-1, 1] so that G(z) fits the known pixels of each picture and looks real.

        The search minimizes, for each picture,
            contextual + lam * perceptual + z_penalty * (|z| - z_length * sqrt(z_dim / 3))^2
        (the post; paper, section 3.2; the penalty is ours: sqrt(z_dim / 3) is the usual length of a random z). Then,
        with `refine`, it minimizes contextual + refine_penalty * |change|^2 over changes of G's feature maps. With
        `lowres` both penalties are divided by lowres^2, because there are fewer block means than pixels.

        Yields the state at the start and after each iteration. `generated` and `completed` are given every
        `out_interval` iterations and at the end. The search ends early once `stopped` returns True. It restarts from a
        random z where the loss is not finite. Raises ValueError if the pictures do not fit the model, UserError if the
        device runs out of memory.
        """
        self._check(incomplete.pictures)
        seen = incomplete.in_gray()
        measure = self._search_loss.against(seen, options)
        for i, state in enumerate(search(measure, self.generator, self.strategy, seen, options)):
            generated = completed = None
            last = i == options.iterations or stopped()
            if last or (options.out_interval and i % options.out_interval == 0):
                generated = incomplete.toned(state.point.images)
                completed = incomplete.filled(generated)
            point = state.point
            yield SearchStep(i, state.z.astype(np.float32), point.losses, point.restarts, generated, completed)
            if last:
                return

    # --------------------------------------------------------------------------------------- files

    def save(self, directory: str | Path, keep: int = KEEP, half: bool = False) -> None:
        """Writes config.json and a checkpoint; keeps the `keep` newest checkpoints.

        The checkpoint includes the training state if there is one. half: writes float16 without the training state, for
        a finished model. Raises UserError if the files cannot be written or a weight is not finite; earlier checkpoints
        then stay whole.
        """
        variables = self.named_variables(training=not half)
        if half:
            variables = {
                name: variable if name == "step" else tf.Variable(tf.cast(variable, tf.float16))
                for name, variable in variables.items()
            }
        if not all(np.isfinite(variable).all() for variable in variables.values()):
            raise UserError(
                f"a weight is not finite after step {int(self.step)}, which was not saved: resume from the checkpoint "
                "before it with a lower --learning_rate"
            )
        checkpoints.write(Path(directory), self.options, variables, int(self.step), keep)

    @classmethod
    def load(
        cls,
        directory: str | Path,
        training: bool = False,
        precision: str = "float32",
        strategy: tf.distribute.Strategy | None = None,
    ) -> "DCGAN":
        """The model in `directory`, which may hold a TensorFlow 1 checkpoint of the post's repository.

        training: load the training state, too. precision, strategy: as in DCGAN, whatever the model was trained with.
        Raises UserError if there is no model, no training state, or no checkpoint that can be read.
        """
        stored = checkpoints.read(Path(directory), training)
        dcgan = cls(**asdict(stored.options), seed=None, precision=precision, strategy=strategy)
        dcgan.directory = Path(directory).resolve()
        if training:
            dcgan.start_training()
            dcgan._stale = False  # statistics were saved up to date
        variables = dcgan.named_variables()
        variables.pop("step").assign(stored.step)
        for name in sorted(variables.keys() | stored.values.keys()):
            value = stored.values.get(name)
            if name not in variables or value is None or variables[name].shape != value.shape:
                raise UserError(f"incompatible checkpoint {stored.path}: {name} is missing or has the wrong shape")
            variables[name].assign(value)
        return dcgan

    def named_variables(self, training: bool = True) -> dict[str, tf.Variable]:
        """The variables that a checkpoint holds, by name, with the training state if there is one."""
        return {
            "step": self.step,
            **checkpoints.named_variables("generator", self.generator),
            **checkpoints.named_variables("discriminator", self.discriminator),
            **(self.training.named_variables() if training and self.training else {}),
        }
