"""Writes the folders folder-*: tiny UNet2DModels in every layout and storage that diffusers writes or wrote, each with
expected.safetensors.

    python3 make_folders.py DIFFUSERS_CHECKOUT COMMIT

Weights are drawn by numpy, rounded to the type in which they are stored and used in float64
(reference.use_double()). Configs are written by diffusers' own save_config; those of folder-flat then lose the keys
that the first versions did not have.
"""

import json
import os
import shutil
import sys

sys.dont_write_bytecode = True
import numpy as np
import reference
import torch

source, commit = sys.argv[1:]
UNet, DDPM, DDIM = reference.load(source)
here = os.path.dirname(os.path.abspath(__file__))
WEIGHTS = "diffusion_pytorch_model"
N = 5

FOLDERS = {
    # As the first models were published: no sub-folders, old names in attention blocks, few keys.
    "folder-flat": dict(
        size=16,
        labels=None,
        dtype="F32",
        pipeline="DDPMPipeline",
        scheduler=lambda: DDPM(variance_type="fixed_large"),
        config=dict(
            sample_size=16,
            down_block_types=["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
            up_block_types=["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
            block_out_channels=[4, 8, 8, 8],
            layers_per_block=2,
            norm_num_groups=4,
            norm_eps=1e-6,
            attention_head_dim=None,
            downsample_padding=0,
            freq_shift=1,
            flip_sin_to_cos=False,
        ),
    ),
    # A variant in half precision; class labels, several heads, 28 pixels.
    "folder-fp16": dict(
        size=28,
        labels=[2, 0],
        dtype="F16",
        pipeline="DDIMPipeline",
        scheduler=lambda: DDIM(
            beta_schedule="squaredcos_cap_v2",
            prediction_type="v_prediction",
            set_alpha_to_one=False,
            steps_offset=1,
            clip_sample_range=1.5,
        ),
        config=dict(
            sample_size=28,
            in_channels=1,
            out_channels=1,
            down_block_types=["AttnDownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
            up_block_types=["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
            block_out_channels=[4, 8, 12],
            layers_per_block=2,
            norm_num_groups=4,
            attention_head_dim=4,
            dropout=0.1,
            num_class_embeds=3,
        ),
    ),
    # Several files with an index, in bfloat16; six levels; no model_index.json.
    "folder-sharded": dict(
        size=32,
        labels=None,
        dtype="BF16",
        pipeline=None,
        scheduler=lambda: DDPM(beta_schedule="sigmoid", prediction_type="sample", clip_sample=False),
        config=dict(
            sample_size=(32, 64),
            in_channels=2,
            out_channels=2,
            down_block_types=["DownBlock2D"] * 5 + ["AttnDownBlock2D"],
            up_block_types=["AttnUpBlock2D"] + ["UpBlock2D"] * 5,
            block_out_channels=[4, 4, 4, 8, 8, 8],
            layers_per_block=1,
            norm_num_groups=2,
            attention_head_dim=8,
            add_attention=False,
        ),
    ),
    # Twice the channels out: a learned variance.
    "folder-learned-variance": dict(
        size=8,
        labels=None,
        dtype="F32",
        pipeline="DDPMPipeline",
        scheduler=lambda: DDPM(variance_type="learned_range", timestep_spacing="trailing"),
        config=dict(
            sample_size=8,
            out_channels=6,
            down_block_types=["DownBlock2D", "AttnDownBlock2D"],
            up_block_types=["AttnUpBlock2D", "UpBlock2D"],
            block_out_channels=[4, 8],
            layers_per_block=1,
            norm_num_groups=2,
            attention_head_dim=2,
            resnet_time_scale_shift="scale_shift",
        ),
    ),
    # One more channel in, which is given: a condition.
    "folder-condition": dict(
        size=8,
        labels=None,
        dtype="F32",
        pipeline="DDPMPipeline",
        scheduler=lambda: DDPM(prediction_type="v_prediction", clip_sample=False),
        config=dict(
            sample_size=(8, 12),
            in_channels=4,
            out_channels=3,
            down_block_types=["DownBlock2D", "AttnDownBlock2D"],
            up_block_types=["AttnUpBlock2D", "UpBlock2D"],
            block_out_channels=[4, 8],
            layers_per_block=1,
            norm_num_groups=2,
            attention_head_dim=4,
        ),
    ),
}
OLD_KEYS = {
    "config.json": "_class_name _diffusers_version act_fn attention_head_dim block_out_channels center_input_sample "
    "down_block_types downsample_padding flip_sin_to_cos freq_shift in_channels layers_per_block mid_block_scale_factor "
    "norm_eps norm_num_groups out_channels sample_size time_embedding_type up_block_types",
    "scheduler_config.json": "_class_name _diffusers_version beta_end beta_schedule beta_start clip_sample "
    "num_train_timesteps trained_betas variance_type",
}
OLD_NAMES = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
ROUNDED = {"F32": "<f4", "F16": "<f2"}


def rounded(value, dtype):
    if dtype == "BF16":
        return torch.from_numpy(value).to(torch.bfloat16).double()
    return torch.from_numpy(value.astype(ROUNDED[dtype]).astype("<f8"))


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2, sort_keys=True) + "\n")


made = {name: (UNet(**spec["config"]).eval(), spec["scheduler"]()) for name, spec in FOLDERS.items()}
reference.use_double()
for seed, (name, spec) in enumerate(FOLDERS.items(), start=11):
    folder = os.path.join(here, name)
    shutil.rmtree(folder, ignore_errors=True)
    flat = name == "folder-flat"
    unet, scheduling = (folder if flat else os.path.join(folder, part) for part in ("unet", "scheduler"))
    os.makedirs(unet, exist_ok=True)
    model, scheduler = made[name]
    rng = np.random.default_rng(seed)
    reference.draw(model, rng, lambda value: rounded(value, spec["dtype"]))
    size = spec["config"]["sample_size"]
    in_channels, out_channels = (spec["config"].get(key, 3) for key in ("in_channels", "out_channels"))
    channels = min(in_channels, out_channels)
    pixels = size if isinstance(size, tuple) else (size, size)
    shape = (2, channels, *pixels)
    sample = torch.from_numpy(rng.standard_normal(shape).astype("<f4").astype("<f8"))
    z = torch.from_numpy(rng.standard_normal((N, *shape)).astype("<f4").astype("<f8"))
    labels = None if spec["labels"] is None else torch.tensor(spec["labels"])
    condition = torch.from_numpy(
        rng.standard_normal((2, in_channels - channels, *pixels)).astype("<f4").astype("<f8")
    )

    def network(x, t):
        return model(torch.cat([x, condition], dim=1), t, labels).sample[:, :channels]

    timestep = torch.tensor(417.0)
    expected = {"sample": sample, "timestep": timestep[None], "z": z}
    if labels is not None:
        expected["class_labels"] = labels
    if in_channels > channels:
        expected["condition"] = condition
    with torch.no_grad():
        expected["out"] = network(sample, timestep)
        # beta_schedule sigmoid exists in DDPMScheduler only: its betas are handed over.
        betas = dict(trained_betas=scheduler.betas.tolist()) if scheduler.config.beta_schedule == "sigmoid" else {}
        expected["ddim5"] = reference.loop(DDIM.from_config(scheduler.config, **betas), network, sample, z)
        if isinstance(scheduler, DDPM):
            learned = scheduler.config.variance_type.startswith("learned")
            fixed = dict(variance_type="fixed_small") if learned else {}
            expected["ddpm5"] = reference.loop(DDPM.from_config(scheduler.config, **fixed), network, sample, z)
            if learned:
                # Trailing plans end above timestep 0, where diffusers adds noise once more.
                for spacing, steps in {"leading": 5, "trailing": 4}.items():
                    own = DDPM.from_config(scheduler.config, timestep_spacing=spacing)
                    both = lambda x, t: model(x, t, labels).sample
                    expected[f"{spacing}{steps}"] = reference.loop(own, both, sample, z, steps)
    head = reference.header(commit)
    reference.write_safetensors(os.path.join(folder, "expected.safetensors"), expected, head)

    weights = {key: p.detach().clone() for key, p in model.named_parameters()}
    assert list(model.state_dict()) == list(weights)
    if flat:
        for new, old in OLD_NAMES.items():
            weights = {key.replace(new, old): p for key, p in weights.items()}
    metadata = {"format": "pt"}
    if name == "folder-sharded":
        half = len(weights) // 2
        places = {}
        for i in range(2):
            file = f"{WEIGHTS}-{i + 1:05d}-of-00002.safetensors"
            part = dict(list(weights.items())[i * half : None if i else half])
            places.update(dict.fromkeys(part, file))
            reference.write_safetensors(os.path.join(unet, file), part, metadata, spec["dtype"])
        total = 2 * sum(p.numel() for p in weights.values())
        index = {"metadata": {"total_size": total}, "weight_map": places}
        write_json(os.path.join(unet, WEIGHTS + ".safetensors.index.json"), index)
    else:
        file = WEIGHTS + (".fp16" if spec["dtype"] == "F16" else "") + ".safetensors"
        reference.write_safetensors(os.path.join(unet, file), weights, metadata, spec["dtype"])
    model.save_config(unet)
    scheduler.save_config(scheduling)
    if flat:
        for file, keys in OLD_KEYS.items():
            with open(os.path.join(folder, file), encoding="utf-8") as config:
                values = json.load(config)
            write_json(os.path.join(folder, file), {key: values[key] for key in keys.split()})
    if spec["pipeline"]:
        reference.write_index(folder, spec["pipeline"], scheduler, head["version"])
    worst = max(float(v.abs().max()) for key, v in expected.items() if key[-1] in "45")
    print(name, sum(p.numel() for p in weights.values()), "parameters, out sd", float(expected["out"].std()), worst)
