"""Checks that diffusers' UNet2DModel takes a folder saved by this library and computes what this library computes.

    python3 load_saved.py DIFFUSERS_CHECKOUT MODEL_FOLDER INPUT_AND_OUTPUT

INPUT_AND_OUTPUT: a .safetensors or .npz file with sample [n, c, h, w], timestep [n] or [1], out (shaped like
sample), for a model with classes class_labels [n], and for one with a condition condition [n, k, h, w]; the expected.safetensors files in this folder are such files.
For a model that was distilled it may also have noise and images, both like sample: what the folder's own scheduler
makes of that noise in as many steps as the model was distilled for, to 1e-3.
The config goes through UNet2DModel(**config), which drops keys that start with an underscore and refuses any
other key it doesn't know; weights through load_state_dict(strict=True). Exit code 1 if the outputs differ by more
than 1e-4 anywhere.
"""

import importlib
import json
import os
import sys

sys.dont_write_bytecode = True
import numpy as np
import reference
import torch

source, folder, data = sys.argv[1:]
UNet, DDPM, DDIM = reference.load(source)
reference.use_double()


def read(*path):
    with open(os.path.join(folder, *path), encoding="utf-8") as file:
        return json.load(file)


index = read("model_index.json")
assert index["unet"] == ["diffusers", "UNet2DModel"], index
scheduler_class = {
    "DDPMScheduler": DDPM,
    "DDIMScheduler": DDIM,
    "DPMSolverMultistepScheduler": importlib.import_module(
        "diffusers.schedulers.scheduling_dpmsolver_multistep"
    ).DPMSolverMultistepScheduler,
}[index["scheduler"][1]]
_, unused = scheduler_class.from_config(read("scheduler", "scheduler_config.json"), return_unused_kwargs=True)
print("scheduler:", scheduler_class.__name__, "- keys it does not use:", sorted(unused))
_, unused = UNet.from_config(read("unet", "config.json"), return_unused_kwargs=True)
print("unet: keys it does not use:", sorted(unused))

model = UNet(**read("unet", "config.json")).eval()
weights = reference.read_safetensors(os.path.join(folder, "unet", "diffusion_pytorch_model.safetensors"))
model.load_state_dict(weights, strict=True)
model.double()

if data.endswith(".npz"):
    tensors = {name: torch.from_numpy(array) for name, array in np.load(data).items()}
else:
    tensors = reference.read_safetensors(data)
sample = tensors["sample"].double()
if "condition" in tensors:
    sample = torch.cat([sample, tensors["condition"].double()], dim=1)
labels = tensors["class_labels"].long() if "class_labels" in tensors else None
with torch.no_grad():
    out = model(sample, tensors["timestep"].double(), labels).sample
out = out[:, : tensors["out"].shape[1]]  # without a learned variance
difference = float((out - tensors["out"].double()).abs().max())
print(f"{len(weights)} tensors loaded, largest output {float(out.abs().max()):.6g}, largest difference {difference:.3g}")
if "noise" in tensors:
    scheduler = scheduler_class.from_config(read("scheduler", "scheduler_config.json"))
    scheduler.set_timesteps(read("scheduler", "scheduler_config.json")["_num_inference_steps"])
    x = tensors["noise"].double()
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, t.double(), labels).sample, t, x).prev_sample
    away = float((x - tensors["images"].double()).abs().max())
    print(f"{len(scheduler.timesteps)} steps at {scheduler.timesteps.tolist()}, largest difference {away:.3g}")
    assert away <= 1e-3
sys.exit(0 if difference <= 1e-4 and out.shape == tensors["out"].shape else 1)
