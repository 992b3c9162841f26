"""Imports UNet2DModel, DDPMScheduler and DDIMScheduler from a huggingface/diffusers source checkout,
without what the package around them wants (huggingface_hub, transformers, torch 2, ...).

Only plumbing is replaced: version checks, logging, download helpers and the base class ModelMixin (here a
plain torch.nn.Module). Blocks, layers, schedulers and configuration_utils.py are the checkout's own.
Shared by the other scripts in this folder; needs torch >= 1.13 and numpy, nothing else.
"""

import datetime
import importlib
import json
import logging
import os
import platform
import re
import struct
import sys
import types

import numpy as np
import torch


class _Placeholder(types.ModuleType):
    """A module with every attribute: predicates say no, functions hand back their argument, the rest are classes."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name.startswith("is_"):
            return lambda *args, **kwargs: False
        if name == "maybe_adjust_dtype_for_device":
            return lambda dtype, device: dtype
        if name == "logging":
            return types.SimpleNamespace(get_logger=logging.getLogger)
        if name[0].islower():  # some are decorators
            return lambda *args, **kwargs: args[0] if args else None
        setattr(self, name, type(name, (), {}))
        return self.__dict__[name]


class _ModelMixin(torch.nn.Module):
    config_name = "config.json"

    @property
    def dtype(self):
        return next(self.parameters()).dtype


def load(source):
    """Returns (UNet2DModel, DDPMScheduler, DDIMScheduler); source holds diffusers/ or src/diffusers/."""
    if not os.path.isdir(os.path.join(source, "diffusers")):
        source = os.path.join(source, "src")
    with open(os.path.join(source, "diffusers", "__init__.py"), encoding="utf-8") as file:
        version = re.search(r'__version__ = "([^"]+)"', file.read()).group(1)
    for name in ("diffusers", "diffusers.models", "diffusers.models.unets", "diffusers.schedulers"):
        package = types.ModuleType(name)
        package.__path__ = [os.path.join(source, *name.split("."))]
        package.__version__ = version
        sys.modules[name] = package
    for name in (
        "huggingface_hub",
        "huggingface_hub.utils",
        "diffusers.utils",
        "diffusers.utils.import_utils",
        "diffusers.utils.torch_utils",
        "diffusers.image_processor",
        "diffusers.models.modeling_utils",
        "diffusers.models.transformers",
        "diffusers.models.transformers.dual_transformer_2d",
        "diffusers.models.transformers.transformer_2d",
    ):
        sys.modules[name] = _Placeholder(name)
    sys.modules["diffusers.models.modeling_utils"].ModelMixin = _ModelMixin
    return (
        importlib.import_module("diffusers.models.unets.unet_2d").UNet2DModel,
        importlib.import_module("diffusers.schedulers.scheduling_ddpm").DDPMScheduler,
        importlib.import_module("diffusers.schedulers.scheduling_ddim").DDIMScheduler,
    )


def use_double():
    """From here on, "float32" written into the reference's source means float64: tables, time embedding, softmax.

    Also goes around a fault of torch 1.13: for small matrices baddbmm with beta = 0 multiplies memory that nobody
    wrote by 0, so that attention scores are now and then NaN.
    """
    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float64
    torch.Tensor.float = torch.Tensor.double
    original = torch.baddbmm

    def baddbmm(added, a, b, *, beta=1, alpha=1):
        return alpha * torch.bmm(a, b) if beta == 0 else original(added, a, b, beta=beta, alpha=alpha)

    torch.baddbmm = baddbmm


def draw(model, rng, rounded, factors={}):
    """Gives a model weights that make every part count: affine norms, biases, attention logits of about unit size.

    rounded makes a tensor of an array as it will be stored; factors are of weights by name.
    """
    for name, p in model.named_parameters():
        noise = rng.standard_normal(tuple(p.shape))
        if "norm" in name:
            value = (1 if name.endswith("weight") else 0) + 0.3 * noise
        elif name.endswith("bias"):
            value = 0.2 * noise
        else:
            gain = 2 if "to_q" in name or "to_k" in name else 1
            value = gain * noise / np.sqrt(p[0].numel())
        p.data = rounded(value * factors.get(name, 1))


def write_index(folder, pipeline, scheduler, version):
    """model_index.json as a pipeline writes it."""
    index = {
        "_class_name": pipeline,
        "_diffusers_version": version,
        "scheduler": ["diffusers", type(scheduler).__name__],
        "unet": ["diffusers", "UNet2DModel"],
    }
    with open(os.path.join(folder, "model_index.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(index, indent=2) + "\n")


def loop(scheduler, network, x, z, steps=None):
    """One step of a scheduler for each of the noises z, or for the first few, from x with network(x, t)."""
    noises = iter(z)
    sys.modules[type(scheduler).__module__].randn_tensor = lambda *args, **kwargs: next(noises)
    scheduler.set_timesteps(len(z))
    for t in scheduler.timesteps[:steps]:
        x = scheduler.step(network(x, t), t, x).prev_sample
    return x


def header(commit, **more):
    """The birth certificate that every generated file carries."""
    return {
        "program": "huggingface/diffusers",
        "commit": commit,
        "version": sys.modules["diffusers"].__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "script": "src-test-resources/golden/" + os.path.basename(sys.argv[0]),
        "date": datetime.date.today().isoformat(),
        **more,
    }


def write_json(path, head, **sections):
    """One record per line, so that a diff can be read. NaN and infinities, which JSON lacks, become strings."""

    def plain(value):
        if isinstance(value, float) and value - value != 0:
            return str(value)
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list) else value

    with open(path, "w", encoding="utf-8") as file:
        file.write('{\n"header": ' + json.dumps(head, indent=1))
        for name, records in sections.items():
            lines = ",\n".join(json.dumps(plain(record), allow_nan=False) for record in records)
            file.write(f',\n"{name}": [\n{lines}\n]')
        file.write("\n}\n")


_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


def _stored(tensor, dtype):
    tensor = torch.as_tensor(tensor).detach().contiguous()
    if dtype == "BF16":  # numpy has no such type
        return tensor.to(torch.bfloat16).view(torch.int16).numpy()
    return np.ascontiguousarray(tensor.numpy(), dtype=_DTYPES[dtype])


def write_safetensors(path, tensors, metadata, dtype="F32"):
    """Format: 8 bytes little-endian header length, JSON, raw data. All tensors are stored as that type."""
    entries, blobs, at = {"__metadata__": metadata}, [], 0
    for name, tensor in tensors.items():
        data = _stored(tensor, dtype)
        blobs.append(data.tobytes())
        entries[name] = {"dtype": dtype, "shape": list(data.shape), "data_offsets": [at, at + data.nbytes]}
        at += data.nbytes
    head = json.dumps(entries, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head + b"".join(blobs))


def read_safetensors(path):
    with open(path, "rb") as file:
        raw = file.read()
    (length,) = struct.unpack_from("<Q", raw)
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            blob = raw[8 + length + begin : 8 + length + end]
            if entry["dtype"] == "BF16":
                array = (np.frombuffer(blob, "<u2").astype("<u4") << 16).view("<f4")
            else:
                array = np.frombuffer(blob, _DTYPES[entry["dtype"]])
            tensors[name] = torch.from_numpy(array.copy().reshape(entry["shape"]))
    return tensors
