"""Writes solvers.json: loops of the schedulers that are not DDPM or DDIM.

    python3 make_solvers.py DIFFUSERS_CHECKOUT COMMIT

Run in float64 (reference.use_double(), and numpy's float32 too, which these schedulers keep their noise levels in). The
network is a formula, out = 0.7 sin(2 x + t / 300), of the x that the network would see. Those schedulers whose x is
image + sigma noise are shown here by x / sqrt(1 + sigma^2), which is what the others call x.

Of DPMSolverMultistepScheduler, the third order is mended: the second divided difference counts twice, as integrating the
polynomial has it (and with it the order is 3), and in the SDE it has the sign of the ODE. Of PNDMScheduler, a plan of
uneven strides goes from entry to entry, and of v_prediction it is the noise that is extrapolated (else its order is 1).
"as_is" has what the unchanged class makes.
"""

import importlib
import math
import os
import re
import sys
import types

sys.dont_write_bytecode = True
import numpy as np
import reference
import torch
from scipy import integrate

source, commit = sys.argv[1:]
reference.load(source)
reference.use_double()
np.float32 = np.float64

RANDOM = np.random.default_rng(21)
X = torch.from_numpy(RANDOM.standard_normal((4, 1, 1, 1)))
Z = torch.from_numpy(RANDOM.standard_normal((40, 4, 1, 1, 1)))

THIRD_ORDER = [
    ("D2 = (1.0 / (r0 + r1)) * (D1_0 - D1_1)", "D2 = (2.0 / (r0 + r1)) * (D1_0 - D1_1)"),
    ("+ (alpha_t * ((1.0 - torch.exp(-2.0 * h) - 2.0 * h) / (2.0 * h) ** 2 - 0.5)) * D2",
     "+ (alpha_t * ((1.0 - torch.exp(-2.0 * h) - 2.0 * h) / (2.0 * h) ** 2 + 0.5)) * D2"),
]
STRIDE = "self.config.num_train_timesteps // self.num_inference_steps"
BY_ENTRIES = [
    (f"prev_timestep = timestep - {STRIDE}\n", "prev_timestep = max([-1, *self._timesteps[self._timesteps < int(timestep)]])\n"),
    (f"timestep = timestep + {STRIDE}\n", "timestep = self._timesteps[-1]\n"),
]
BY_NOISE = [
    ("        if self.counter != 1:\n",
     "        alpha_prod = self.alphas_cumprod[timestep]\n"
     "        model_output = alpha_prod**0.5 * model_output + (1 - alpha_prod) ** 0.5 * sample\n"
     "        if self.counter != 1:\n"),
    ("model_output = (alpha_prod_t**0.5) * model_output + (beta_prod_t**0.5) * sample", "pass"),
]


def module(name, changes=()):
    plain = importlib.import_module("diffusers.schedulers.scheduling_" + name)
    if not changes:
        return plain
    with open(plain.__file__, encoding="utf-8") as file:
        text = file.read()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    changed = types.ModuleType(plain.__name__)
    changed.__package__ = plain.__package__
    sys.modules[plain.__name__] = changed
    exec(compile(text, plain.__file__, "exec"), changed.__dict__)
    sys.modules[plain.__name__] = plain
    return changed


MODULES = {
    "DPMSolverMultistepScheduler": "dpmsolver_multistep",
    "UniPCMultistepScheduler": "unipc_multistep",
    "DEISMultistepScheduler": "deis_multistep",
    "HeunDiscreteScheduler": "heun_discrete",
    "EulerDiscreteScheduler": "euler_discrete",
    "EulerAncestralDiscreteScheduler": "euler_ancestral_discrete",
    "LMSDiscreteScheduler": "lms_discrete",
    "PNDMScheduler": "pndm",
    "DPMSolverSinglestepScheduler": "dpmsolver_singlestep",
}
SCALED = ("HeunDiscreteScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "LMSDiscreteScheduler")
LINEAR = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}
LATENT = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}


def levels(scheduler):
    """Returns the noise level before and after each step."""
    if hasattr(scheduler, "sigmas"):
        return scheduler.sigmas
    alphas = torch.cat([scheduler.alphas_cumprod[scheduler.timesteps], scheduler.final_alpha_cumprod.reshape(1)])
    return ((1 - alphas) / alphas) ** 0.5


def loop(name, n, changes=(), **config):
    classes = module(MODULES[name], changes)
    scheduler = getattr(classes, name)(**config)
    if name == "LMSDiscreteScheduler":
        classes.integrate = integrate
    scheduler.set_timesteps(n)
    scaled = name in SCALED
    draws = []
    classes.randn_tensor = lambda *args, **kwargs: draws[-1]
    sigmas = levels(scheduler).tolist()
    sigma = sigmas[0]
    x = X * math.sqrt(1 + sigma**2) if scaled else X
    xs = []
    for i, t in enumerate(scheduler.timesteps):
        draws.append(Z[i])
        seen = scheduler.scale_model_input(x, t)
        out = 0.7 * torch.sin(2 * seen + t / 300)
        stochastic = config.get("algorithm_type", "").startswith("sde")
        x = scheduler.step(out, t, x, **({"variance_noise": Z[i]} if stochastic else {})).prev_sample
        sigma = sigmas[i + 1]
        xs.append((x / math.sqrt(1 + sigma**2) if scaled else x).flatten().tolist())
    assert all(math.isfinite(v) for row in xs for v in row), (name, n, config)
    return {
        "config": {"_class_name": name, **config},
        "n": n,
        "timesteps": scheduler.timesteps.tolist(),
        "sigmas": sigmas,
        "xs": xs,
    }


loops, as_is = [], []


def add(name, n, **config):
    third = name == "DPMSolverMultistepScheduler" and config.get("solver_order") == 3
    loops.append(loop(name, n, THIRD_ORDER if third else (), **config))
    if third and len(as_is) < 4:
        as_is.append(loop(name, n, **config))


PLANS = [
    {**LINEAR, "timestep_spacing": "trailing"},
    {**LATENT, "timestep_spacing": "leading", "steps_offset": 1},
    {**COSINE, "timestep_spacing": "linspace"},
    {**LINEAR, "use_karras_sigmas": True},
    {**COSINE, "use_karras_sigmas": True},
    {**LATENT, "use_exponential_sigmas": True},
]
PREDICTIONS = ("epsilon", "v_prediction", "sample")
MULTISTEP = "DPMSolverMultistepScheduler"

for prediction in PREDICTIONS:
    for number, plan in enumerate(PLANS):
        n = (5, 16)[number % 2]
        plan = {**plan, "prediction_type": prediction}
        for order in (1, 2, 3):
            add(MULTISTEP, n, solver_order=order, **plan)
            add(MULTISTEP, n, solver_order=order, algorithm_type="sde-dpmsolver++", **plan)
            add("UniPCMultistepScheduler", n, solver_order=order, **plan)
            add("UniPCMultistepScheduler", n, solver_order=order, solver_type="bh1", final_sigmas_type="sigma_min", **plan)
            add("DEISMultistepScheduler", n, solver_order=order, **plan)
        add("HeunDiscreteScheduler", n, **plan)
        add("EulerDiscreteScheduler", n, **plan)
        add("LMSDiscreteScheduler", n, **plan)
        if prediction != "sample" and not any(key.startswith("use_") for key in plan):
            add("EulerAncestralDiscreteScheduler", n, **plan)

for order in (1, 2, 3):
    for n in (5, 16):
        base = {**LINEAR, "solver_order": order}
        for algorithm in ("dpmsolver++", "sde-dpmsolver++"):
            more = {**base, "algorithm_type": algorithm}
            add(MULTISTEP, n, **more, solver_type="heun")
            add(MULTISTEP, n, **more, final_sigmas_type="sigma_min")
            add(MULTISTEP, n, **more, final_sigmas_type="sigma_min", euler_at_final=True)
            add(MULTISTEP, n, **more, final_sigmas_type="sigma_min", lower_order_final=False)
            add(MULTISTEP, n, **more, lower_order_final=False)
            add(MULTISTEP, n, **more, use_lu_lambdas=True)
        add(MULTISTEP, n, **COSINE, solver_order=order, lambda_min_clipped=-5.1)
        add("DEISMultistepScheduler", n, **base, lower_order_final=False)
add("EulerDiscreteScheduler", 10, **LINEAR, final_sigmas_type="sigma_min")


def add_plms(n, spacing, plan):
    for prediction in ("epsilon", "v_prediction"):
        v = prediction == "v_prediction"
        uneven = spacing == "linspace" or (spacing == "trailing" and 1000 % n > 0)
        config = {**plan, "skip_prk_steps": True, "timestep_spacing": spacing, "prediction_type": prediction}
        loops.append(loop("PNDMScheduler", n, (BY_ENTRIES if uneven else []) + (BY_NOISE if v else []), **config))
        if n == 16 and (uneven or v):
            as_is.append(loop("PNDMScheduler", n, **config))


for n in (1, 2, 3, 4, 5, 16):
    add_plms(n, "trailing", LINEAR)
    if n > 1:
        add_plms(n, "leading", {**LATENT, "steps_offset": 1})
        add_plms(n, "linspace", {**COSINE, "set_alpha_to_one": True})

SINGLESTEP = "DPMSolverSinglestepScheduler"
OWN_PLANS = [
    LINEAR,
    {**COSINE, "lambda_min_clipped": -5.1},
    {**LATENT, "use_karras_sigmas": True},
    {**LINEAR, "use_exponential_sigmas": True},
]
for prediction in PREDICTIONS:
    for number, plan in enumerate(OWN_PLANS):
        for order in (1, 2, 3):
            n = (7, 12)[number % 2]
            add(SINGLESTEP, n, solver_order=order, prediction_type=prediction, **plan)
for order in (1, 2, 3):
    for n in (1, 2, 5, 6, 7):
        add(SINGLESTEP, n, solver_order=order, solver_type="heun", **LINEAR)
        add(SINGLESTEP, n, solver_order=order, final_sigmas_type="sigma_min", **LINEAR)
        add(SINGLESTEP, n, solver_order=order, final_sigmas_type="sigma_min", solver_type="heun", lower_order_final=True, **LINEAR)

note = (
    "float64 run. config: what differs from the class's defaults. out = 0.7 sin(2 x + t / 300). x: where every loop starts; "
    "z: noise of each step; timesteps: what the network is called with; sigmas: before and after each step; xs: x after each."
)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "solvers.json")
start = [{"x": X.flatten().tolist(), "z": [z.flatten().tolist() for z in Z]}]
reference.write_json(path, reference.header(commit, note=note), start=start, loops=loops, as_is=as_is)
print(len(loops), "loops,", len(as_is), "more of the unchanged classes")
