"""Writes pytorch/: the weights of folder-learned-variance as PyTorch saves them, tensors that are other views of
their storages than safetensors has, and what is refused.

    python3 make_pytorch.py DIFFUSERS_CHECKOUT COMMIT

The files of weights are those of save_pretrained(safe_serialization=False), which is torch.save(state_dict, file).
"""

import json
import os
import sys

sys.dont_write_bytecode = True
import reference
import torch

source, commit = sys.argv[1:]
UNet, _, _ = reference.load(source)
here = os.path.dirname(os.path.abspath(__file__))
out = os.path.join(here, "pytorch")
os.makedirs(out, exist_ok=True)
WEIGHTS = "diffusion_pytorch_model"


unet = os.path.join(here, "folder-learned-variance", "unet")
with open(os.path.join(unet, "config.json"), encoding="utf-8") as file:
    model = UNet(**{key: value for key, value in json.load(file).items() if key[0] != "_"})
model.load_state_dict(reference.read_safetensors(os.path.join(unet, WEIGHTS + ".safetensors")))

# Several files with an index.
weights = model.state_dict()
places = {}
for i in range(2):
    file = f"{WEIGHTS}-{i + 1:05d}-of-00002.bin"
    part = dict(list(weights.items())[i::2])
    places.update(dict.fromkeys(part, file))
    torch.save(part, os.path.join(out, file))
with open(os.path.join(out, WEIGHTS + ".bin.index.json"), "w", encoding="utf-8") as file:
    index = {"metadata": {"total_size": 4 * sum(p.numel() for p in weights.values())}, "weight_map": places}
    file.write(json.dumps(index, indent=2, sort_keys=True) + "\n")

# A variant in half precision. The dict is that of the network, with the versions of its modules for an attribute.
weights = model.half().state_dict()
torch.save(weights, os.path.join(out, WEIGHTS + ".fp16.bin"))
reference.write_safetensors(os.path.join(out, WEIGHTS + ".fp16.safetensors"), weights, {"format": "pt"}, "F16")

base = torch.arange(120, dtype=torch.float32) / 7 - 5
views = {
    "all": base,
    "offset": base[100:],
    "transposed": base.view(10, 12).t(),
    "every_third": base[5::3],
    "column": base.view(10, 12)[:, 3],
    "block": base.view(4, 5, 6)[1:3, 2:, 1:4],
    "channels_last": base.view(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "one_by_one": base[9:10].view(1, 1, 1, 1),
    "axis_of_one": base.view(10, 12).t()[:, 4:5],
    "windows": base.as_strided((10, 3), (2, 1), 40),
    "scalar": torch.tensor(0.1),
    "empty": torch.empty(0, 3),
    "parameter": torch.nn.Parameter(base[:6].view(2, 3).t()),
    "half": base.half().view(3, 40).t(),
    "bfloat16": base.bfloat16()[1::2],
    "double": base.double().view(12, 10)[:, 7],
    "not_finite": torch.tensor([float("inf"), -float("inf"), float("nan"), -0.0, 1e-45]),
}
for protocol in (2, 4, 5):
    torch.save(views, os.path.join(out, f"views-{protocol}.pt"), pickle_protocol=protocol)
reference.write_safetensors(
    os.path.join(out, "views.safetensors"),
    {name: view.detach().float().contiguous() for name, view in views.items()},
    reference.header(commit),
)

# What is refused.
torch.save(base[:3], os.path.join(out, "tensor.pt"))
torch.save({"state_dict": {"a": base[:3]}, "epoch": 3}, os.path.join(out, "nested.pt"))
torch.save({"a": base[:3]}, os.path.join(out, "legacy.pt"), _use_new_zipfile_serialization=False)
torch.save({"a": base[:3].long()}, os.path.join(out, "long.pt"))
torch.save({"a": base[:1].expand(1000)}, os.path.join(out, "expanded.pt"))
torch.manual_seed(0)
torch.save(torch.nn.Linear(1, 1), os.path.join(out, "module.pt"))
