"""``zoo train``."""

from __future__ import annotations

from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from zoo import recipe as recipes
from zoo import registry
from zoo.cli.members import batches, check_members, choose_members, fit_members
from zoo.cli.options import PATH, check_writable, make_console, names, overwrite_option, spacing_option
from zoo.cli.record import be_deterministic, begin, deterministic_option
from zoo.defaults import RECORD, RUNS
from zoo.entry import Entry
from zoo.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.data.datasets import DataSet, Volume
    from zoo.provenance import Record
    from zoo.train.runs import Run

SYNTHETIC = "synthetic"  # what run.json says where there was no --data
WITH_RESUME = ("name", "out", "devices", "resume", "member", "init")  # all else is in the run folder


@click.command()
@click.argument("name")
@click.option("--data", type=PATH, help="Data set folder; without it, built-in synthetic ones.")
@click.option("--out", type=PATH, help="Run folder to make; default runs/NAME.")
@click.option(
    "--recipe",
    default="default",
    show_default=True,
    metavar="NAME|FILE.toml",
    help="Settings; 'zoo info NAME' lists them.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; repeatable.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "mixed_bfloat16", "mixed_float16"]),
    default="auto",
    show_default=True,
    help="Of the arithmetic; 'auto' goes by the GPU.",
)
@click.option("--devices", type=int, default=1, show_default=True, help="Number of GPUs to train on.")
@click.option("--resume", is_flag=True, help="Go on from the last epoch of the run folder.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option(
    "--exclude", metavar="GROUP,...", help="Embryos or groups that take no part, such as Emb04,Emb10."
)
@click.option(
    "--validate",
    metavar="GROUP,...",
    help="Embryos or groups for validation; default: the data set's own, else one in eight.",
)
@click.option("--members", type=click.IntRange(min=1), help="Of an ensemble: how many; default 4.")
@click.option(
    "--member", type=int, multiple=True, metavar="N", help="Of an ensemble: train only this one; repeatable."
)
@click.option(
    "--init", type=PATH, metavar="PREFIX", help="Of a detector: Model Garden checkpoint to begin with."
)
@spacing_option()
@deterministic_option()
@overwrite_option()
def train(
    name: str,
    data: Path | None,
    out: Path | None,
    recipe: str,
    settings: tuple[str, ...],
    precision: str,
    devices: int,
    resume: bool,
    seed: int,
    exclude: str | None,
    validate: str | None,
    members: int | None,
    member: tuple[int, ...],
    init: Path | None,
    spacing: tuple[float, float, float] | None,
    deterministic: bool,
    overwrite: bool,
) -> None:
    """Train a model into a run folder: weights, history, curves."""
    entry = registry.get(name)
    if not entry.trainable:
        parts = " and ".join(f"'zoo train {part}'" for part in entry.needs.values())
        raise InputError(f"{name} has no network of its own to train{': use ' + parts if parts else ''}")
    given = recipes.parse_settings(settings)
    chosen = choose_members(entry, recipes.change(recipes.load(entry.recipes, recipe), given), members, given)
    out = out or RUNS / name
    if out.exists() and not (resume or overwrite):
        raise InputError(f"{out} exists: go on with --resume, start anew with --overwrite, or choose --out")
    check_writable(out)
    run = _reopen(out, entry) if resume else None
    check_members(entry, run.recipe if run else chosen, member, init)

    from zoo.train import device

    device.configure()
    if run.settings.get("deterministic") if run else deterministic:
        be_deterministic(entry, run.settings["seed"] if run else seed)
    console = make_console()
    found = device.gpus()
    for batch in batches(run.recipe if run else chosen):
        device.check_devices(devices, found, batch)
    policy = device.choose_precision(run.settings["precision"] if run else precision, found)
    if run:
        volumes, checks = _same_data(run)
    else:
        dataset = _dataset(entry, data, spacing, console).without(names(exclude))
        run, volumes, checks = _start(
            entry,
            chosen,
            dataset,
            names(validate),
            out,
            seed,
            policy,
            str(data.resolve()) if data else SYNTHETIC,  # whole, so that a run resumes from anywhere
            spacing,
            deterministic,
            overwrite,
        )
    record = _record(run, recipe, init, resume)
    record.device = found[0].name if found else "CPU"
    if not resume:  # that may yet be refused, and then leaves the folder as it was
        record.write(out / RECORD)  # no end yet: what is killed and gone on with has its beginning
    _tell(console, run, volumes, checks, found[0].name if found else "CPU")
    if getattr(run.recipe, "members", ()):
        fit_members(run, member, volumes, checks, devices, init, console)
        _finish(record, run)
        console.print(f"weights and curves are in {run.path}")
        return

    from zoo.train.schedule import watched, watched_name

    begin = {"init": init} if init else {}
    history = entry.fit.load()(run, volumes, checks, devices=devices, console=console, **begin)
    _finish(record, run)
    best = max(reversed(history), key=watched)  # of equals the last, as its weights are kept
    console.print(
        f"best epoch {best['epoch']:.0f}: {watched_name(best)} {abs(watched(best)):.3f}; "
        f"weights and curves are in {run.path}"
    )
    if entry.task == "semantic" and checks:
        told = f"the threshold that suits the validation volumes best is {run.threshold:g}"
        console.print(f"{told}: predict and eval take it with --threshold auto")


def _dataset(
    entry: Entry, data: Path | None, spacing: tuple[float, float, float] | None, console: Console
) -> DataSet:
    from zoo.data import layouts

    if data is None:
        console.print(f"no --data: training on built-in synthetic {entry.subject.objects}")
        return _synthetic(entry)
    dataset = layouts.find(data, spacing)
    console.print(
        f"{data}: {dataset.layout}, {len(dataset.samples)} volumes, groups {', '.join(dataset.groups)}"
    )
    if dataset.test:
        console.print(f"{len(dataset.test)} volumes are kept for the test and take no part")
    return dataset


def _synthetic(entry: Entry) -> DataSet:
    made: DataSet = entry.subject.synthetic.load()()
    return made


def _start(
    entry: Entry,
    recipe: Any,
    dataset: DataSet,
    validate: list[str],
    out: Path,
    seed: int,
    policy: str,
    data: str,
    spacing: tuple[float, float, float] | None,
    deterministic: bool,
    overwrite: bool,
) -> tuple[Run, list[Volume], list[Volume]]:
    from zoo.data.split import load_checked, split
    from zoo.train import members, runs

    if entry.subject.prepared:
        recipe.check_prepared(dataset.prepared, data, entry.subject.prepared)
    train_samples, check_samples = split(dataset, validate, seed)
    loaded = load_checked(train_samples, check_samples, empty=entry.allows_empty)
    volumes, checks = loaded[: len(train_samples)], loaded[len(train_samples) :]
    described = runs.describe(
        entry,
        recipe,
        seed=seed,
        precision=policy,
        data=data,
        spacing=spacing,
        train=volumes,
        validation=checks,
    )
    described["deterministic"] = deterministic  # for its resumption, and for members in other processes
    create = members.create if getattr(recipe, "members", ()) else runs.create
    return create(out, described, overwrite=overwrite), volumes, checks


def _record(run: Run, recipe: str, init: Path | None, resume: bool) -> Record:
    """Begin the record of a training; one that is gone on with keeps its own."""
    from zoo.provenance import now, read

    place, data = run.path / RECORD, run.settings["data"]
    if resume:
        try:
            record = read(place)
        except InputError:  # of a training that is older than records are: it will not be run again
            pass
        else:
            record.resumed.append(now())
            record.ended = None
            return record
    settings = [Path(recipe)] if recipe.endswith(".toml") else []
    begun_with = sorted(init.parent.glob(f"{escape(init.name)}.*")) if init else []
    return begin(
        place,
        {"--out": run.path},
        [*([] if data == SYNTHETIC else [Path(data)]), *settings, *begun_with],
        seed=run.settings["seed"],
        deterministic=bool(run.settings.get("deterministic")),
    )


def _finish(record: Record, run: Run) -> None:
    """Write what a training left; while members of an ensemble have no weights, it is not finished."""
    from zoo.train import members

    count = len(getattr(run.recipe, "members", ()))
    if count and len(members.trained(run)) < count:
        record.write(run.path / RECORD)
        return
    names = ("*.weights.h5", "threshold.json", "history.csv", "learning_curve.png")
    files = [file for name in names for file in sorted(run.path.rglob(name))]
    record.finish(run.path / RECORD, files)


def _reopen(out: Path, entry: Entry) -> Run:
    from zoo.train import runs

    context = click.get_current_context()
    changed = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in WITH_RESUME
        and context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    if changed:
        raise InputError(
            f"--resume goes on with the run's own data and settings: leave out {', '.join(changed)}"
        )
    run = runs.open_run(out)
    if run.entry.name != entry.name:
        raise InputError(
            f"{out} is a run of {run.entry.name}, not of {entry.name}: 'zoo train {run.entry.name}'"
        )
    if "sha256" in run.settings:
        raise InputError(
            f"{out} was packed, without the state of its training: go on in the run folder it was made of"
        )
    return run


def _same_data(run: Run) -> tuple[list[Volume], list[Volume]]:
    """Read the volumes that a run began with."""
    from zoo.data import layouts
    from zoo.data.split import load_checked
    from zoo.train import runs

    data, out = run.settings["data"], run.path
    dataset = (
        _synthetic(run.entry) if data == SYNTHETIC else layouts.find(Path(data), run.settings["spacing"])
    )
    samples = {sample.name: sample for sample in dataset.samples}
    wanted = [*run.settings["train"], *run.settings["validation"]]
    gone = [name for name in wanted if name not in samples]
    if gone:
        raise InputError(f"{data} no longer holds {', '.join(gone[:5])}, which the run {out} began with")
    count = len(run.settings["train"])
    listed = [samples[name] for name in wanted]
    loaded = load_checked(listed[:count], listed[count:], empty=run.entry.allows_empty)
    if runs.fingerprint(loaded) != run.settings["fingerprint"]:
        raise InputError(
            f"the data in {data} changed since the run {out} began: train anew into another --out"
        )
    return loaded[:count], loaded[count:]


def _tell(console: Console, run: Run, volumes: list[Volume], checks: list[Volume], device: str) -> None:
    groups = ", ".join(sorted({volume.group for volume in checks})) or "none: training decides"
    size = f"{run.entry.size.load()(run.recipe):,} parameters" if run.entry.size else "an ensemble"
    console.print(
        f"{run.entry.name}: {size}, {run.settings['precision']} on {device}; "
        f"{len(volumes)} volumes train, {len(checks)} validate ({groups})"
    )
    if any(volume.spacing_from == "default" for volume in volumes):
        console.print("no voxel size in the files: taking 1.75 x 0.8 x 0.8 um; --spacing Z Y X overrides")
    done = run.checkpoint()
    if done:
        console.print(f"going on after epoch {done[0]} of {run.recipe.epochs}")
