"""The published networks and the updates of their training, in plain TensorFlow operations and NumPy.

Written from the papers and the published checkpoint's variable names, without Keras, to compare with.
"""

import numpy as np

from kernels.tensorflow import tf

EPSILON = 1e-5
Weights = dict[str, np.ndarray]
Seen = list[tuple]  # (layer, mean, variance) of each batch that a batch normalization saw in training


def variables_of(network) -> Weights:
    """A network's variables as arrays, "layer/variable"."""
    return {f"{layer.name}/{v.name}": v.numpy() for layer in network.layers for v in layer.variables}


def batch_norm(x, w, name: str, training: bool, seen: Seen | None = None):
    """By the batch's own moments in training, which are added to `seen`, and by the moving ones otherwise."""
    if training:
        mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        if seen is not None:
            seen.append((name, mean.numpy(), variance.numpy()))
    else:
        mean, variance = w[f"{name}/moving_mean"], w[f"{name}/moving_variance"]
    return (x - mean) / tf.sqrt(variance + EPSILON) * w[f"{name}/gamma"] + w[f"{name}/beta"]


def generator(w, z, training: bool = False, seen: Seen | None = None):
    """At any size: as many transposed convolutions as `w` has."""
    x = z @ w["g_h0_lin/kernel"] + w["g_h0_lin/bias"]
    x = tf.reshape(x, [len(z), 4, 4, -1])
    last = max(int(name[3]) for name in w if name.startswith("g_h"))
    for i in range(last + 1):
        if i:
            kernel = w[f"g_h{i}/kernel"]
            side = x.shape[1] * 2
            x = tf.nn.conv2d_transpose(x, kernel, [len(z), side, side, kernel.shape[2]], 2, "SAME")
            x += w[f"g_h{i}/bias"]
        if i == last:
            return tf.tanh(x)
        x = tf.nn.relu(batch_norm(x, w, f"g_bn{i}", training, seen))


def discriminator(w, x, training: bool = False, seen: Seen | None = None):
    """Logits [B, 1]."""
    last = max(int(name[3]) for name in w if name.startswith("d_h"))
    for i in range(last):
        x = tf.nn.conv2d(x, w[f"d_h{i}_conv/kernel"], 2, "SAME") + w[f"d_h{i}_conv/bias"]
        if i:
            x = batch_norm(x, w, f"d_bn{i}", training, seen)
        x = tf.maximum(x, 0.2 * x)
    return tf.reshape(x, [x.shape[0], -1]) @ w[f"d_h{last}_lin/kernel"] + w[f"d_h{last}_lin/bias"]


def d_gradients(d: Weights, x_real, x_fake, seen: Seen) -> tuple[list[float], Weights]:
    """-log D(x) and -log(1 - D(G(z))), and the gradients of their sum by D's variables."""

    def losses(w):
        real, fake = discriminator(w, x_real, True, seen), discriminator(w, x_fake, True, seen)
        return [-tf.reduce_mean(tf.math.log_sigmoid(real)), -tf.reduce_mean(tf.math.log_sigmoid(-fake))]

    return gradients(losses, d)


def g_gradients(g: Weights, d: Weights, z, g_seen: Seen, d_seen: Seen) -> tuple[list[float], Weights]:
    """-log D(G(z)), and its gradients by G's variables."""

    def losses(w):
        fake = discriminator(d, generator(w, z, True, g_seen), True, d_seen)
        return [-tf.reduce_mean(tf.math.log_sigmoid(fake))]

    return gradients(losses, g)


def gradients(losses_of, w: Weights) -> tuple[list[float], Weights]:
    """The losses at `w` and the gradients of their sum by name; moving statistics have none."""
    variables = {name: tf.Variable(value) for name, value in w.items()}
    with tf.GradientTape() as tape:
        losses = losses_of(variables)
    found = tape.gradient(losses, variables)
    return [float(loss) for loss in losses], {name: g.numpy() for name, g in found.items() if g is not None}


def adam(w: Weights, gradients: Weights, slots: dict, t: int, lr: float, beta1: float, beta2: float = 0.999) -> Weights:
    """`w` after update number t of Kingma & Ba's second form; updates `slots` in place."""
    alpha = lr * np.sqrt(1 - beta2**t) / (1 - beta1**t)
    updated = dict(w)
    for name, gradient in gradients.items():
        m, v = slots.get(name, (0.0, 0.0))
        m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2
        slots[name] = m, v
        updated[name] = (w[name] - alpha * m / (np.sqrt(v) + 1e-8)).astype(np.float32)
    return updated


def moving(w: Weights, seen: Seen) -> Weights:
    """The moving statistics of `w` after the batches `seen`, with momentum 0.9."""
    statistics = {name: value for name, value in w.items() if "/moving_" in name}
    for layer, mean, variance in seen:
        for name, value in ((f"{layer}/moving_mean", mean), (f"{layer}/moving_variance", variance)):
            statistics[name] = 0.9 * statistics[name] + 0.1 * value
    return statistics
