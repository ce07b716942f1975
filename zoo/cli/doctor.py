"""``zoo doctor``."""

from __future__ import annotations

import os

import click


@click.command()
def doctor() -> None:
    """Show devices, versions, and the precision that 'auto' takes.

    Where no GPU is found, it says what is missing.
    """
    from zoo.provenance import versions
    from zoo.train import device

    for name, version in versions().items():
        click.echo(f"{name} {version}")
    device.configure()
    found = device.gpus()  # loads TensorFlow, which takes seconds
    click.echo(f"CPU cores: {os.cpu_count()}")
    for gpu in found:
        capability = ".".join(map(str, gpu.capability)) if gpu.capability else "unknown"
        click.echo(f"GPU: {gpu.name}, compute capability {capability}")
    if not found:
        click.echo("GPU: none found; training and inference run on the CPU")
        for fault in device.missing_for_gpu():
            click.echo(f"  {fault}")
    click.echo(f"precision auto: {device.choose_precision('auto', found)}")
