"""Times training of diffusers' own UNet2DModel: noising, forward pass, MSE, backward pass, AdamW step, float32.

    python3 bench_train.py DIFFUSERS_CHECKOUT [--rounds 5] [--steps 10] [--batch 128] [--threads 2]

Prints images/s once per round, so that two programs can be timed in turn (A B A B) on a machine that is shared.
The first step, which allocates and tunes, is not counted.
"""

import argparse
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "golden"))
import reference
import torch

parser = argparse.ArgumentParser()
parser.add_argument("source")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--steps", type=int, default=10)
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()

UNet, DDPM, _ = reference.load(args.source)
torch.set_num_threads(args.threads)
torch.manual_seed(0)
model = UNet(
    sample_size=28,
    in_channels=1,
    out_channels=1,
    block_out_channels=[32, 64, 64],
    layers_per_block=1,
    down_block_types=["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
    up_block_types=["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
    norm_num_groups=8,
    attention_head_dim=None,
)
parameters = sum(p.numel() for p in model.parameters())
assert parameters == 1_112_801, parameters
scheduler = DDPM(num_train_timesteps=1000)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
images = torch.rand(args.batch, 1, 28, 28) * 2 - 1


def step():
    noise = torch.randn_like(images)
    timesteps = torch.randint(0, 1000, (args.batch,))
    predicted = model(scheduler.add_noise(images, noise, timesteps), timesteps).sample
    loss = torch.nn.functional.mse_loss(predicted, noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


print(f"torch {torch.__version__}, {args.threads} threads, batch {args.batch}, {parameters:,} parameters", flush=True)
step()
for _ in range(args.rounds):
    start = time.perf_counter()
    for _ in range(args.steps):
        loss = step()
    seconds = time.perf_counter() - start
    print(f"{args.steps * args.batch / seconds:.1f} images/s (loss {loss:.4f})", flush=True)
