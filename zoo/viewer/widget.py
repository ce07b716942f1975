"""The widget that segments the layer one looks at, in a thread of its own."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, Container, FileEdit, Label, LineEdit, PushButton
from napari.layers import Image
from napari.qt.threading import create_worker
from napari.utils import cancelable_progress
from napari.utils.notifications import show_error, show_info, show_warning

from zoo import registry
from zoo.errors import InputError
from zoo.viewer import layers
from zoo.viewer.process import Networks

if TYPE_CHECKING:
    from napari import Viewer


class Bar(cancelable_progress):
    """A bar whose cancel button acts at once; napari's waits for the next turn of a loop."""

    def cancel(self) -> None:
        """Tell whoever made it."""
        super().cancel()
        self.cancel_callback()


class SegmentNuclei(Container):
    """Choose image, pipeline, voxel size and weights; segment.

    Parameters
    ----------
    napari_viewer
        Whose layers there are to choose from, and which gets the labels.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        self._worker: Any = None
        self.image = ComboBox(label="image", choices=self._images)
        self.pipeline = ComboBox(label="pipeline", choices=layers.pipelines())
        self.edges = [LineEdit(tooltip=f"Voxel size along {axis}, µm") for axis in "zyx"]
        voxel = Container(label="voxel z y x (µm)", layout="horizontal", labels=False, widgets=self.edges)
        voxel.margins = (0, 0, 0, 0)
        self.voxel_from = Label(label="")
        self.weights = Container(label="weights", labels=False)
        self.weights.margins = (0, 0, 0, 0)
        self.segment = PushButton(text="Segment")
        self.cancel = PushButton(text="Cancel", enabled=False)
        super().__init__(
            widgets=[
                self.image,
                self.pipeline,
                voxel,
                self.voxel_from,
                self.weights,
                self.segment,
                self.cancel,
            ]
        )
        self.image.changed.connect(self._show_spacing)
        self.pipeline.changed.connect(self._ask_weights)
        self.segment.changed.connect(self.start)
        self.cancel.changed.connect(self.stop)
        napari_viewer.layers.selection.events.active.connect(self._follow)
        self.native.destroyed.connect(self._leave)
        self._ask_weights()
        self._follow()
        self._show_spacing()

    def _images(self, _: object) -> list[Image]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Image)]

    def _follow(self, _: object = None) -> None:
        """Take the layer that was clicked on, where it is an image."""
        active = self._viewer.layers.selection.active
        if isinstance(active, Image):
            self.reset_choices()  # a new layer is clicked on before it is listed
            self.image.value = active

    def _show_spacing(self, _: object = None) -> None:
        layer = self.image.value
        spacing, where = (None, "") if layer is None else layers.read_spacing(layer)
        for edge, size in zip(self.edges, spacing or (None, None, None), strict=True):
            edge.value = "" if size is None else f"{size:.10g}"
        self.voxel_from.value = where
        if layer is not None:
            for emitter in (layer.events.scale, layer.events.units, layer.events.affine):
                emitter.connect(self._on_scaled)  # once, however often it is asked for

    def _on_scaled(self, event: Any) -> None:
        if event.source is self.image.value:
            self._show_spacing()

    def _ask_weights(self, _: object = None) -> None:
        """Ask for a run folder for each network of the pipeline; empty for the default."""
        self.weights.clear()
        for part, name in registry.get(self.pipeline.value).networks.items():
            tip = f"Run folder of {name}; empty: runs/{name}, else the weights that come along"
            edit = FileEdit(name=part, mode="d", value="", tooltip=tip)
            edit.line_edit.native.setPlaceholderText(f"{part}: default")
            self.weights.append(edit)

    def start(self) -> None:
        """Segment the image in a thread, or say why that cannot be."""
        given = {edit.name: edit.line_edit.value.strip() for edit in self.weights}
        try:
            edges = [edge.value for edge in self.edges]
            job = layers.make_job(self.image.value, self.pipeline.value, edges, given)
        except InputError as fault:
            show_error(str(fault))
            return
        self._networks = Networks(job.entry.name, job.weights, job.spacing)
        self._worker = create_worker(_guarded, job, self._networks)
        bar = Bar(total=job.steps, desc=f"{job.name}: starting", cancel_callback=self.stop)

        def show(step: layers.Step) -> None:
            bar.set_description(f"{job.name}: {step.following}")
            bar.update(step.done - bar.n)

        self._worker.yielded.connect(show)
        self._worker.returned.connect(self._take)
        self._worker.finished.connect(bar.close)
        self._worker.finished.connect(self._end)
        self.segment.enabled, self.cancel.enabled = False, True
        self._worker.start()

    def stop(self) -> None:
        """End the work."""
        if self._worker is not None:
            self._worker.quit()
            self._networks.end()
            self.cancel.enabled = False

    def _take(self, returned: tuple[layers.Result | Exception]) -> None:
        """Show what came out."""
        if self._worker is None:  # the widget was closed
            return
        (outcome,) = returned
        match outcome:
            case layers.Result(layer=(data, told, _), nuclei=nuclei, notes=notes):
                self._viewer.add_labels(data, **told)
                show_info(f"{told['name']}: {nuclei}")
                for note in notes:
                    show_warning(note)
            case InputError():
                show_error(str(outcome))
            case MemoryError():
                show_error(f"not enough memory ({outcome}): crop the image, or use 'zoo predict --tile'")
            case fault:
                raise fault  # ours: napari shows where

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if worker.abort_requested:
            show_info("segmentation cancelled")
        self.segment.enabled, self.cancel.enabled = True, False

    def _leave(self, _: object = None) -> None:
        """Let go of viewer and work when the widget is closed."""
        self.stop()
        self._worker = None
        self._viewer.layers.selection.events.active.disconnect(self._follow)


def _guarded(
    job: layers.Job, networks: Networks
) -> Generator[layers.Step, None, tuple[layers.Result | Exception]]:
    """Return errors, not raise them: on a RuntimeError napari's worker would never say that it ended."""
    try:
        return ((yield from layers.run(job, networks)),)
    except Exception as fault:
        return (fault,)
