"""Trained networks as dictionaries of arrays, which every file format and device can hold."""

import torch

from skwave._networks.randomness import DrawFrom


def to_arrays(module):
    """Weights of a network as numpy arrays.

    Parameters
    ----------
    module : Module
        Trained network.

    Returns
    -------
    weights : dict of ndarray
        Parameters and buffers by name.
    """
    return {name: weight.cpu().numpy() for name, weight in module.state_dict().items()}


def from_arrays(make_module, weights):
    """Network with given weights, on the CPU and in evaluation mode.

    Parameters
    ----------
    make_module : callable
        Function without arguments that makes the module, with any weights.
    weights : dict of ndarray
        Weights, as `to_arrays` gives them.

    Returns
    -------
    module : Module
        Network whose parameters are copies of the arrays, of their type. torch's global generator
        is left as it was.
    """
    with DrawFrom(torch.Generator()):
        module = make_module()
    weights = {name: torch.tensor(weight) for name, weight in weights.items()}
    module.load_state_dict(weights, assign=True)  # along with their type
    return module.eval()


def network_to_arrays(state, name="network_"):
    """State of an object whose network is replaced by its weights, for a pickle.

    Parameters
    ----------
    state : dict
        Attributes of the object.
    name : str, default="network_"
        Attribute that is the network, if it is there and not None.

    Returns
    -------
    state : dict
        Attributes with the network as a dictionary of arrays.
    """
    state = dict(state)
    if state.get(name) is not None:
        state[name] = to_arrays(state[name])
    return state


def network_from_arrays(state, make_module, name="network_"):
    """State of an object whose network is made again from the weights in a pickle.

    Parameters
    ----------
    state : dict
        Attributes, as `network_to_arrays` gives them.
    make_module : callable
        Function without arguments that makes the module; called if there is a network.
    name : str, default="network_"
        Attribute that is the network.

    Returns
    -------
    state : dict
        Attributes with the network as a module.
    """
    state = dict(state)
    if state.get(name) is not None:
        state[name] = from_arrays(make_module, state[name])
    return state
