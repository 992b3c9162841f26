"""Writes steps.json: single steps of diffusers' DDIMScheduler and DDPMScheduler, add_noise and get_velocity.

    python3 make_steps.py DIFFUSERS_CHECKOUT COMMIT

Run in float64 (reference.use_double()). Noise is given, not drawn: DDIM takes it as an argument, for DDPM the
module's randn_tensor is replaced.
"""

import os
import sys

sys.dont_write_bytecode = True
import reference
import torch

source, commit = sys.argv[1:]
_, DDPM, DDIM = reference.load(source)
reference.use_double()

X = [-2.5, -0.9, -0.1, 0.4, 1.3, 3.1]
OUT = [-1.7, 0.2, -0.6, 0.9, 1.1, -0.3]
Z = [0.7, -1.2, 0.1, 1.9, -0.4, -2.2]
SCHEDULES = {
    "linear": dict(beta_schedule="linear", beta_start=0.0001, beta_end=0.02),
    "scaled_linear": dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    "squaredcos_cap_v2": dict(beta_schedule="squaredcos_cap_v2"),
}


def row(values):
    return torch.tensor([values], dtype=torch.float64)


def scheduler(cls, schedule, zero_snr, prediction, spacing, n, clip, **more):
    made = cls(
        num_train_timesteps=1000,
        prediction_type=prediction,
        timestep_spacing=spacing,
        rescale_betas_zero_snr=zero_snr,
        clip_sample=clip,
        **SCHEDULES[schedule],
        **more,
    )
    made.set_timesteps(n)
    return made


def record(cls, schedule, zero_snr, prediction, spacing, n, t, clip, eta=None, reuse=None, variance=None):
    """One step from timestep t; reuse is diffusers' use_clipped_model_output."""
    more = {} if variance is None else {"variance_type": variance}
    made = scheduler(cls, schedule, zero_snr, prediction, spacing, n, clip, **more)
    plan = made.timesteps.tolist()
    following = (plan + [-1])[plan.index(t) + 1]
    if cls is DDIM:
        used = t - 1000 // n
        step = made.step(row(OUT), t, row(X), eta=eta, use_clipped_model_output=reuse, variance_noise=row(Z))
    else:
        used = int(made.previous_timestep(t))
        sys.modules[DDPM.__module__].randn_tensor = lambda *args, **kwargs: row(Z)
        step = made.step(row(OUT), t, row(X))
    return {
        "scheduler": cls.__name__,
        "beta_schedule": schedule,
        "rescale_betas_zero_snr": zero_snr,
        "prediction_type": prediction,
        "timestep_spacing": spacing,
        "n": n,
        "timestep": t,
        "next_timestep": following,
        "reference_next_timestep": max(used, -1),
        "clip_sample": clip,
        "eta_reference": eta,
        "eta": None if eta is None else eta * eta,
        "use_clipped_model_output": reuse,
        "variance_type": variance,
        "x": X,
        "out": OUT,
        "z": Z,
        "prev_sample": step.prev_sample[0].tolist(),
        "pred_original_sample": step.pred_original_sample[0].tolist(),
    }


POINTS = [
    ("trailing", 1, 999),
    ("trailing", 10, 999),
    ("trailing", 10, 499),
    ("trailing", 10, 99),
    ("leading", 7, 852),
    ("leading", 7, 0),
    ("trailing", 1000, 500),
    ("trailing", 1000, 1),
]
PREDICTIONS = ("epsilon", "v_prediction", "sample")
# (schedule, zero terminal SNR, prediction types, points): epsilon is undefined where the signal is zero
CASES = [
    ("linear", False, PREDICTIONS, POINTS),
    ("squaredcos_cap_v2", False, PREDICTIONS, POINTS[1:5]),
    ("scaled_linear", False, PREDICTIONS, POINTS[2:3]),
    ("linear", True, PREDICTIONS[1:], [("trailing", 10, 999), ("trailing", 10, 499), ("trailing", 1, 999)]),
]
steps, deviating = [], []
for schedule, zero_snr, predictions, points in CASES:
    for prediction in predictions:
        for spacing, n, t in points:
            for clip, reuse in ((False, False), (True, False), (True, True)):
                for eta in (0.0, 0.5, 1.0):
                    steps.append(record(DDIM, schedule, zero_snr, prediction, spacing, n, t, clip, eta, reuse))
            for variance in ("fixed_small", "fixed_large"):
                for clip in (False, True):
                    made = record(DDPM, schedule, zero_snr, prediction, spacing, n, t, clip, variance=variance)
                    last = made["next_timestep"] == -1 and t > 0
                    (deviating if last and variance == "fixed_large" else steps).append(made)
for made in deviating:
    made["why"] = "noise is added on the last row, because its timestep is not 0"


def deviate(why, *args, **kwargs):
    deviating.append({**record(*args, **kwargs), "why": why})


skips = "the next timestep is taken to be t - T // n, not the next of the plan"
deviate(skips, DDIM, "linear", False, "epsilon", "linspace", 10, 888, True, 0.5, True)
deviate(skips, DDIM, "linear", False, "epsilon", "trailing", 7, 999, True, 0.0, True)
deviate(skips, DDIM, "linear", False, "v_prediction", "trailing", 7, 142, True, 0.0, True)
cancels = "1 - alpha' - sigma^2 is 0 in exact arithmetic, here -1e-17 by rounding: NaN"
deviate(cancels, DDIM, "squaredcos_cap_v2", True, "v_prediction", "trailing", 5, 999, True, 1.0, True)
deviate("zero SNR with epsilon divides by 0", DDIM, "linear", True, "epsilon", "trailing", 10, 999, True, 0.0, True)

# DDPM on linspace: the plan is followed, so this belongs to steps
for t in (999, 555, 0):
    steps.append(record(DDPM, "linear", False, "epsilon", "linspace", 10, t, True, variance="fixed_small"))

forward = []
x0, noise = [[-1.0, 0.25, 0.8], [0.5, -0.5, 1.0], [0.0, 0.9, -0.3], [1.0, -1.0, 0.1]], [X[:3], OUT[:3], Z[:3], Z[3:]]
for schedule, zero_snr in (("linear", False), ("scaled_linear", False), ("squaredcos_cap_v2", False), ("linear", True)):
    made = scheduler(DDPM, schedule, zero_snr, "v_prediction", "trailing", 10, False)
    t = [0, 10, 500, 999]
    args = (torch.tensor(x0), torch.tensor(noise), torch.tensor(t))
    forward.append(
        {
            "beta_schedule": schedule,
            "rescale_betas_zero_snr": zero_snr,
            "x0": x0,
            "noise": noise,
            "timesteps": t,
            "add_noise": made.add_noise(*args).tolist(),
            "get_velocity": made.get_velocity(*args).tolist(),
        }
    )

note = (
    "float64 run, T = 1000; expect agreement within 1e-9 (the reference subtracts nearly equal numbers). "
    "linear: 1e-4..0.02, scaled_linear: 0.00085..0.012. eta_reference is diffusers' eta (sigma = eta sqrt(variance)), "
    "eta is its square (sigma^2 = eta variance). next_timestep: the next of the plan, -1 after the last (alpha' = 1); "
    "reference_next_timestep: what the reference used. use_clipped_model_output: epsilon is derived again from the "
    "clipped x0; without clipping the flag changes nothing and only false is listed. DDPM clamps its small variance at "
    "1e-20, so fixed_small adds 1e-10 z on the last row if its timestep is > 0. steps: where the reference is right. "
    "deviating: where it is not; 'why' says how. forward: one row per timestep."
)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "steps.json")
reference.write_json(path, reference.header(commit, note=note), steps=steps, deviating=deviating, forward=forward)
print(len(steps), "steps", len(deviating), "deviating")
