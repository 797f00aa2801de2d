"""The published networks and one step of their training, in plain TensorFlow operations and NumPy.

Written from the papers and the published checkpoint's variable names, without Keras, to compare with.
"""

import numpy as np
import tensorflow as tf

EPSILON = 1e-5
Weights = dict[str, np.ndarray]


def variables_of(network) -> Weights:
    """A network's variables as arrays, "layer/variable"."""
    return {f"{layer.name}/{v.name}": v.numpy() for layer in network.layers for v in layer.variables}


def batch_norm(x, w, name: str, moments=None):
    """By the moments given, or by the batch's own."""
    mean, variance = moments or tf.nn.moments(x, list(range(len(x.shape) - 1)))
    return (x - mean) / tf.sqrt(variance + EPSILON) * w[f"{name}/gamma"] + w[f"{name}/beta"]


def moving(w, name: str, training: bool):
    return None if training else (w[f"{name}/moving_mean"], w[f"{name}/moving_variance"])


def generator(w, z, training: bool = False):
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
        x = tf.nn.relu(batch_norm(x, w, f"g_bn{i}", moving(w, f"g_bn{i}", training)))


def discriminator(w, x, training: bool = False):
    """Logits [B, 1]."""
    last = max(int(name[3]) for name in w if name.startswith("d_h"))
    for i in range(last):
        x = tf.nn.conv2d(x, w[f"d_h{i}_conv/kernel"], 2, "SAME") + w[f"d_h{i}_conv/bias"]
        if i:
            x = batch_norm(x, w, f"d_bn{i}", moving(w, f"d_bn{i}", training))
        x = tf.maximum(x, 0.2 * x)
    return tf.reshape(x, [x.shape[0], -1]) @ w[f"d_h{last}_lin/kernel"] + w[f"d_h{last}_lin/bias"]


def adam(w: Weights, gradients: Weights, slots: dict, t: int, lr: float, beta1: float, beta2: float = 0.999) -> None:
    """Kingma & Ba's second form, updates `w` and `slots` in place."""
    alpha = lr * np.sqrt(1 - beta2**t) / (1 - beta1**t)
    for name, gradient in gradients.items():
        m, v = slots.get(name, (0.0, 0.0))
        m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2
        slots[name] = m, v
        w[name] = (w[name] - alpha * m / (np.sqrt(v) + 1e-8)).astype(np.float32)


def gradients(loss_of, w: Weights) -> tuple[float, Weights]:
    """The loss at `w` and its gradients by name; moving statistics have none."""
    variables = {name: tf.Variable(value) for name, value in w.items()}
    with tf.GradientTape() as tape:
        loss = loss_of(variables)
    found = tape.gradient(loss, variables)
    return float(loss), {name: g.numpy() for name, g in found.items() if g is not None}


def step(g: Weights, d: Weights, x_real, z, lr: float, beta1: float) -> dict[str, float]:
    """The post's step, in place and from fresh optimizers: D once, G twice, on the same z; the losses it saw."""

    def d_loss_real(w):  # -log D(x)
        return -tf.reduce_mean(tf.math.log_sigmoid(discriminator(w, x_real, training=True)))

    def d_loss_fake(w):  # -log(1 - D(G(z)))
        return -tf.reduce_mean(tf.math.log_sigmoid(-discriminator(w, generator(g, z, training=True), training=True)))

    def g_loss(w):  # -log D(G(z))
        return -tf.reduce_mean(tf.math.log_sigmoid(discriminator(d, generator(w, z, training=True), training=True)))

    losses = {"d_loss_real": float(d_loss_real(d)), "d_loss_fake": float(d_loss_fake(d))}
    losses["d_loss"], found = gradients(lambda w: d_loss_real(w) + d_loss_fake(w), d)
    adam(d, found, {}, 1, lr, beta1)
    slots: dict = {}
    for t in (1, 2):
        losses["g_loss"], found = gradients(g_loss, g)
        adam(g, found, slots, t, lr, beta1)
    return losses
