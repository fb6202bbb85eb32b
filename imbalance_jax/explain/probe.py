"""The probe set, the test images that units are asked about, and activations of all members while it streams by.

A pass over the probe set runs the network of every member on a few images at a time, so that the number of images
changes the time and not the memory. What the passes keep of each image is small.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.attribution import layers
from imbalance_jax.concepts import nulls
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.regions import concept_masks, shown_concepts
from imbalance_jax.explain import probe_set
from imbalance_jax.metrics.on_device import ranking, weighted_auroc
from imbalance_jax.system import environment, progress
from imbalance_jax.training.placement import Placement
from imbalance_jax.training.trained import SPLIT, Trained

BYTES_AT_ONCE = 2**27  # activations of all members that leave the devices together


class Probe(NamedTuple):
    """The probe set, images `rows` [N] of a data set with their regions, and P members on devices.

    weights: [N] the images of the test split that each stands for; regions: 'exact' or 'box'; layers: name ->
    (h, w, U), the main one first; tcav_layer: the layer of TCAV; readers: whose regions (`data.readers.truth`);
    only_features: whether features take the place of networks (`Trained.only_features`)
    """

    dataset: Dataset
    rows: np.ndarray
    weights: np.ndarray
    regions: str
    layers: dict[str, tuple[int, ...]]
    tcav_layer: str
    model: Any
    normalise: Callable
    place: Placement
    variables: Any
    programs: dict[tuple[str, ...], Callable]  # of `stream`, by layers
    readers: str = ''
    only_features: bool = False

    @property
    def main(self) -> str:
        """The layer that is asked most."""
        return next(iter(self.layers))

    @property
    def key(self) -> jax.Array:
        """Of every draw: one for all members, so that what differs between them is not the draws."""
        return environment.key(0)

    def inputs(self, positions: np.ndarray) -> np.ndarray:
        """What the members are given of the images at these positions: the images [n,H,W,C], or where only features are
        here the numbers [n] of them in the test split."""
        rows = self.rows[positions]
        if self.only_features:
            return np.searchsorted(self.dataset.rows(SPLIT), rows).astype(np.int32)
        return self.dataset.images[rows]

    def masks(self, positions: np.ndarray) -> np.ndarray:
        """[n,H,W,S] of the images at these positions of the probe set."""
        return concept_masks(self.dataset, self.rows[positions], self.regions, self.readers)

    def boxes(self, positions: np.ndarray) -> np.ndarray:
        """[n,H,W,K] of the findings' boxes."""
        return concept_masks(self.dataset, self.rows[positions], 'box', self.readers)[..., : len(self.dataset.classes)]

    @property
    def patients(self) -> np.ndarray:
        """Of each image, [N]."""
        return self.dataset.patient[self.rows]

    @property
    def labels(self) -> np.ndarray:
        """[N,K] uint8."""
        return self.dataset.labels[self.rows]

    @property
    def label_mask(self) -> np.ndarray:
        """[N,K] uint8, 0 where a label counts nowhere."""
        return self.dataset.label_mask[self.rows]

    def blocks(self) -> list[np.ndarray]:
        """Positions [n] of the images that exchange annotations in the null."""
        return nulls.blocks(self.patients, self.key)

    def boxed(self) -> np.ndarray:
        """Which findings each image has a box of, [N,K] bool."""
        return self.shown('box')[:, : len(self.dataset.classes)]

    def shown(self, kind: str) -> np.ndarray:
        """Which concepts each image has a region of, of one kind, [N,S] bool."""
        return shown_concepts(self.dataset, self.rows, kind, self.readers)

    def has_regions(self) -> bool:
        """Whether any of the images has an annotated region, and units have places that can be held against it."""
        return self.has_places() and bool(self.shown(self.regions).any())

    def has_places(self) -> bool:
        """Whether units are maps; features that were made elsewhere may be one number per unit."""
        return not self.only_features or self.layers[self.main][:2] != (1, 1)

    def images_at_once(self, layers: Iterable[str]) -> int:
        """Images whose activations may leave the devices together."""
        each = 4 * self.place.padded * sum(int(np.prod(self.layers[layer])) for layer in layers)
        return self.place.evenly(int(np.clip(BYTES_AT_ONCE // each, 1, min(nulls.BLOCK, len(self.rows)))))

    def cut(self, layers: Iterable[str], positions: np.ndarray | None = None) -> list[np.ndarray]:
        """Ascending positions of the probe set, or of a part of it, in pieces that fit."""
        positions = np.arange(len(self.rows)) if positions is None else positions
        size = self.images_at_once(layers)
        return [positions[start : start + size] for start in range(0, len(positions), size)]


def stream(
    probe: Probe, layers: Iterable[str], parts: list[np.ndarray], *, phase: str
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields (positions [n], {layer: [P,n,h,w,U]} of all members) of every part of the probe set.

    The devices are one part ahead of the caller. Parts are filled up to one size, so that one program serves all.
    """
    layers = tuple(layers)
    mapped = probe.programs.setdefault(layers, probe.place.map_examples(make_features(probe, layers)))
    size = probe.images_at_once(layers)
    with progress.show(f'explain: {phase}', len(parts)) as update:
        ahead: list = []
        for number, positions in enumerate([*parts, None]):
            if positions is not None:
                batch = probe.place.shared(probe.inputs(np.resize(positions, max(size, len(positions)))))
                ahead.append((positions, mapped(probe.variables, batch)))
            if number:
                done, activations = ahead.pop(0)
                yield done, {layer: maps[:, : len(done)] for layer, maps in probe.place.fetch(activations).items()}
                update(number)


def make_features(probe: Probe, layers: tuple[str, ...]) -> Callable:
    """Returns `features(variables, images) -> {layer: [n,h,w,U]}` of one member."""

    def features(variables, images):
        _, out = probe.model.apply(variables, probe.normalise(images))
        return {layer: out[layer] for layer in layers}

    return features


class Targets(NamedTuple):
    """What linear probes are asked to tell. present: [N,S] bool, whether an image shows each concept; known: [N,S]
    bool; by_label: [S] bool, of a finding that no image has a region of: its label says it, where it is known."""

    present: np.ndarray
    known: np.ndarray
    by_label: np.ndarray

    @property
    def filled(self) -> np.ndarray:
        """[N,S] float32, 1 where present and 0 where not; what is not known has the mean of what is, so that it pulls a
        linear probe nowhere."""
        number = np.maximum(self.known.sum(0), 1)
        mean = (self.present & self.known).sum(0) / number
        return np.where(self.known, self.present, mean).astype(np.float32)


def targets(probe: Probe) -> Targets:
    """Presence of every concept by its regions, and of findings without any by their labels."""
    parts = [probe.masks(positions).any((1, 2)) for positions in probe.cut([probe.main])]
    present, K = np.concatenate(parts), len(probe.dataset.classes)
    known, by_label = np.ones(present.shape, bool), np.zeros(present.shape[1], bool)
    by_label[:K] = ~present[:, :K].any(0)
    labels, mask = probe.labels > 0, probe.label_mask > 0
    present[:, by_label] = (labels & mask)[:, by_label[:K]]
    known[:, by_label] = mask[:, by_label[:K]]
    return Targets(present, known, by_label)


def make_probe(trained: Trained) -> Probe:
    """The images and layers of `config.concepts`, the main layer first and then the others from front to back."""
    config = trained.config.concepts
    of_regions: dict[str, Any] = {'kind': config.regions, 'rule': config.readers}
    sample = probe_set.draw(trained.dataset, trained.dataset.rows(SPLIT), config.max_images, **of_regions)
    return probe_of(trained, sample.rows, sample.weights)


def probe_of(trained: Trained, rows: np.ndarray, weights: np.ndarray) -> Probe:
    """The layers of `config.concepts`, and these images [N] with their weights."""
    config = trained.config.concepts
    shapes = layers.layer_shapes(trained.model, trained.one, trained.image_shape)
    main = trained.layer_of(config.layer)
    others = shapes if 'all' in config.layers else [trained.layer_of(layer) for layer in config.layers]
    tcav_layer = trained.layer_of(config.tcav_layer) if config.tcav_layer else layer_before(list(shapes), main)
    return Probe(
        dataset=trained.dataset,
        rows=rows,
        weights=weights,
        regions=config.regions,
        layers={layer: shapes[layer] for layer in dict.fromkeys([main, *others, tcav_layer])},
        tcav_layer=tcav_layer,
        model=trained.model,
        normalise=trained.normalise,
        place=trained.place,
        variables=trained.variables,
        programs={},
        readers=config.readers,
        only_features=trained.only_features,
    )


def first_images(trained: Trained) -> Probe:
    """The probe of the first test images, as many as there may be: for `programs`, which ask for shapes only."""
    rows = trained.dataset.rows(SPLIT)[: trained.config.concepts.max_images]
    return probe_of(trained, rows, np.ones(len(rows)))


def image_shapes(probe: Probe, count: int) -> tuple[jax.ShapeDtypeStruct]:
    """The shape of so many images, or of all that there are."""
    shape = (min(count, len(probe.rows)), *probe.dataset.images.shape[1:])
    return (jax.ShapeDtypeStruct(shape, np.uint8),)


def make_auroc(probe: Probe) -> Callable:
    """`auroc(scores, labels, mask, weights) -> [K]`, all [N,K]: exact where every image counts the same, which masks
    do not change."""
    if np.ptp(probe.weights) == 0:
        return lambda scores, labels, mask, weights: ranking(scores, labels, mask)['auroc']
    return lambda scores, labels, mask, weights: weighted_auroc(scores, labels, mask * weights)


def layer_before(layers: list[str], layer: str) -> str:
    """The layer before another, of layers from front to back, or the first itself."""
    return layers[max(layers.index(layer) - 1, 0)]
