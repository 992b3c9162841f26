"""Makes the files of the benchmark's contenders: one U-Net, one set of weights, as each of them wants it.

    python3 trace.py [DIFFUSERS_CHECKOUT]

Writes ../resources/io/github/ddpm/examples/bench/*.gz. With a checkout of huggingface/diffusers the network is first
compared with its UNet2DModel. Needs torch >= 1.13, numpy and onnx; the benchmark itself needs no Python.

The network is written as a function of its weights: images in, images out. `weight(name, *shape)` hands out a
weight, so that the same function serves the trace with constant weights (sampling) and the one whose weights are
views of a single vector (training). Names and shapes are those of diffusers.
"""

import collections
import gzip
import io
import json
import math
import os
import struct
import sys
import warnings

sys.dont_write_bytecode = True

import numpy as np
import torch
import torch.nn.functional as F

# They tell of shapes that become constants: all but the number of images, as they should.
warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
warnings.filterwarnings("ignore", message="The shape inference of prim::Constant")

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, os.pardir, "resources", "io", "github", "ddpm", "examples", "bench")

SIZE = 28
CHANNELS = [32, 64, 64]
GROUPS = 8
EPSILON = 1e-5
CONFIG = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.35.0",
    "act_fn": "silu",
    "add_attention": True,
    "attention_head_dim": None,
    "block_out_channels": CHANNELS,
    "center_input_sample": False,
    "down_block_types": ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
    "downsample_padding": 1,
    "dropout": 0.0,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 1,
    "layers_per_block": 1,
    "mid_block_scale_factor": 1,
    "norm_eps": EPSILON,
    "norm_num_groups": GROUPS,
    "num_class_embeds": None,
    "out_channels": 1,
    "resnet_time_scale_shift": "default",
    "sample_size": SIZE,
    "time_embedding_type": "positional",
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
}
SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.35.0",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
    "timestep_spacing": "trailing",
    "trained_betas": None,
    "variance_type": "fixed_small",
}


def unet(weight, x, timestep, dtype=torch.float32):
    """x [n, 1, 28, 28], timestep [n] or [1], both float32, and so is the result; between them it computes in dtype."""

    def norm(name, h):
        # To h's type, because torch 1.13 doesn't take two; autocast leaves weights that aren't multiplied in float32.
        scale, shift = (weight(f"{name}.{kind}", h.shape[1]).to(h.dtype) for kind in ("weight", "bias"))
        return F.group_norm(h, GROUPS, scale, shift, EPSILON)

    def conv(name, h, channels, size=3, stride=1):
        kernel = weight(name + ".weight", channels, h.shape[1], size, size)
        return F.conv2d(h, kernel, weight(name + ".bias", channels), stride, size // 2)

    def linear(name, h, features):
        return F.linear(h, weight(name + ".weight", features, h.shape[-1]), weight(name + ".bias", features))

    def resnet(name, h, channels):
        inner = conv(name + ".conv1", F.silu(norm(name + ".norm1", h)), channels)
        inner = inner + linear(name + ".time_emb_proj", time, channels)[:, :, None, None]
        inner = conv(name + ".conv2", F.silu(norm(name + ".norm2", inner)), channels)
        return inner + (h if h.shape[1] == channels else conv(name + ".conv_shortcut", h, channels, 1))

    def attention(name, h):
        channels, height, width = (int(n) for n in h.shape[1:])
        pixels = norm(name + ".group_norm", h).permute(0, 2, 3, 1).reshape(-1, height * width, channels)
        query = linear(name + ".to_q", pixels, channels)
        key = linear(name + ".to_k", pixels, channels)
        value = linear(name + ".to_v", pixels, channels)
        scores = torch.bmm(query * channels**-0.5, key.transpose(1, 2))
        mixed = linear(name + ".to_out.0", torch.bmm(torch.softmax(scores, -1), value), channels)
        return h + mixed.reshape(-1, height, width, channels).permute(0, 3, 1, 2)

    half = CHANNELS[0] // 2
    angles = timestep[:, None] * torch.exp(torch.arange(half) * (-math.log(10000) / half))
    time = torch.cat([torch.cos(angles), torch.sin(angles)], 1).to(dtype)
    time = linear("time_embedding.linear_1", time, 4 * CHANNELS[0])
    time = F.silu(linear("time_embedding.linear_2", F.silu(time), 4 * CHANNELS[0]))

    h = conv("conv_in", x.to(dtype), CHANNELS[0])
    skips = [h]
    last = len(CHANNELS) - 1
    for level, channels in enumerate(CHANNELS):
        name = f"down_blocks.{level}"
        h = resnet(name + ".resnets.0", h, channels)
        if level == last:
            h = attention(name + ".attentions.0", h)
        skips.append(h)
        if level < last:
            h = conv(name + ".downsamplers.0.conv", h, channels, stride=2)
            skips.append(h)
    h = resnet("mid_block.resnets.0", h, CHANNELS[last])
    h = attention("mid_block.attentions.0", h)
    h = resnet("mid_block.resnets.1", h, CHANNELS[last])
    for level, channels in enumerate(reversed(CHANNELS)):
        name = f"up_blocks.{level}"
        for i in range(2):
            h = resnet(f"{name}.resnets.{i}", torch.cat([h, skips.pop()], 1), channels)
            if level == 0:
                h = attention(f"{name}.attentions.{i}", h)
        if level < last:
            h = conv(name + ".upsamplers.0.conv", F.interpolate(h, scale_factor=2.0, mode="nearest"), channels)
    return conv("conv_out", F.silu(norm("conv_norm_out", h)), 1).float()


def make_weights():
    """About PyTorch's own initialization, but with eight significant bits at most: exact in bfloat16, and the files
    compress to a third."""
    random = np.random.RandomState(1)
    weights = collections.OrderedDict()

    def draw(name, *shape):
        shape = tuple(int(n) for n in shape)
        if len(shape) > 1:
            draw.bound = 2.0 ** round(math.log2(1 / math.sqrt(np.prod(shape[1:]))))
            values = random.randint(-127, 128, shape) * (draw.bound / 128)
        elif "norm" in name:
            values = name.endswith(".weight") + random.randint(-16, 17, shape) / 128
        else:  # the bias of the weight before
            values = random.randint(-127, 128, shape) * (draw.bound / 128)
        weights[name] = torch.from_numpy(values.astype(np.float32))
        return weights[name]

    unet(draw, torch.zeros(1, 1, SIZE, SIZE), torch.zeros(1))
    return weights


class Sampling(torch.nn.Module):
    """The network with its weights as constants, convolutions channels-last."""

    def __init__(self, weights, dtype):
        super().__init__()
        self.dtype = dtype
        self.weights = {
            name: w.to(dtype, memory_format=torch.channels_last) if w.dim() == 4 else w.to(dtype)
            for name, w in weights.items()
        }

    def forward(self, x, timestep):
        return unet(lambda name, *shape: self.weights[name], x, timestep, self.dtype)


def flatten(weights):
    """All weights in one vector, convolutions as [out, height, width, in]: what Training takes apart."""
    return torch.cat([(w.permute(0, 2, 3, 1) if w.dim() == 4 else w).reshape(-1) for w in weights.values()])


class Training(torch.nn.Module):
    """From the vector of all weights to the loss of a batch (Ho et al. 2020, algorithm 1)."""

    def __init__(self, weights, autocast):
        super().__init__()
        self.autocast = autocast
        self.shapes = {name: tuple(w.shape) for name, w in weights.items()}

    def forward(self, flat, image, noise, signal_weight, noise_weight, timestep):
        # One split, whose gradient is one concatenation; a slice each would make a vector of zeros each.
        parts = torch.split(flat, [math.prod(shape) for shape in self.shapes.values()])
        weights = {}
        for (name, shape), part in zip(self.shapes.items(), parts):
            if len(shape) == 4:
                out, channels, height, width = shape
                weights[name] = part.view(out, height, width, channels).permute(0, 3, 1, 2)
            else:
                weights[name] = part.view(shape)
        x = signal_weight[:, None, None, None] * image + noise_weight[:, None, None, None] * noise
        # No cache, because a recorded cast must not be that of an earlier call.
        with torch.cpu.amp.autocast(enabled=self.autocast, dtype=torch.bfloat16, cache_enabled=False):
            out = unet(lambda name, *shape: weights[name], x, timestep)
        return F.mse_loss(out, noise)


def adamw(
    w, m, v, ema, gradient,
    max_norm: float, rate: float, decay: float, correction1: float, correction2: float, kept: float
):  # fmt: skip
    """torch.nn.utils.clip_grad_norm_, torch.optim.AdamW and a moving average, in place; returns the gradient's norm."""
    norm = torch.norm(gradient)
    gradient.mul_(torch.clamp(max_norm / (norm + 1e-6), max=1.0))
    w.mul_(1 - rate * decay)
    m.lerp_(gradient, 0.1)
    v.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    w.addcdiv_(m, v.sqrt().div_(math.sqrt(correction2)).add_(1e-8), value=-rate / correction1)
    ema.lerp_(w, 1 - kept)
    return norm


def write(name, content):
    os.makedirs(OUT, exist_ok=True)
    with open(os.path.join(OUT, name + ".gz"), "wb") as file:
        # Without a time, so that a second run gives the same bytes.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as packed:
            packed.write(content)
    print(f"{name} {len(content):,} bytes, compressed {os.path.getsize(os.path.join(OUT, name + '.gz')):,}")


def torch_script(script):
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    return buffer.getvalue()


def safetensors(tensors):
    """Format: 8 bytes little-endian header length, JSON, raw data."""
    entries, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        data = tensor.numpy().tobytes()
        entries[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + len(data)]}
        blobs.append(data)
        at += len(data)
    head = json.dumps(entries, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(blobs)


def check(what, difference, limit):
    print(f"{what}: max |difference| {difference:.2g}")
    assert difference <= limit, what


def compare_with_diffusers(checkout, weights):
    sys.path.insert(0, os.path.join(HERE, *[os.pardir] * 4, "src-test-resources", "golden"))
    import reference

    model = reference.load(checkout)[0](**{k: v for k, v in CONFIG.items() if not k.startswith("_")})
    model.load_state_dict(weights, strict=True)
    x, timestep = torch.randn(4, 1, SIZE, SIZE), torch.tensor([0.0, 10.0, 500.0, 999.0])
    with torch.no_grad():
        theirs = model(x, timestep).sample
        ours = Sampling(weights, torch.float32)(x, timestep)
    print(f"outputs are about {theirs.abs().mean():.2g}")
    check("the network and diffusers' UNet2DModel", float((theirs - ours).abs().max()), 1e-5)


def main():
    torch.manual_seed(1)
    weights = make_weights()
    flat = flatten(weights)
    assert flat.numel() == 1_112_801, flat.numel()
    if len(sys.argv) > 1:
        compare_with_diffusers(sys.argv[1], weights)

    write("model_index.json", json.dumps({"_class_name": "DDPMPipeline", "_diffusers_version": "0.35.0"}).encode())
    write("config.json", json.dumps(CONFIG).encode())
    write("scheduler_config.json", json.dumps(SCHEDULER).encode())
    write("diffusion_pytorch_model.safetensors", safetensors(weights))
    write("weights.bin", flat.numpy().tobytes())

    x, timestep = torch.randn(3, 1, SIZE, SIZE), torch.tensor([7.0])
    expected = Sampling(weights, torch.float32)(x, timestep)
    for name, dtype in ("float32", torch.float32), ("bfloat16", torch.bfloat16):
        with torch.no_grad():
            traced = torch.jit.trace(Sampling(weights, dtype).eval(), (x, timestep), check_trace=False)
        frozen = torch.jit.freeze(traced.eval())
        more = torch.cat([x, x])
        difference = (frozen(more, timestep) - torch.cat([expected, expected])).abs().max()
        check(f"frozen {name}", float(difference), 1e-5 if dtype == torch.float32 else 0.1)
        write(f"forward_{name}.pt", torch_script(frozen))

    file = io.BytesIO()
    axes = {"x": {0: "n"}, "out": {0: "n"}}
    torch.onnx.export(
        Sampling(weights, torch.float32).eval(), (x, timestep), file,
        input_names=["x", "timestep"], output_names=["out"], dynamic_axes=axes, opset_version=17
    )  # fmt: skip
    write("forward.onnx", file.getvalue())

    n = 3
    example = (flat.clone().requires_grad_(), x, torch.randn_like(x), torch.rand(n), torch.rand(n), torch.tensor([1.0, 2, 3]))
    for name, autocast in ("float32", False), ("bfloat16", True):
        module = Training(weights, autocast)
        traced = torch.jit.trace(module, example, check_trace=False)
        check(f"training {name}", float((traced(*example) - module(*example)).abs()), 1e-6)
        write(f"training_{name}.pt", torch_script(traced))

    w, gradient = flat.clone().requires_grad_(), torch.randn_like(flat)
    w.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_([w], 1.0)
    torch.optim.AdamW([w], lr=1e-3, weight_decay=0.01).step()
    scripted = torch.jit.script(adamw)
    mine = [flat.clone(), torch.zeros_like(flat), torch.zeros_like(flat), flat.clone()]
    scripted(*mine, gradient, 1.0, 1e-3, 0.01, 1 - 0.9, 1 - 0.999, 0.5)
    check("AdamW and torch.optim's", float((mine[0] - w).abs().max()), 1e-7)
    write("adamw.pt", torch_script(scripted))


main()
