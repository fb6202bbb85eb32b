"""Attribution: which pixels a score depends on.

Every method is `METHODS[name](score, images [B, H, W, C], **options) -> maps [B, H, W]`, where `score(x [B, H, W, C])
-> [B]` is one logit an image and no image's score depends on another image (BatchNorm in evaluation mode). Methods in
`NEEDS_KEY` also take `key`, a `jax.random.key`; those in `NEEDS_LAYER` take `layer` (`cam.Layer`), which says what to
look at inside the network (`activations.looking_at` makes it of a model): without it they look at the image itself.
Class activation maps of what a layer is known to hold are `CAMS[name](activation [B, h, w, U], gradient [B, h, w, U])
-> maps [B, h, w]`.

Maps keep the sign and the magnitude of the scores: nothing here normalises. Nothing here is compiled either: call it
inside your own `jit`, or use `request`, which does for all classes, images and members at once.
"""

from imbalance_jax.attribution import all_classes as request
from imbalance_jax.attribution import (
    baselines,
    bottleneck,
    cam,
    extremal,
    gradients,
    maps,
    noise,
    options,
    perturbation,
)
from imbalance_jax.attribution import layers as activations
from imbalance_jax.attribution import relu_rules as rewriting
from imbalance_jax.attribution.bottleneck import information_bottleneck
from imbalance_jax.attribution.cam import CAMS, grad_cam, grad_cam_plus_plus, guided_grad_cam, hires_cam, layer_cam
from imbalance_jax.attribution.extremal import extremal_perturbation
from imbalance_jax.attribution.gradients import gradient, input_x_gradient, integrated_gradients, saliency
from imbalance_jax.attribution.maps import is_empty, upsample
from imbalance_jax.attribution.noise import METHODS, NEEDS_KEY, NEEDS_LAYER, random_map, smooth_grad
from imbalance_jax.attribution.perturbation import occlusion, rise
from imbalance_jax.attribution.relu_rules import deconvnet, deeplift, guided_backprop

__all__ = [
    'CAMS',
    'METHODS',
    'NEEDS_KEY',
    'NEEDS_LAYER',
    'activations',
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
    'integrated_gradients',
    'is_empty',
    'layer_cam',
    'maps',
    'noise',
    'occlusion',
    'options',
    'perturbation',
    'random_map',
    'request',
    'rewriting',
    'rise',
    'saliency',
    'smooth_grad',
    'upsample',
]
