"""``zoo list`` and ``zoo info``."""

from __future__ import annotations

import json

import click

from zoo import registry
from zoo.entry import Entry


@click.command("list")
def list_models() -> None:
    """List the models and pipelines."""
    width = max(len(entry.name) for entry in registry.entries())
    for entry in registry.entries():
        click.echo(f"{entry.name:{width}}  {entry.task:12}  {_size(entry):>10}  {entry.summary}")


@click.command()
@click.argument("name")
def info(name: str) -> None:
    """Show a model: task, parameters, recipes, source, weights."""
    entry = registry.get(name)
    click.echo(f"{entry.name}: {entry.summary}")
    click.echo(f"task: {entry.task}")
    if entry.inputs.spacing_um:
        click.echo(f"made for voxels of: {' x '.join(map(str, entry.inputs.spacing_um))} um (z, y, x)")
    for part, needed in entry.needs.items():
        click.echo(f"needs: {part} = {needed}")
    for recipe_name, recipe in entry.recipes.items():
        click.echo(f"recipe {recipe_name}: {_count(entry, recipe_name):,} parameters")
        settings = {key: json.dumps(value).strip('"') for key, value in recipe.to_dict().items()}
        click.echo("  " + "  ".join(f"{key}={value.replace(' ', '')}" for key, value in settings.items()))
    click.echo(f"paper: {entry.source.paper}")
    click.echo(f"licence: {entry.source.licence}")
    click.echo(f"differs from it: {entry.source.differs}")
    click.echo(f"weights: {_weights(entry)}")


def _weights(entry: Entry) -> str:
    if entry.trainable:
        own = "come with the package, and" if entry.pretrained else "none come with the package;"
        return f"{own} 'zoo train {entry.name}' makes new ones"
    return f"those of {', '.join(entry.needs.values())}" if entry.needs else "none needed"


def _count(entry: Entry, recipe: str) -> int:
    assert entry.size is not None, f"{entry.name} has recipes and no size"
    return int(entry.size.load()(entry.recipes[recipe]))


def _size(entry: Entry) -> str:
    return f"{_count(entry, 'default'):,}" if entry.trainable else "-"
