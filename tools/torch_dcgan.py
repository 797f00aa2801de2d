"""The same networks, training step and search in PyTorch, as fast as it does them: for the benchmark.

In a process of its own, that does what its input says, line by line: the two libraries do not bear each other in one.
"""

import sys
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

DEVICE = sys.argv[1]  # cpu or cuda


def generator(dim: int) -> nn.Module:
    widths = [8 * dim, 4 * dim, 2 * dim, dim]
    layers = [nn.Linear(100, 16 * widths[0]), nn.Unflatten(1, (widths[0], 4, 4)), nn.BatchNorm2d(widths[0]), nn.ReLU()]
    for wide, narrow in pairwise(widths):
        layers += [nn.ConvTranspose2d(wide, narrow, 5, 2, 2, 1), nn.BatchNorm2d(narrow), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(dim, 3, 5, 2, 2, 1), nn.Tanh())


def discriminator(dim: int) -> nn.Module:
    widths = [dim, 2 * dim, 4 * dim, 8 * dim]
    layers = [nn.Conv2d(3, dim, 5, 2, 2), nn.LeakyReLU(0.2)]
    for narrow, wide in pairwise(widths):
        layers += [nn.Conv2d(narrow, wide, 5, 2, 2), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * widths[-1], 1))


def cross_entropy(logits: torch.Tensor, label: float) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, label, dtype=torch.float32))


class TorchDCGAN:
    """Both networks in channels-last, with fused Adam; a step is one D update and two of G, the first on D's fakes."""

    def __init__(self, batch: int, dim: int, mixed: bool):
        self.batch = batch
        self.g, self.d, self.average = (
            network(dim).to(DEVICE, memory_format=torch.channels_last)
            for network in (generator, discriminator, generator)
        )
        if DEVICE == "cuda":  # on a CPU it gains nothing
            self.g.compile(), self.d.compile()
            torch.set_float32_matmul_precision("high")  # as TensorFlow does by default
        self.average.requires_grad_(False)
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999), fused=True) for network in (self.g, self.d)
        )
        self.pictures = torch.randint(0, 256, (batch, 64, 64, 3), dtype=torch.uint8, device=DEVICE)
        self.autocast = torch.autocast(DEVICE, torch.bfloat16, enabled=mixed, cache_enabled=True)
        self.z = torch.zeros(batch, 100, device=DEVICE)

    def train_step(self) -> torch.Tensor:
        x_real = (self.pictures.float() / 127.5 - 1).permute(0, 3, 1, 2)
        z = 2 * torch.rand(self.batch, 100, device=DEVICE) - 1
        self.g.train(), self.d.train()
        with self.autocast:
            x_fake = self.g(z)
            d_loss = cross_entropy(self.d(x_real), 1.0) + cross_entropy(self.d(x_fake.detach()), 0.0)
        self.d_optimizer.zero_grad()
        d_loss.backward()
        self.d_optimizer.step()
        self.d.requires_grad_(False)
        for update in range(2):
            with self.autocast:
                g_loss = cross_entropy(self.d(self.g(z) if update else x_fake), 1.0)
            self.g_optimizer.zero_grad()
            g_loss.backward()
            self.g_optimizer.step()
        self.d.requires_grad_(True)
        torch._foreach_lerp_(list(self.average.parameters()), list(self.g.parameters()), 0.001)
        return g_loss

    def search_iteration(self) -> torch.Tensor:
        y = (self.pictures.float() / 127.5 - 1).permute(0, 3, 1, 2)
        z = self.z.requires_grad_(True)
        self.g.eval().requires_grad_(False)
        with self.autocast:
            loss = (self.g(z).float() - y).abs().sum()
        (gradient,) = torch.autograd.grad(loss, z)
        self.g.requires_grad_(True)
        return gradient.sum()


if __name__ == "__main__":
    batch, dim, precision, times = sys.argv[2:]
    dcgan = TorchDCGAN(int(batch), int(dim), precision == "mixed")
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(times)):
            result = getattr(dcgan, line.strip())()
        print(result.item(), flush=True)  # waits for the device
