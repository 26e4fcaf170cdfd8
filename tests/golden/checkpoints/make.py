"""Writes the checkpoints of this folder, with torch, from the weights of the published networks in tests/golden.

    python tests/golden/checkpoints/make.py

ncsnpp_skip_cat.pth is in zip format, ddpmpp_vp_cont.pth in legacy format. Both are laid out as score_sde's PyTorch
training leaves them: a module inside DataParallel with a buffer of noise levels and frozen Fourier frequencies, the
average as a list of the trained parameters, and Adam's state. The average holds the published weights w, the model
9/8 w, and Adam (zip only, to keep the other file small) has seen one gradient, w.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
CASES = {"ncsnpp_skip_cat": (True, True), "ddpmpp_vp_cont": (False, False)}  # zip format, Adam's state


def main() -> None:
    for case, (new, adam) in CASES.items():
        with np.load(HERE.parent / f"net_{case}.npz") as data:
            weights = {name: torch.from_numpy(data[f"param/{name}"].astype(np.float32)) for name in data["param_names"]}
        net = nn.DataParallel(module(weights))
        trained = [p for p in net.parameters() if p.requires_grad]
        average = [p.detach().clone() for p in trained]
        optimizer = torch.optim.Adam(net.parameters(), lr=0.0)
        if adam:
            for p in trained:
                p.grad = p.detach().clone()
            optimizer.step()
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(1.125 if p.requires_grad else 1.0)
        state = {
            "optimizer": optimizer.state_dict(),
            "model": net.state_dict(),
            "ema": {"decay": 0.999, "num_updates": 1234, "shadow_params": average},
            "step": 1234,
        }
        torch.save(state, HERE / f"{case}.pth", _use_new_zipfile_serialization=new)


def module(weights: dict[str, torch.Tensor]) -> nn.Module:
    """A module whose parameters have these dotted names, in this order."""
    root = nn.Module()
    root.register_buffer("sigmas", torch.linspace(50.0, 0.01, 1000))
    for name, weight in weights.items():
        *path, leaf = str(name).split(".")
        owner = root
        for part in path:
            if not hasattr(owner, part):
                owner.add_module(part, nn.Module())
            owner = getattr(owner, part)
        owner.register_parameter(leaf, nn.Parameter(weight, requires_grad=name != "all_modules.0.W"))
    return root


if __name__ == "__main__":
    main()
