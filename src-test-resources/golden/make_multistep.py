"""Writes multistep.json: loops of DPMSolverMultistepScheduler.

    python3 make_multistep.py DIFFUSERS_CHECKOUT COMMIT

Run in float64 (reference.use_double(), and numpy's float32 too, which this scheduler keeps its noise levels in). The
network is a formula, out = 0.7 sin(2 x + t / 300).
"""

import importlib
import math
import os
import sys

sys.dont_write_bytecode = True
import numpy as np
import reference
import torch

source, commit = sys.argv[1:]
reference.load(source)
reference.use_double()
np.float32 = np.float64
module = importlib.import_module("diffusers.schedulers.scheduling_dpmsolver_multistep")

X = torch.from_numpy(np.random.default_rng(7).standard_normal((2, 1, 2, 2)))

loops = []
for n in (1, 2, 5, 10, 20):
    for schedule in ("linear", "scaled_linear", "squaredcos_cap_v2"):
        for prediction in ("epsilon", "v_prediction", "sample"):
            for spacing in ("trailing", "linspace"):
                scheduler = module.DPMSolverMultistepScheduler(
                    beta_schedule=schedule, prediction_type=prediction, timestep_spacing=spacing
                )
                scheduler.set_timesteps(n)
                x, xs = X, []
                for t in scheduler.timesteps:
                    x = scheduler.step(0.7 * torch.sin(2 * x + t / 300), t, x).prev_sample
                    xs.append(x.flatten().tolist())
                assert all(math.isfinite(v) for row in xs for v in row)
                loops.append(
                    {
                        "beta_schedule": schedule,
                        "beta_start": scheduler.config.beta_start,
                        "beta_end": scheduler.config.beta_end,
                        "rescale_betas_zero_snr": False,
                        "prediction_type": prediction,
                        "timesteps": scheduler.timesteps.tolist(),
                        "x": X.flatten().tolist(),
                        "xs": xs,
                    }
                )
note = (
    "float64 run. algorithm_type dpmsolver++, solver_order 2, solver_type midpoint, final_sigmas_type zero: its defaults. "
    "out = 0.7 sin(2 x + t / 300). x: where the loop starts; xs: x after each step."
)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "multistep.json")
reference.write_json(path, reference.header(commit, note=note), loops=loops)
print(len(loops), "loops")
