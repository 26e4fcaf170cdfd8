"""The peer: `jaxgen.models.UNet`, layer for layer, in PyTorch (channels last), with the EDM loss, Adam and EMA."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(channels // 4, 32), channels, eps=1e-6)


class Block(nn.Module):
    def __init__(self, inputs: int, features: int, embedding: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), nn.Conv2d(inputs, features, 3, padding=1)
        self.embed = nn.Linear(embedding, 2 * features)
        self.norm2, self.conv2 = norm(features), nn.Conv2d(features, features, 3, padding=1)
        self.skip = nn.Identity() if inputs == features else nn.Conv2d(inputs, features, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.embed(F.silu(emb))[:, :, None, None].chunk(2, dim=1)
        return self.skip(x) + self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.norm = heads, norm(channels)
        self.q, self.k, self.v, self.out = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = self.norm(x).permute(0, 2, 3, 1).reshape(b, h * w, c)
        q, k, v = (f(y).reshape(b, h * w, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, c)
        return x + self.out(y).reshape(b, h, w, c).permute(0, 3, 1, 2)


class UNet(nn.Module):
    def __init__(self, channels: int, mult: Sequence[int], blocks: int, attention: Sequence[int]) -> None:
        super().__init__()
        widths, embedding = [channels * m for m in mult], 4 * channels
        self.frequencies = nn.Parameter(torch.randn(embedding // 2), requires_grad=False)
        self.time = nn.Sequential(nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.enter = nn.Conv2d(1, channels, 3, padding=1)
        self.down, self.up, h, skips = nn.ModuleList(), nn.ModuleList(), channels, []
        for level, width in enumerate(widths):
            stage = nn.ModuleList()
            for _ in range(blocks):
                stage.append(Block(h, width, embedding))
                h = width
                skips.append(h)
            self.down.append(nn.ModuleList([stage, Attention(h) if level in attention else nn.Identity()]))
        self.middle = nn.ModuleList([Block(h, h, embedding), Attention(h), Block(h, h, embedding)])
        for level, width in reversed(list(enumerate(widths))):
            stage = nn.ModuleList()
            for _ in range(blocks):
                stage.append(Block(h + skips.pop(), width, embedding))
                h = width
            self.up.append(nn.ModuleList([stage, Attention(h) if level in attention else nn.Identity()]))
        self.norm, self.leave = norm(h), nn.Conv2d(h, 1, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = 2 * math.pi * t[:, None] * self.frequencies
        emb = self.time(torch.cat([angles.sin(), angles.cos()], dim=-1))
        h, skips = self.enter(x), []
        for level, (stage, attend) in enumerate(self.down):
            h = F.avg_pool2d(h, 2) if level else h
            for block in stage:
                h = block(h, emb)
                skips.append(h)
            h = attend(h)
        first, attend, second = self.middle
        h = second(attend(first(h, emb)), emb)
        for level, (stage, attend) in zip(reversed(range(len(self.up))), self.up, strict=True):
            for block in stage:
                h = block(torch.cat([h, skips.pop()], dim=1), emb)
            h = attend(h)
            h = F.interpolate(h, scale_factor=2.0) if level else h
        return self.leave(F.silu(self.norm(h)))


def denoise(net: nn.Module, x: Tensor, sigma: Tensor, sigma_data: float = 0.5) -> Tensor:
    """D(x; sigma) = c_skip x + c_out F(c_in x, log(sigma)/4) (2206.00364 eq. 7)."""
    s = sigma[:, None, None, None]
    total = s**2 + sigma_data**2
    return x * sigma_data**2 / total + s * sigma_data / total.sqrt() * net(x / total.sqrt(), sigma.log() / 4)


def trainer(net: nn.Module, images: Tensor, sigma_data: float = 0.5) -> Callable[[], None]:
    """One training step a call: EDM loss, Adam, moving average."""
    average = [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-3, betas=(0.9, 0.99))

    def step() -> None:
        sigma = (1.2 * torch.randn(len(images), device=images.device) - 1.2).exp()
        s = sigma[:, None, None, None]
        noisy = images + s * torch.randn_like(images)
        weight = (s**2 + sigma_data**2) / (s * sigma_data) ** 2
        loss = (weight * (denoise(net, noisy, sigma, sigma_data) - images) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        torch._foreach_lerp_(average, [p.detach() for p in net.parameters()], 0.001)

    return step


def sampler(net: nn.Module, images: Tensor, levels: Sequence[float]) -> Callable[[], Tensor]:
    """Euler steps of the probability flow over the noise `levels` and a last denoising: len(levels) evaluations."""

    @torch.no_grad()
    def sample() -> Tensor:
        x = levels[0] * torch.randn_like(images)
        for now, after in zip(levels, (*levels[1:], 0.0), strict=True):
            clean = denoise(net, x, torch.full((len(x),), now, device=x.device))
            x = clean + after / now * (x - clean)
        return x

    return sample
