"""Writes the folders unet-*: tiny UNet2DModels in diffusers' layout, each with expected.safetensors.

    python3 make_unets.py DIFFUSERS_CHECKOUT COMMIT

Weights are drawn by numpy, rounded to float32 and used in float64: forward pass, gradients and AdamW all run in
float64 (reference.use_double()) and are stored as float32. config.json and scheduler_config.json are written by
diffusers' own save_config.
"""

import json
import os
import sys

sys.dont_write_bytecode = True
import numpy as np
import reference
import torch

source, commit = sys.argv[1:]
UNet, DDPM, DDIM = reference.load(source)
here = os.path.dirname(os.path.abspath(__file__))
configs = {}

configs["unet-attention"] = dict(
    seed=1,
    size=8,
    timesteps=[0.0, 17.5, 999.0],
    labels=[3, 10, 0],
    scheduler=lambda: DDPM(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="trailing"
    ),
    config=dict(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        down_block_types=["DownBlock2D", "AttnDownBlock2D"],
        up_block_types=["AttnUpBlock2D", "UpBlock2D"],
        block_out_channels=[4, 12],
        layers_per_block=1,
        norm_num_groups=2,
        attention_head_dim=4,
        num_class_embeds=11,
    ),
)
configs["unet-padding0"] = dict(
    seed=2,
    size=8,
    timesteps=[1.0, 499.0],
    labels=None,
    scheduler=lambda: DDIM(beta_schedule="linear", prediction_type="epsilon", clip_sample=True),
    config=dict(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        down_block_types=["AttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "AttnUpBlock2D"],
        block_out_channels=[4, 8],
        layers_per_block=2,
        norm_num_groups=2,
        norm_eps=1e-6,
        attention_head_dim=None,
        downsample_padding=0,
        freq_shift=1,
        flip_sin_to_cos=False,
    ),
)
configs["unet-scale-shift"] = dict(
    seed=3,
    size=12,
    timesteps=[250.25, 3.0],
    labels=[1, 2],
    scheduler=lambda: DDPM(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="sample",
        clip_sample=False,
        variance_type="fixed_large",
    ),
    config=dict(
        sample_size=12,
        in_channels=1,
        out_channels=1,
        down_block_types=["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
        block_out_channels=[4, 8, 8],
        layers_per_block=1,
        norm_num_groups=2,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        num_class_embeds=3,
    ),
)
# The rest has options that few models have, and instead of AdamW's steps those of schedulers.
configs["unet-adm"] = dict(
    seed=4,
    size=8,
    timesteps=[640.0, 31.5],
    labels=[4, 1],
    scheduler=lambda: DDPM(beta_schedule="linear", prediction_type="epsilon"),
    config=dict(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        down_block_types=["ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
        up_block_types=["AttnUpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"],
        block_out_channels=[4, 8, 8],
        layers_per_block=1,
        norm_num_groups=2,
        attn_norm_num_groups=4,
        attention_head_dim=4,
        downsample_type="resnet",
        upsample_type="resnet",
        resnet_time_scale_shift="scale_shift",
        num_class_embeds=5,
    ),
)
configs["unet-mish"] = dict(
    seed=5,
    size=8,
    timesteps=[77.0, 901.0],
    labels=[3, 17],
    scheduler=lambda: DDPM(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction"),
    config=dict(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        center_input_sample=True,
        down_block_types=["ResnetDownsampleBlock2D", "AttnDownBlock2D"],
        up_block_types=["ResnetUpsampleBlock2D", "AttnUpBlock2D"],
        block_out_channels=[4, 8],
        layers_per_block=1,
        mid_block_scale_factor=1.5,
        act_fn="mish",
        norm_num_groups=2,
        attention_head_dim=3,
        time_embedding_dim=10,
        class_embed_type="timestep",
        num_class_embeds=20,
    ),
)
configs["unet-gelu"] = dict(
    seed=6,
    size=8,
    timesteps=[0.0, 512.0],
    labels=None,
    scheduler=lambda: DDPM(beta_schedule="scaled_linear", prediction_type="epsilon"),
    config=dict(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        down_block_types=["DownBlock2D", "AttnDownBlock2D"],
        mid_block_type=None,
        up_block_types=["UpBlock2D", "AttnUpBlock2D"],
        block_out_channels=[4, 8],
        layers_per_block=1,
        act_fn="gelu",
        norm_num_groups=2,
        attention_head_dim=None,
        downsample_padding=0,
        resnet_time_scale_shift="scale_shift",
    ),
)
configs["unet-relu"] = dict(
    seed=7,
    size=8,
    timesteps=[333.0, 12.0],
    labels=[999, 0],
    scheduler=lambda: DDPM(beta_schedule="linear", prediction_type="sample"),
    config=dict(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        down_block_types=["AttnDownBlock2D", "DownBlock2D"],
        up_block_types=["AttnUpBlock2D", "UpBlock2D"],
        block_out_channels=[4, 8],
        layers_per_block=1,
        mid_block_scale_factor=2**0.5,
        upsample_type="resnet",
        act_fn="relu",
        norm_num_groups=2,
        attn_norm_num_groups=4,
        attention_head_dim=2,
        class_embed_type="timestep",
    ),
)
SCHEDULED = ["unet-adm", "unet-mish", "unet-gelu", "unet-relu"]


# Small activations at first, so that the first norms' epsilon shows, and outputs that vary.
FACTORS = {"class_embedding.weight": 2.8, "conv_in.weight": 0.3, "conv_in.bias": 0.3, "conv_out.weight": 2.5}


def train(model, loss, max_norm=None):
    """Three AdamW steps on a model that is left as it was; returns (parameters, losses, gradient norms)."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses, norms = [], []
    for _ in range(3):
        optimizer.zero_grad()
        losses.append(loss())
        losses[-1].backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm or float("inf"))))
        optimizer.step()
    after = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.load_state_dict(before)
    return after, [float(v) for v in losses], norms


made = {name: (UNet(**spec["config"]), spec["scheduler"]()) for name, spec in configs.items()}
reference.use_double()
for name, spec in configs.items():
    folder = os.path.join(here, name)
    os.makedirs(os.path.join(folder, "unet"), exist_ok=True)
    model, scheduler = made[name]
    rng = np.random.default_rng(spec["seed"])
    reference.draw(model, rng, lambda value: torch.from_numpy(value.astype("<f4").astype("<f8")), FACTORS)
    weights = {key: p.detach().clone() for key, p in model.named_parameters()}
    assert list(model.state_dict()) == list(weights)

    shape = (len(spec["timesteps"]), spec["config"]["in_channels"], spec["size"], spec["size"])
    sample, target = (torch.from_numpy(rng.standard_normal(shape).astype("<f4").astype("<f8")) for _ in range(2))
    timestep = torch.tensor(spec["timesteps"])
    labels = None if spec["labels"] is None else torch.tensor(spec["labels"])
    expected = {"sample": sample, "timestep": timestep, "target": target}
    if labels is not None:
        expected["class_labels"] = labels

    hooks = []
    if name == "unet-attention":
        blocks = range(len(model.down_blocks))
        modules = [f"down_blocks.{i}" for i in blocks] + ["mid_block"] + [f"up_blocks.{i}" for i in blocks]
        for module in ["conv_in"] + modules:

            def keep(_, inputs, output, module=module):
                expected["act." + module] = output[0] if isinstance(output, tuple) else output

            hooks.append(model.get_submodule(module).register_forward_hook(keep))
    out = model(sample, timestep, labels).sample
    for hook in hooks:
        hook.remove()
    expected["out"] = out

    def loss():
        return ((model(sample, timestep, labels).sample - target) ** 2).mean()

    model.zero_grad()
    loss().backward()
    gradients = {key: p.grad.clone() for key, p in model.named_parameters()}
    expected.update({"grad." + key: g for key, g in gradients.items()})
    losses, norms = [], []
    if name in SCHEDULED:
        z = torch.from_numpy(rng.standard_normal((5, *shape)).astype("<f4").astype("<f8"))
        expected["z"] = z

        def network(x, t):
            return model(x, t, labels).sample

        with torch.no_grad():
            expected["ddim5"] = reference.loop(DDIM.from_config(scheduler.config), network, sample, z)
            expected["ddpm5"] = reference.loop(DDPM.from_config(scheduler.config), network, sample, z)
    else:
        after, losses, norms = train(model, loss)
        expected.update({"adamw3." + key: p for key, p in after.items()})
        expected.update({"losses": torch.tensor(losses), "grad_norms": torch.tensor(norms)})
    if name == "unet-attention":
        after, losses, norms = train(model, loss, max_norm=0.1)
        expected.update({"clipped3." + key: p for key, p in after.items()})
        expected.update({"clipped_losses": torch.tensor(losses), "clipped_grad_norms": torch.tensor(norms)})

    # what has no influence on the loss in exact arithmetic: in float32 its AdamW step is rounding noise over eps
    zero = [key for key, g in gradients.items() if float(g.abs().max()) < 1e-12]
    head = reference.header(commit, zero_gradient=zero)
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in head.items()}
    reference.write_safetensors(os.path.join(folder, "expected.safetensors"), expected, metadata)
    reference.write_safetensors(
        os.path.join(folder, "unet", "diffusion_pytorch_model.safetensors"), weights, {"format": "pt"}
    )
    model.save_config(os.path.join(folder, "unet"))
    scheduler.save_config(os.path.join(folder, "scheduler"))
    pipeline = type(scheduler).__name__.replace("Scheduler", "Pipeline")
    reference.write_index(folder, pipeline, scheduler, head["version"])
    print(name, sum(p.numel() for p in weights.values()), "parameters, out sd", float(out.std()), losses, norms, zero)
