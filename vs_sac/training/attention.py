"""Criss-cross attention (Huang et al., ICCV 2019; paper Sec. III.B).

Every position attends only to the positions of its own row and column. Two passes with shared weights let information
travel between any two positions. The cost is O(HW(H+W)), compared with O((HW)²) for full attention.
"""

import torch
from torch import Tensor, nn

__all__ = ["CrissCrossAttention", "RecurrentCrissCross"]


class CrissCrossAttention(nn.Module):
    """One criss-cross attention pass: ``gamma · attention(x) + x``.

    A position lies on its own row and on its own column, and is counted only once.

    Args:
        channels: Channels C of input and output.
        key_channels: Channels of query and key; C / 8, but at least 8, by default.
    """

    def __init__(self, channels: int, key_channels: int | None = None) -> None:
        super().__init__()
        key_channels = key_channels or max(8, channels // 8)
        self.query = nn.Conv2d(channels, key_channels, 1)
        self.key = nn.Conv2d(channels, key_channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Apply attention.

        Args:
            x: Features of shape (N, C, H, W).

        Returns:
            Features of the same shape.
        """
        height = x.shape[2]
        q, k, v = self.query(x), self.key(x), self.value(x)
        # Affinities with the column have the shape (N, H, W, H), those with the row (N, H, W, W).
        column = (q.permute(0, 3, 2, 1) @ k.permute(0, 3, 1, 2)).float()
        own = torch.eye(height, dtype=torch.bool, device=x.device)
        column = column.masked_fill(own, float("-inf")).permute(0, 2, 1, 3)
        row = (q.permute(0, 2, 3, 1) @ k.permute(0, 2, 1, 3)).float()
        weights = torch.cat((column, row), dim=3).softmax(dim=3).to(v.dtype)
        from_column = weights[..., :height].permute(0, 2, 1, 3) @ v.permute(0, 3, 2, 1)
        from_row = weights[..., height:] @ v.permute(0, 2, 3, 1)
        context = from_column.permute(0, 3, 2, 1) + from_row.permute(0, 3, 1, 2)
        attended: Tensor = self.gamma * context + x
        return attended


class RecurrentCrissCross(nn.Module):
    """Criss-cross attention applied repeatedly with the same weights (twice in the paper)."""

    def __init__(self, channels: int, passes: int = 2) -> None:
        super().__init__()
        self.attention = CrissCrossAttention(channels)
        self.passes = passes

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, C, H, W) to features of the same shape."""
        for _ in range(self.passes):
            x = self.attention(x)
        return x
