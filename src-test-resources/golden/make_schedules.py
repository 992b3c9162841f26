"""Writes schedules.json: noise schedules and timestep lists of diffusers' DDPMScheduler.

    python3 make_schedules.py DIFFUSERS_CHECKOUT COMMIT

The reference computes its tables in float32; reference.use_double() makes that float64, so that they can be
compared with doubles. Timesteps come from numpy and are int64 whatever the precision.
"""

import os
import sys
from fractions import Fraction

sys.dont_write_bytecode = True
import reference

source, commit = sys.argv[1:]
_, Scheduler, _ = reference.load(source)
reference.use_double()

SCHEDULES = [
    ("linear", dict(beta_schedule="linear", beta_start=0.0001, beta_end=0.02), (1000, 10)),
    ("scaled_linear", dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012), (1000, 10)),
    ("squaredcos_cap_v2", dict(beta_schedule="squaredcos_cap_v2"), (1000, 10)),
    ("sigmoid", dict(beta_schedule="sigmoid", beta_start=0.0001, beta_end=0.02), (1000, 10)),
    ("laplace", dict(beta_schedule="laplace"), (1000, 10)),
]
SAMPLED = [0, 1, 2, 3, 9, 49, 99, 200, 250, 333, 400, 499, 500, 600, 700, 750, 800, 900, 950, 990, 997, 998, 999]


def tables():
    for name, config, sizes in SCHEDULES:
        for total in sizes:
            for zero_snr in (False, True):
                scheduler = Scheduler(num_train_timesteps=total, rescale_betas_zero_snr=zero_snr, **config)
                at = [t for t in SAMPLED if t < total] if total == 1000 else list(range(total))
                yield {
                    "beta_schedule": name,
                    "num_train_timesteps": total,
                    "beta_start": config.get("beta_start"),
                    "beta_end": config.get("beta_end"),
                    "rescale_betas_zero_snr": zero_snr,
                    "t": at,
                    "betas": scheduler.betas[at].tolist(),
                    "alphas_cumprod": scheduler.alphas_cumprod[at].tolist(),
                }


def theirs(spacing, total, n):
    scheduler = Scheduler(num_train_timesteps=total, timestep_spacing=spacing)
    scheduler.set_timesteps(n)
    return scheduler.timesteps.tolist()


def exact(spacing, total, n):
    """The definitions in exact arithmetic; round() of a Fraction goes half to even."""
    if spacing == "trailing":
        return [round(total - Fraction(i * total, n)) - 1 for i in range(n)]
    if spacing == "leading":
        return [i * (total // n) for i in reversed(range(n))]
    return [round(Fraction(i * (total - 1), n - 1)) if n > 1 else 0 for i in reversed(range(n))]


agree, differ, summary = [], [], []
for spacing in ("trailing", "leading", "linspace"):
    longer, moved = [], []
    for n in range(1, 1001):
        ours, reference_list = exact(spacing, 1000, n), theirs(spacing, 1000, n)
        record = {"timestep_spacing": spacing, "num_train_timesteps": 1000, "n": n, "timesteps": reference_list}
        if ours == reference_list:
            if n in (1, 2, 3, 5, 7, 10, 20, 50, 64, 100, 1000) and (n > 1 or spacing == "trailing"):
                agree.append(record)
        elif len(reference_list) != n:
            longer.append(n)
            if len(longer) <= 3:
                differ.append({**record, "why": "has n + 1 entries, the last is -1", "exact": ours})
        else:
            moved.append(n)
            if len(moved) <= 3:
                differ.append({**record, "why": "breaks a tie the other way", "exact": ours})
    summary.append({"timestep_spacing": spacing, "n_plus_one_entries": longer, "tie_broken_otherwise": moved})

note = (
    "tables: float64 run; a correct double implementation agrees within 1e-12 (absolute). beta_start and beta_end are "
    "null where the schedule ignores them. timesteps: lists where the reference agrees with the definitions "
    "trailing rint(T - i*T/n) - 1, leading i*(T//n), linspace rint(i*(T-1)/(n-1)), in descending order, halves to "
    "even, computed exactly (in doubles: multiply first, then divide). differing: the first lists where it does not ('timesteps' is the reference's, 'exact' the "
    "definition's). differing_n: every n in [1, 1000] where it does not, T = 1000."
)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schedules.json")
reference.write_json(
    path,
    reference.header(commit, note=note),
    tables=list(tables()),
    timesteps=agree,
    differing=differ,
    differing_n=summary,
)
