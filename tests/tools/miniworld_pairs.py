"""Renders indoor pictures with their depth in MiniWorld, without a display: miniworld_pairs.py DIR COUNT

Writes DIR/rgb/NAME.png and DIR/depth/NAME.png: 16-bit millimetres, 0 beyond 60 m, no scale declared.
"""
import os
import sys

import pyglet

pyglet.options["headless"] = True
import gymnasium
import miniworld  # noqa: F401, registers the worlds
import numpy as np
from PIL import Image

root, count = sys.argv[1], int(sys.argv[2])
os.makedirs(f"{root}/rgb", exist_ok=True)
os.makedirs(f"{root}/depth", exist_ok=True)
worlds = ["FourRooms", "RoomObjects", "ThreeRooms", "Hallway"]
for k, world in enumerate(worlds):
    env = gymnasium.make(f"MiniWorld-{world}-v0", obs_width=320, obs_height=240, domain_rand=True)
    for i in range(k, count, len(worlds)):
        picture, _ = env.reset(seed=100 + i)
        inner = env.unwrapped
        metres = inner.render_depth(inner.obs_fb)[:, :, 0]
        picture = inner.render_obs(inner.obs_fb)
        values = np.where(metres < 60, np.round(1000 * metres), 0).astype(np.uint16)
        Image.fromarray(picture).save(f"{root}/rgb/{world}_{i:04d}.png")
        Image.fromarray(values).save(f"{root}/depth/{world}_{i:04d}.png")
    env.close()
