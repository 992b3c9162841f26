"""Writes activations.json: diffusers' activations and their derivatives, near zero and where exponentials overflow.

    python3 make_activations.py DIFFUSERS_CHECKOUT COMMIT
"""

import importlib
import os
import sys

sys.dont_write_bytecode = True
import reference
import torch

source, commit = sys.argv[1:]
reference.load(source)
activations = importlib.import_module("diffusers.models.activations")
reference.use_double()
x = [-1e4, -100, -30, -10, -5, -3, -2, -1, -0.5, -0.1, -1e-3, 1e-3, 0.1, 0.5, 1, 2, 3, 5, 10, 20, 30, 100, 1e4]
records = []
for name in ("silu", "mish", "gelu", "relu"):
    points = torch.tensor(x, dtype=torch.float32).double().requires_grad_()
    y = activations.get_activation(name)(points)
    y.sum().backward()
    records.append(dict(act_fn=name, x=points.tolist(), y=y.tolist(), dy=points.grad.tolist()))
here = os.path.dirname(os.path.abspath(__file__))
reference.write_json(os.path.join(here, "activations.json"), reference.header(commit), activations=records)
