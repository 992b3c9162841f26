"""Writes loops.json: five steps of DDPMScheduler and DDIMScheduler, once for each option of scheduler_config.json.

    python3 make_loops.py DIFFUSERS_CHECKOUT COMMIT

Run in float64 (reference.use_double()). The network is a formula, out = 0.7 sin(2 x + t / 300), and noise is given,
not drawn. Configs are those that diffusers' own save_config writes, and the loop is that of the pipelines.
"""

import json
import math
import os
import sys

sys.dont_write_bytecode = True
import numpy as np
import reference
import torch

source, commit = sys.argv[1:]
_, DDPM, DDIM = reference.load(source)
reference.use_double()

N = 5
rng = np.random.default_rng(5)
X = torch.from_numpy(rng.standard_normal((2, 1, 2, 2)))
Z = torch.from_numpy(rng.standard_normal((N, 2, 1, 2, 2)))
BETAS = [0.001 + 0.0003 * t for t in range(40)]

CASES = [
    (DDPM, {}),
    (DDPM, dict(variance_type="fixed_small_log")),
    (DDPM, dict(variance_type="fixed_large")),
    (DDPM, dict(timestep_spacing="trailing")),
    (DDPM, dict(timestep_spacing="linspace", variance_type="fixed_large")),
    (DDPM, dict(steps_offset=1)),
    (DDPM, dict(clip_sample=False)),
    (DDPM, dict(clip_sample_range=0.6)),
    (DDPM, dict(clip_sample_range=0.6, thresholding=True)),
    (DDPM, dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="sample")),
    (DDPM, dict(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")),
    (DDPM, dict(beta_schedule="sigmoid")),
    (DDPM, dict(beta_schedule="laplace", prediction_type="v_prediction")),
    (DDPM, dict(trained_betas=BETAS, num_train_timesteps=len(BETAS))),
    (DDPM, dict(rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing")),
    (DDIM, {}),
    (DDIM, dict(timestep_spacing="trailing")),
    (DDIM, dict(steps_offset=1)),
    (DDIM, dict(set_alpha_to_one=False)),
    (DDIM, dict(set_alpha_to_one=False, steps_offset=1, clip_sample=False)),
    (DDIM, dict(clip_sample_range=0.6, prediction_type="v_prediction")),
    (DDIM, dict(clip_sample_range=0.6, thresholding=True)),
    (DDIM, dict(beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False)),
    (DDIM, dict(trained_betas=BETAS, num_train_timesteps=len(BETAS), clip_sample_range=0.3)),
    (DDIM, dict(rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing")),
]


def loop(scheduler):
    scheduler.set_timesteps(N)
    x, xs, noises = X, [], iter(Z)
    sys.modules[type(scheduler).__module__].randn_tensor = lambda *args, **kwargs: next(noises)
    for t in scheduler.timesteps:
        out = 0.7 * torch.sin(2 * x + t / 300)
        x = scheduler.step(out, t, x).prev_sample
        xs.append(x.flatten().tolist())
    return xs


loops = []
for cls, options in CASES:
    scheduler = cls(**options)
    xs = loop(scheduler)
    assert all(math.isfinite(v) for row in xs for v in row), options
    loops.append(
        {
            "config": json.loads(scheduler.to_json_string()),
            "timesteps": scheduler.timesteps.tolist(),
            "x": X.flatten().tolist(),
            "z": [z.flatten().tolist() for z in Z],
            "xs": xs,
        }
    )
note = (
    "float64 run; expect agreement within 1e-9 (DDPM clamps its small variance at 1e-20). out = 0.7 sin(2 x + t / 300). "
    "x: where the loop starts; z: the noise of each step, used by DDPMScheduler at timesteps above 0; xs: x after each "
    "step. There is no linspace for DDIMScheduler, whose next timestep is not that of its plan."
)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "loops.json")
reference.write_json(path, reference.header(commit, note=note), loops=loops)
print(len(loops), "loops")
