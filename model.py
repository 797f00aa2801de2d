"""A DCGAN, its adversarial training, and the search that completes pictures with it.

Radford et al., "Unsupervised Representation Learning with Deep Convolutional GANs" (arXiv:1511.06434); Yeh, Chen
et al., "Semantic Image Inpainting with Deep Generative Models" (arXiv:1607.07539); Amos, "Image Completion with
Deep Learning in TensorFlow" (2016), here "the post".

    dcgan = DCGAN.load("checkpoints/pretrained")
    images = dcgan.generator(z)              # z [batch, z_dim] in [-1, 1] -> [batch, H, W, c_dim] in [-1, 1]
    logits = dcgan.discriminator(images)     # [batch, 1]
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dcgan import checkpoints, devices
from dcgan.checkpoints import named_variables
from dcgan.devices import LOSS_SCALE, chosen, dtype_policy, replica_uniform
from dcgan.growing import grow_discriminator, grow_generator
from dcgan.options import KEEP, NetworkOptions, SearchOptions, TrainOptions
from dcgan.search import search
from dcgan.training_state import Schedule, Training
from images.dataset import Dataset, one_ahead
from images.incomplete import Incomplete
from images.masks import context_weights
from kernels.layers import fill_batch, fill_rows
from kernels.tensorflow import enough_memory, keras, tf
from ops import (
    Weights,
    batch_norm,
    block_means,
    computing_in,
    conv2d,
    conv2d_transpose,
    cross_entropy,
    linear,
    lrelu,
    random_flip,
    to_float,
    to_uint8,
)
from utils import UserError

LOSSES = ("d_loss", "d_loss_real", "d_loss_fake", "g_loss")
Pictures = np.ndarray | Dataset


@dataclass(frozen=True)
class TrainStep:
    """What `DCGAN.train` yields; the arrays are tensors that nobody has waited for yet."""

    step: int
    """Steps done, 1 and up. What follows is of the last of them, but for the losses."""
    epoch: int
    """0 and up."""
    batch: int
    """Its place in its epoch, 1 to `batches`."""
    batches: int
    """Steps an epoch."""
    losses: Any
    """[n, 4]: LOSSES as the updates saw them, of each of the n steps since the last yield, all of this epoch.

    d_loss is that before the D update, g_loss that of the last G update.
    """
    z: Any
    """[batch, z_dim], its z; of several workers this one's part, as of the logits."""
    d_logits_real: Any
    """[batch, 1], of the D update."""
    d_logits_fake: Any
    """[batch, 1], of the D update."""


@dataclass(frozen=True)
class SearchStep:
    """What `DCGAN.complete` yields: where the search stands after some iterations."""

    iteration: int
    """Iterations so far, in z and then in G's feature maps."""
    z: np.ndarray
    """[batch, z_dim] in [-1, 1], the z found; it stays while the feature maps are searched."""
    losses: np.ndarray
    """[batch, 3]: contextual, perceptual and total loss; not finite while no point is found where they are.

    The perceptual loss is NaN where D is not asked: if lam is 0, as by default, and in G's feature maps.
    """
    restarts: np.ndarray
    """[batch]: how often a picture's search began anew because its loss was not finite."""
    generated: Any
    """[batch, H, W, c_dim] uint8, G(z), or what G makes of the feature maps searched; None between frames."""
    completed: Any
    """[batch, H, W, c_dim] uint8, the known pixels as they came, `generated` in the hole; None where that is."""


class Known(NamedTuple):
    """What the search compares G(z) with, and how: an Incomplete, of which each device has a part, and the weights."""

    y: Any
    """[batch, H, W, c_dim] in [-1, 1]."""
    weights: Any
    """[batch, H, W, 1], of the contextual loss; 0 in the hole."""
    lam: Any
    lowres: int


class DCGAN:
    """Generator and discriminator with their training and the search for z.

    `generator` is the averaged generator of training, the one to sample and complete with. Both networks run
    batch normalisation in inference mode unless called with `training=True`.
    """

    def __init__(
        self,
        image_size: int = NetworkOptions.image_size,
        c_dim: int = NetworkOptions.c_dim,
        z_dim: int = NetworkOptions.z_dim,
        gf_dim: int | Sequence[int] = NetworkOptions.gf_dim,
        df_dim: int | Sequence[int] = NetworkOptions.df_dim,
        seed: int = 0,
        precision: str = "float32",
        strategy: tf.distribute.Strategy | None = None,
    ):
        """Networks as `NetworkOptions` says, with random weights that follow from `seed`.

        precision: of `DeviceOptions`; weights, images and logits are float32 in any. strategy: by which several devices
        have a replica of the networks each, and train together. ValueError if there are no such networks, or there is
        no such precision.
        """
        self.precision = chosen(precision)
        self.policy = dtype_policy(self.precision)
        self.strategy = strategy or tf.distribute.get_strategy()
        self.options = NetworkOptions(image_size, c_dim, z_dim, gf_dim, df_dim)
        self.image_size, self.c_dim, self.z_dim = self.options.image_size, self.options.c_dim, self.options.z_dim
        with self.strategy.scope():
            self.generator = self._build_generator(seed)
            self.discriminator = self._build_discriminator(seed + 1)
        self.step = tf.Variable(0, dtype=tf.int64)  # steps of training that made the weights
        self.training: Training | None = None

    # ------------------------------------------------------------------------------------ networks

    def _build_generator(self, seed: int) -> keras.Model:
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
        return keras.Sequential(layers, name="generator")

    def _build_discriminator(self, seed: int) -> keras.Model:
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
        return keras.Sequential(layers, name="discriminator")

    def grown(self, image_size: int, seed: int = 0) -> "DCGAN":
        """A model for pictures so large, a power of two above this one's size, that begins as this one.

        It generates the same pictures, enlarged, and judges others by their small versions; it has more to learn.
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
        """Trains on `pictures`, uint8 [N, H, W, c_dim], from the step reached; yields after each step.

        On a GPU, which would wait for its host, up to ten steps are one execution, and it yields after that; but always
        after the last step of an epoch, and after each that is a multiple of one of the `intervals`.

        A step is one D update and `g_updates` of G on the same z. What it does follows from the pictures, the options
        and the step's number alone. Epochs are counted from step `origin`; another than 0 if earlier ones had another
        number of steps. Stop by leaving the loop. To use `generator` before the loop has ended by itself,
        `settle_statistics` first. ValueError if `pictures` are of another kind than the model's, UserError if the
        device has no memory for a step.
        """
        self._check(pictures)
        training = self.start_training()
        for optimizer in (training.g_optimizer, training.d_optimizer):
            optimizer.learning_rate, optimizer.beta_1 = options.learning_rate, options.beta1
        self._share_statistics(training, not options.local_norm)
        schedule = Schedule(len(pictures), options, origin)
        batch_size = schedule.batch_size
        mine = devices.share(self.strategy, batch_size)
        most = min(schedule.batches, devices.steps_per_execution(self.strategy, batch_size * self.image_size**2))

        def load(steps: range) -> tuple[range, list[np.ndarray]]:
            loaded = [pictures[schedule.indices(step)[mine]] for step in steps]
            return steps, loaded + loaded[-1:] * (most - len(loaded))  # filled up, for XLA compiles for one number

        for steps, loaded in one_ahead(load, schedule.executions(int(self.step), most, intervals)):
            count = len(steps)
            with enough_memory(batch_size, self.image_size):
                batches = [devices.parts(self.strategy, batch) for batch in loaded]
                losses, *others = self._train_steps(training, batches, *map(tf.constant, (steps.start, count)), options)
            epoch, batch = schedule.place(steps[-1])
            of_last = (values[count - 1] for values in others)
            yield TrainStep(steps.stop, epoch, batch + 1, schedule.batches, losses[:count], *of_last)
        self.settle_statistics()

    def _check(self, pictures: Pictures) -> None:
        shape = (self.image_size, self.image_size, self.c_dim)
        if pictures.dtype != np.uint8 or pictures.shape[1:] != shape or not len(pictures):
            raise ValueError(
                f"pictures are {pictures.dtype} {pictures.shape}, not uint8 [N, {shape}] with N at least 1"
            )

    def start_training(self) -> Training:
        """The state of the training; one that begins with the model's weights if there is none yet."""
        if self.training is None:
            with self.strategy.scope():
                generator = self._build_generator(seed=0)
                generator.set_weights(self.generator.get_weights())
                self.training = Training(generator, self.discriminator, self.step, LOSS_SCALE.get(self.policy))
        return self.training

    @tf.function
    def _train_steps(self, training: Training, batches, first, count, options: TrainOptions):
        """Steps from number `first` on, one for each of the first `count` of `batches`; n are given.

        batches: the pictures, uint8, of each replica its own. Returns losses [n, 4], z [n, batch, z_dim], and logits of
        reals and fakes [n, batch, 1], zeros from `count` on.
        """
        # What is random comes first: XLA draws other numbers than TensorFlow from the same seed.
        drawn = [self.strategy.run(self._drawn, (batch, first + i, options)) for i, batch in enumerate(batches)]
        if devices.compiles(self.strategy):
            coins, z = map(tf.stack, zip(*drawn, strict=True))
            learn = tf.function(self._learn_in_turn, jit_compile=True)
            return learn(training, tf.stack(batches), coins, z, count, options)
        (pictures,), ((coins, z),) = batches, drawn
        return [values[None] for values in self._learn(training, pictures, coins, z, options)]

    def _drawn(self, pictures, step, options: TrainOptions):
        """What is random in a replica's step: coins [batch] in [0, 1), by which pictures are mirrored, and z."""
        coins = replica_uniform([len(pictures)], [options.seed, 2 * step + 1])
        return coins, 2 * replica_uniform([len(pictures), self.z_dim], [options.seed, 2 * step]) - 1

    def _learn_in_turn(self, training: Training, pictures, coins, z, count, options: TrainOptions):
        """`_learn` from each of the first `count` of the batches stacked here."""
        outcomes = [tf.TensorArray(tf.float32, len(z)) for _ in range(4)]
        for i in tf.range(count):
            outcome = self._learn(training, pictures[i], coins[i], z[i], options)
            outcomes = [array.write(i, values) for array, values in zip(outcomes, outcome, strict=True)]
        return [array.stack() for array in outcomes]

    def _learn(self, training: Training, pictures, coins, z, options: TrainOptions):
        """The updates by these pictures and z, of each replica its own; what TrainStep holds of them."""
        losses, *logits = self.strategy.run(self._updates, (training, pictures, coins, z, options))
        self._update_average(training, options.ema)
        training.step.assign_add(1)
        return self.strategy.reduce("MEAN", losses, axis=None), *map(self._joined, (z, *logits))

    def _updates(self, training: Training, pictures, coins, z, options: TrainOptions):
        """What a replica does of a step; its losses and logits."""
        x_real = to_float(pictures)
        if options.flip:
            x_real = random_flip(x_real, coins)
        with tf.GradientTape() as tape:
            x_fake = training.generator(z, training=True)
            with tape.stop_recording():
                d_losses, d_logits_real, d_logits_fake = self._update_discriminator(training, x_real, x_fake)
            # G has not changed since, so its first update needs no second forward pass.
            g_loss = self._g_loss(x_fake)
        training.update_generator(tape, g_loss)
        for _ in range(options.g_updates - 1):
            with tf.GradientTape() as tape:
                g_loss = self._g_loss(training.generator(z, training=True))
            training.update_generator(tape, g_loss)
        return tf.stack([*d_losses, g_loss]), d_logits_real, d_logits_fake

    def _update_discriminator(self, training: Training, x_real, x_fake):
        with tf.GradientTape() as tape:
            # Two passes: batch normalisation must see reals and fakes apart.
            d_logits_real = self.discriminator(x_real, training=True)
            d_logits_fake = self.discriminator(x_fake, training=True)
            d_loss_real = cross_entropy(d_logits_real, 1.0)
            d_loss_fake = cross_entropy(d_logits_fake, 0.0)
            d_loss = d_loss_real + d_loss_fake
        training.update_discriminator(tape, d_loss)
        return (d_loss, d_loss_real, d_loss_fake), d_logits_real, d_logits_fake

    def _g_loss(self, x_fake):
        return cross_entropy(self.discriminator(x_fake, training=True), 1.0)

    def _update_average(self, training: Training, ema: float):
        # The ramp keeps the random first weights from lingering in the average of a short run.
        step = tf.cast(training.step, tf.float32)
        decay = tf.minimum(ema, (1 + step) / (10 + step))
        weights = zip(self.generator.trainable_variables, training.generator.trainable_variables, strict=True)
        for average, live in weights:
            self.strategy.extended.update(average.value, lambda a, b: a.assign(b + decay * (a - b)), (live.value,))

    def _share_statistics(self, training: Training, wanted: bool) -> None:
        """Has batch normalisation look at all replicas' parts of a batch, if that is `wanted` and there are several."""
        for network in (training.generator, self.discriminator):
            for layer in network.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = wanted and self.strategy.num_replicas_in_sync > 1

    def settle_statistics(self) -> None:
        """Gives the generator's batch normalisation the statistics of its own feature maps, for up to 256 fixed z.

        Averaged weights make other feature maps than the weights they are averaged from, so averaged statistics
        would not fit them: samples come out pale. (Brock et al., arXiv:1809.11096, call these standing statistics.)
        """
        count = self._at_once(256)
        x = tf.constant(np.random.default_rng(0).uniform(-1, 1, (count, self.z_dim)), tf.float32)
        with enough_memory(count, self.image_size):
            for layer in self.generator.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    mean, variance = tf.nn.moments(tf.cast(x, tf.float32), list(range(x.shape.rank - 1)))
                    layer.moving_mean.assign(mean)
                    layer.moving_variance.assign(variance)
                x = layer(x)

    def _at_once(self, most: int) -> int:
        """How many pictures to make side by side: `most`, or fewer where feature maps are large."""
        return max(1, min(most, 2**22 // self.image_size**2))

    def generate(self, z: np.ndarray) -> Iterator[np.ndarray]:
        """G(z) of [N, z_dim] in [-1, 1] batch by batch, uint8 [n, H, W, c_dim].

        What one becomes depends on N by rounding alone. UserError if the device has no memory for a batch.
        """
        size = self._at_once(64)
        for first in range(0, len(z), size):
            part = z[first : first + size]
            with enough_memory(size, self.image_size):
                yield to_uint8(self.generator(fill_batch(part)))[: len(part)]

    # ---------------------------------------------------------------------------------- completion

    def complete(
        self, incomplete: Incomplete, options: SearchOptions, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[SearchStep]:
        """Searches for each picture the z in [-1, 1] whose G(z) agrees with what is known of it and looks real.

        Minimises contextual + lam * perceptual + z_penalty * (|z| - z_length * sqrt(z_dim / 3))^2 for each picture (the
        post; paper, section 3.2; the last term is ours: sqrt(z_dim / 3) is about the length of a random z), and then,
        with `refine`, contextual + refine_penalty * |change|^2 over changes of the feature maps that G makes of z.
        Both penalties are divided by lowres^2, as the known means are fewer than pixels.

        Yields the state after each iteration, with pictures at iteration 0, every `out_interval` iterations, and the
        last, which comes early once `stopped` is true. A search whose loss is not finite begins anew from a random z.
        ValueError if the pictures are of another kind than the model's.
        """
        self._check(incomplete.pictures)
        known = self._known(incomplete, options)

        def measure(space: Any, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            with enough_memory(len(z), self.image_size):
                parts = devices.filled_parts(self.strategy, z.astype(np.float32))
                losses, gradient = self._search_loss(space, parts, known)
            return losses.numpy()[: len(z)].astype(float), gradient.numpy()[: len(z)].astype(z.dtype)

        for i, (z, space, point) in enumerate(search(measure, self.generator, incomplete, options, self.strategy)):
            generated = completed = None
            last = i == options.iterations or stopped()
            if last or (options.out_interval and i % options.out_interval == 0):
                parts = devices.filled_parts(self.strategy, point.z.astype(np.float32))
                images = self._joined(self.strategy.run(type(space).images, (space, parts)))
                generated = to_uint8(images)[: len(incomplete)]
                completed = incomplete.filled(generated)
            yield SearchStep(i, z.astype(np.float32), point.losses, point.restarts, generated, completed)
            if last:
                return

    def _known(self, incomplete: Incomplete, options: SearchOptions) -> Known:
        window, floor = options.context_window, options.context_floor
        weights = np.stack([context_weights(mask, window, floor) for mask in incomplete.masks])
        return Known(
            self.strategy.run(to_float, (devices.filled_parts(self.strategy, incomplete.pictures),)),
            devices.filled_parts(self.strategy, weights[..., None]),
            tf.constant(options.lam),
            incomplete.lowres,
        )

    def _joined(self, parts: Any):
        """One tensor of what each of this process' devices has a part of."""
        return tf.concat(self.strategy.experimental_local_results(parts), 0)

    @tf.function
    def _search_loss(self, space: Any, z, known: Known):
        """[batch, 3] losses and [batch, z_dim] gradient of the last, the total, at z. Each device sees to its part."""
        return tuple(map(self._joined, self.strategy.run(self._replica_search_loss, (space, z, known))))

    def _replica_search_loss(self, space: Any, z, known: Known):
        with tf.GradientTape() as tape:
            tape.watch(z)
            x_fake = space.images(z)
            contextual = tf.reduce_sum(known.weights * tf.abs(x_fake - known.y), axis=[1, 2, 3])
            if known.lowres:
                means, true_means = block_means(x_fake, known.lowres), block_means(known.y, known.lowres)
                contextual += tf.reduce_sum(tf.abs(means - true_means), axis=[1, 2, 3])
            total, perceptual = contextual, tf.fill(tf.shape(contextual), math.nan)
            if space.judged:
                d_logits = fill_rows(self.discriminator(x_fake))
                perceptual = tf.nn.softplus(-d_logits)[: len(known.y), 0]
                total += known.lam * perceptual
            total += space.penalty(z)
        gradient = tape.gradient(total, z)
        finite = tf.reduce_all(tf.math.is_finite(gradient), axis=1)
        total = tf.where(finite, total, math.inf)
        return tf.stack([contextual, perceptual, total], axis=1), tf.where(finite[:, None], gradient, 0.0)

    # --------------------------------------------------------------------------------------- files

    def save(self, directory: str | Path, keep: int = KEEP, half: bool = False) -> None:
        """Writes config.json and a checkpoint, with the training state if there is one; the `keep` newest stay.

        half: in float16 and without the training state, for a model that is done. The generator's statistics are saved
        as they are: after some training, `settle_statistics` first. UserError if it cannot be written or a weight is
        not finite; what was saved before is whole then.
        """
        variables = self._named_variables(training=not half)
        if half:
            variables = {
                name: variable if name == "step" else tf.Variable(tf.cast(variable, tf.float16))
                for name, variable in variables.items()
            }
        if not all(np.isfinite(variable).all() for variable in variables.values()):
            raise UserError(
                f"a weight is not finite after step {int(self.step)}, which is not saved: the checkpoint before it is "
                "good; go on from it with a lower --learning_rate"
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
        """The model in `directory`, ready for use, or to go on with its `training`.

        precision, strategy: as DCGAN takes them; it may have been trained with others.

        The directory may hold a TensorFlow 1 checkpoint of the post's repository. UserError if there is no model, no
        training state, or nothing undamaged.
        """
        stored = checkpoints.read(Path(directory), training)
        dcgan = cls(**asdict(stored.options), precision=precision, strategy=strategy)
        if training:
            dcgan.start_training()
        variables = dcgan._named_variables()
        variables.pop("step").assign(stored.step)
        for name in sorted(variables.keys() | stored.values.keys()):
            value = stored.values.get(name)
            if name not in variables or value is None or variables[name].shape != value.shape:
                raise UserError(f"{stored.path} is no whole DCGAN: its {name} is missing or does not fit; name another")
            variables[name].assign(value)
        return dcgan

    def _named_variables(self, training: bool = True) -> dict[str, tf.Variable]:
        """What a checkpoint holds, by name; the state of a `training` if there is one."""
        return {
            "step": self.step,
            **named_variables("generator", self.generator),
            **named_variables("discriminator", self.discriminator),
            **(self.training.named_variables() if training and self.training else {}),
        }
