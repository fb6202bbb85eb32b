"""Populations whose answers are known.

Networks whose units show certain grey values, with images that have them; and linear networks that look at certain
colours only, with images in which every finding has a colour of its own, and their twins.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.twins import Twins
from imbalance_jax.explain import interventions
from imbalance_jax.explain import probe as explain_probe
from imbalance_jax.training import placement
from imbalance_jax.training.trained import Trained

SIDE, CONCEPTS, UNITS = 16, 3, 8
# Of three members: the grey value that each unit shows; 0 is noise, -1 a dead unit.
GREY = [[60, 120, 180, 0, 0, 0, -1, 60], [0, 0, 60, 0, 120, 0, -1, 180], [0, 0, 0, 0, 0, 0, 0, -1]]


def made_up(images=140, seed=0):
    """Images in which concept s is a rectangle of grey value 60 (s + 1), in a third of them; labels say which."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((images, SIDE, SIDE, 1), np.uint8)
    regions, labels = [], np.zeros((images, CONCEPTS), np.uint8)
    for image in range(images):
        for s in np.flatnonzero(random.random(CONCEPTS) < 0.4):
            y, x = random.integers(0, SIDE - 5, 2)
            pixels[image, y : y + 5, x : x + 5] = 60 * (s + 1)
            regions.append((image, s, x, y, x + 5, y + 5))
            labels[image, s] = 1
    regions = np.array(regions)
    names = [f'finding {s}' for s in range(CONCEPTS)]
    info = {'name': 'made up', 'classes': names, 'concepts': names, 'frame': [SIDE, SIDE]}
    return Dataset(
        images=pixels,
        labels=labels,
        label_mask=np.ones_like(labels),
        split=np.full(images, 2, np.uint8),
        patient=np.arange(images) // 2,
        image_id=np.arange(images).astype(str),
        region_image=regions[:, 0].astype(np.int32),
        region_concept=regions[:, 1].astype(np.int32),
        region_box=regions[:, 2:].astype(np.float32),
        region_mask=np.zeros((0, SIDE, 2), np.uint8),
        info=info,
    )


def scramble(images, seed, shape):
    """Numbers in 0..1 [B,*shape] that look random and depend on every pixel: a hash in whole numbers."""
    pixels = jnp.asarray(images).reshape(len(images), -1).astype(jnp.uint32)
    code = (pixels * (2 * np.arange(pixels.shape[1], dtype=np.uint32) + 1)).sum(1) + jnp.asarray(seed).astype(
        jnp.uint32
    ) * 77777
    place = np.arange(np.prod(shape), dtype=np.uint32).reshape(shape) * np.uint32(2654435761)
    mixed = code[:, None, None, None] * np.uint32(2246822519) + place
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39), (15, 1)):
        mixed = (mixed ^ (mixed >> shift)) * np.uint32(factor)
    return mixed.astype(jnp.float32) / 2.0**32


class Planted:
    """A network whose unit u shows grey value `grey[u]`, over smooth noise from the image; linear head."""

    def apply(self, variables, images):
        grey, noise = variables['params']['grey'], variables['params']['noise']
        shows = jnp.maximum(0, 1 - jnp.abs(images - grey) / 20)  # [B,H,W,U]
        maps = shows.reshape(len(images), 8, 2, 8, 2, -1).mean((2, 4)) * (grey > 0)
        maps = maps + 0.3 * scramble(images, noise, maps.shape[1:]) * (grey >= 0)
        perturbations = variables.get('perturbations', {})
        maps = maps + perturbations.get('stage1', 0)
        pooled = maps.mean((1, 2)) + perturbations.get('pooled', 0)
        return interventions.head(variables, pooled), {'stage1': maps, 'pooled': pooled}


def population(grey, dataset=None, regions='box'):
    """A probe of planted members: grey [P,U], where 0 is noise and -1 a dead unit."""
    grey, dataset = np.asarray(grey, np.float32), dataset or made_up()
    P, U = grey.shape
    random = np.random.default_rng(5)
    head = {
        'kernel': random.normal(size=(P, U, CONCEPTS)).astype(np.float32),
        'bias': np.zeros((P, CONCEPTS), np.float32),
    }
    place = placement.place(P, 'vmap')
    variables = place.members({'params': {'grey': grey, 'noise': np.arange(P), 'head': head}})
    return explain_probe.Probe(
        dataset=dataset,
        rows=np.arange(len(dataset.images)),
        weights=np.ones(len(dataset.images)),
        regions=regions,
        layers={'stage1': (8, 8, U)},
        tcav_layer='stage1',
        model=Planted(),
        normalise=lambda images: images.astype(jnp.float32),
        place=place,
        variables=variables,
        programs={},
    )


def features_of(probe, member):
    variables = jax.tree.map(lambda a: np.asarray(a[member]), probe.variables)
    return np.asarray(probe.model.apply(variables, probe.normalise(probe.dataset.images))[1]['stage1'])


def coloured(images=48, seed=0):
    """Images of three channels in which finding s is a rectangle of channel s, of a brightness of its own, in half of
    them; one image per patient."""
    grey = made_up(images, seed)
    random = np.random.default_rng(seed)
    pixels, labels = np.zeros((images, SIDE, SIDE, CONCEPTS), np.uint8), random.integers(0, 2, (images, CONCEPTS))
    for image, s in np.argwhere(labels):
        pixels[image, ..., s] = rectangle(image, s)
    info = {**grey.info, 'name': 'coloured'}
    return dataclasses.replace(
        grey,
        images=pixels,
        labels=labels.astype(np.uint8),
        patient=np.arange(images),
        region_image=grey.region_image[:0],
        region_concept=grey.region_concept[:0],
        region_box=grey.region_box[:0],
        info=info,
    )


def rectangle(image, s):
    """Finding s of an image of `coloured`, [H,W]: its place and brightness depend on both numbers alone."""
    random = np.random.default_rng([image, s])
    channel = np.zeros((SIDE, SIDE), np.uint8)
    y, x, brightness = (*random.integers(0, SIDE - 5, 2), random.integers(60, 250))
    channel[y : y + 5, x : x + 5] = brightness
    return channel


def coloured_twins(dataset, rows, concept):
    """Twins of `coloured`, as a source gives them."""
    s = dataset.info['concepts'].index(concept)
    absent, present = dataset.images[rows].copy(), dataset.images[rows].copy()
    absent[..., s] = 0
    for i, row in enumerate(rows):
        present[i, ..., s] = rectangle(row, s)
    return Twins(rows, absent, present)


class Looks:
    """A linear network: unit u is colour u, and the head's kernel says which logit looks at which colour."""

    def apply(self, variables, images):
        maps = images.reshape(len(images), 8, 2, 8, 2, -1).mean((2, 4))
        perturbations = variables.get('perturbations', {})
        maps = maps + perturbations.get('stage1', 0)
        return interventions.head(variables, maps.mean((1, 2))), {'stage1': maps, 'pooled': maps.mean((1, 2))}


def looking(kernels, arms, dataset, config):
    """A trained population, as stages see it, of networks with these kernels [P,U,K]; arms: the arm of each."""
    place = placement.place(len(kernels), 'vmap')
    head = {'kernel': np.asarray(kernels, np.float32), 'bias': np.zeros((len(kernels), CONCEPTS), np.float32)}
    variables = place.members({'params': {'head': head}})
    rows = [
        {'member': i, 'arm': arm, 'loss': arm, 'sampler': 'natural', 'seed': arms[:i].count(arm), 'labels': 'own'}
        for i, arm in enumerate(arms)
    ]
    return Trained(
        config=config,
        members=rows,
        dataset=dataset,
        model=Looks(),
        normalise=lambda images: images.astype(jnp.float32) / 255,
        place=place,
        variables=variables,
        alive=np.ones(len(arms), bool),
        everyone=lambda: (place, variables),
        drawn=lambda: variables,
    )
