"""Every attribution method by name, and what a method needs besides the score and the images, by its signature."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from imbalance_jax.attribution.bottleneck import information_bottleneck
from imbalance_jax.attribution.cam import CAMS, at_layer, guided_grad_cam
from imbalance_jax.attribution.extremal import extremal_perturbation
from imbalance_jax.attribution.gradients import gradient, input_x_gradient, integrated_gradients, saliency
from imbalance_jax.attribution.noise import NOISY, make_smooth_grad, random_map
from imbalance_jax.attribution.perturbation import occlusion, rise
from imbalance_jax.attribution.relu_rules import deconvnet, deeplift, guided_backprop
from imbalance_jax.names import lookup


def _not_noisy(name: str) -> Callable[..., Any]:
    known = {other: method for other, method in METHODS.items() if other not in NOISY}
    return lookup(known, name, 'attribution method')


smooth_grad = make_smooth_grad(_not_noisy)
METHODS: dict[str, Callable[..., Any]] = {
    'gradient': gradient,
    'saliency': saliency,
    'input_x_gradient': input_x_gradient,
    'integrated_gradients': integrated_gradients,
    'guided_backprop': guided_backprop,
    'deconvnet': deconvnet,
    'deeplift': deeplift,
    **{name: partial(at_layer, cam) for name, cam in CAMS.items()},
    'guided_grad_cam': guided_grad_cam,
    'information_bottleneck': information_bottleneck,
    'occlusion': occlusion,
    'rise': rise,
    'extremal_perturbation': extremal_perturbation,
    'smooth_grad': smooth_grad,
    'smooth_grad_squared': partial(smooth_grad, statistic='squared'),
    'var_grad': partial(smooth_grad, statistic='variance'),
    'random': random_map,
}


def takes(method: Callable[..., Any], parameter: str) -> bool:
    """Whether a method has a parameter of that name: 'key', for one that draws random numbers, or 'layer'."""
    return parameter in inspect.signature(method).parameters


def wrapped(name: str, options: Mapping[str, Any]) -> str:
    """The name of the method that the method `name` wraps, if it wraps one, as SmoothGrad does; else ''."""
    method = lookup(METHODS, name, 'attribution method')
    inner = options.get('method', 'gradient') if takes(method, 'method') else ''
    return inner if isinstance(inner, str) else ''


def needs_key(name: str) -> bool:
    """Whether the method `name` draws random numbers and has to be given a `key`."""
    return takes(lookup(METHODS, name, 'attribution method'), 'key')


def needs_layer(name: str, options: Mapping[str, Any] | None = None) -> bool:
    """Whether the method `name`, or the one that it wraps with these options, looks at a `layer` of the network."""
    inner = wrapped(name, options or {})
    return takes(METHODS[name], 'layer') or (inner in METHODS and takes(METHODS[inner], 'layer'))


def signed_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options under which the method `name` gives its maps with their sign: a class activation map, also one that
    is wrapped, without its ReLU. The options themselves where a map has its sign or, like saliency, can have none."""
    names = [one for one in (name, wrapped(name, options)) if one in METHODS]
    return {**options, 'relu': False} if any(takes(METHODS[one], 'relu') for one in names) else dict(options)
