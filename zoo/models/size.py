"""How many parameters a network has, counted without building it."""

from __future__ import annotations

from zoo.recipe import Recipe

CLASSES = 2


def unet_parameters(recipe: Recipe) -> int:
    """Count the parameters of :func:`zoo.models.unet.build_unet`, those of the norms included."""
    cube = recipe.kernel**3
    # values a channel: scale, offset and, for batch norm, a mean and a variance
    norm = 4 if recipe.norm == "batch" else 2

    def pair(before: int, first: int, second: int) -> int:
        convolutions = cube * (before * first + first * second)
        return convolutions + (1 + norm) * (first + second)

    total, channels = 0, 1
    for level in range(recipe.poolings + 1):
        first = recipe.base * 2**level
        total += pair(channels, first, 2 * first)
        channels = 2 * first
    for level in reversed(range(recipe.poolings)):
        filters = recipe.base * 2 ** (level + 1)
        total += 8 * channels * channels + channels  # transposed convolution of 2
        total += pair(channels + filters, filters, filters)
        channels = filters
    return total + channels * CLASSES + CLASSES
