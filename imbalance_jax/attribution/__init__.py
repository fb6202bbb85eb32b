"""Attribution: which pixels a score depends on.

Every method is `METHODS[name](score, images [B, H, W, C], **options) -> maps [B, H, W]`, where `score(x [B, H, W, C])
-> [B]` is one logit per image and no image's score depends on another image (BatchNorm in evaluation mode). A method
that draws random numbers needs a `key`, a `jax.random.key`; one that looks inside the network needs a `layer`
(`inputs.Layer`). Class activation maps of a known activation are
`CAMS[name](activation [B, h, w, U], gradient [B, h, w, U]) -> maps [B, h, w]`.

Maps keep the sign and the magnitude of the scores: nothing here normalises. Nothing here is compiled either: call it
inside your own `jit`, or use `all_classes.all_classes`, which does for all classes, images and members at once.
"""

from imbalance_jax.attribution import (
    all_classes,
    baselines,
    bottleneck,
    cam,
    extremal,
    gradients,
    inputs,
    layers,
    maps,
    methods,
    noise,
    options,
    perturbation,
    relu_rules,
)
from imbalance_jax.attribution.bottleneck import information_bottleneck
from imbalance_jax.attribution.cam import CAMS, grad_cam, grad_cam_plus_plus, guided_grad_cam, hires_cam, layer_cam
from imbalance_jax.attribution.extremal import extremal_perturbation
from imbalance_jax.attribution.gradients import gradient, input_x_gradient, integrated_gradients, saliency
from imbalance_jax.attribution.maps import is_empty, upsample
from imbalance_jax.attribution.methods import METHODS, needs_key, needs_layer, signed_options, smooth_grad
from imbalance_jax.attribution.noise import random_map
from imbalance_jax.attribution.perturbation import occlusion, rise
from imbalance_jax.attribution.relu_rules import deconvnet, deeplift, guided_backprop

__all__ = [
    'CAMS',
    'METHODS',
    'all_classes',
    'baselines',
    'bottleneck',
    'cam',
    'deconvnet',
    'deeplift',
    'extremal',
    'extremal_perturbation',
    'grad_cam',
    'grad_cam_plus_plus',
    'gradient',
    'gradients',
    'guided_backprop',
    'guided_grad_cam',
    'hires_cam',
    'information_bottleneck',
    'input_x_gradient',
    'inputs',
    'integrated_gradients',
    'is_empty',
    'layer_cam',
    'layers',
    'maps',
    'methods',
    'needs_key',
    'needs_layer',
    'noise',
    'occlusion',
    'options',
    'perturbation',
    'random_map',
    'relu_rules',
    'rise',
    'saliency',
    'signed_options',
    'smooth_grad',
    'upsample',
]
