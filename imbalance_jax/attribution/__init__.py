"""Attribution: which pixels a score depends on.

Every method is `METHODS[name](score, images [B, H, W, C], **options) -> maps [B, H, W]`, where `score(x [B, H, W, C])
-> [B]` is one logit an image and no image's score depends on another image (BatchNorm in evaluation mode). Class
activation maps are `CAMS[name](activation [B, h, w, U], gradient [B, h, w, U]) -> maps [B, h, w]`. Maps keep the
magnitude of the scores: nothing here normalises. Nothing here is compiled either: call it inside your own `jit`.
"""

from imbalance_jax.attribution import cam, gradients, maps, noise, perturbation
from imbalance_jax.attribution.cam import CAMS, grad_cam, grad_cam_plus_plus, hires_cam, layer_cam
from imbalance_jax.attribution.gradients import gradient, input_x_gradient, integrated_gradients, saliency
from imbalance_jax.attribution.maps import is_empty, upsample
from imbalance_jax.attribution.noise import random_map, smooth_grad
from imbalance_jax.attribution.perturbation import occlusion

METHODS = {
    **noise.SMOOTHABLE,
    'smooth_grad': smooth_grad,
    'random': random_map,
}
NEEDS_KEY = frozenset({'smooth_grad', 'random'})  # these take the option `key`, a `jax.random.key`

__all__ = [
    'CAMS',
    'METHODS',
    'NEEDS_KEY',
    'cam',
    'grad_cam',
    'grad_cam_plus_plus',
    'gradient',
    'gradients',
    'hires_cam',
    'input_x_gradient',
    'integrated_gradients',
    'is_empty',
    'layer_cam',
    'maps',
    'noise',
    'occlusion',
    'perturbation',
    'random_map',
    'saliency',
    'smooth_grad',
    'upsample',
]
