"""Pictures a second of our loader and of PyTorch's DataLoader, in alternating processes on the same files.

    bench_loader.py BUILD_DIR [--rounds 5] [--batches 12]

The data: 64 synthetic rooms of 640x480 as JPEG (quality 95) and 16-bit PNG. The work, in both: decode the pair, crop the
border, rotate, crop to 416x544, flip, vary gamma, brightness and colour, normalise, make batches of 8. The peer does it
as the public depth repositories do: Pillow for files and geometry, NumPy for the numbers.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

PEER = """
import json, os, random, sys, time
import numpy as np, torch
from PIL import Image
root, workers, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)

class Pairs(torch.utils.data.Dataset):
    names = sorted(name[:-4] for name in os.listdir(root + "/rgb"))
    def __len__(self): return 100 * len(self.names)
    def __getitem__(self, i):
        name = self.names[i % len(self.names)]
        image, depth = Image.open(f"{root}/rgb/{name}.jpg"), Image.open(f"{root}/depth/{name}.png")
        box = (43, 45, 608, 472)
        image, depth = image.crop(box), depth.crop(box)
        angle = random.uniform(-2.5, 2.5)
        image, depth = image.rotate(angle, resample=Image.BILINEAR), depth.rotate(angle, resample=Image.NEAREST)
        image, depth = np.asarray(image, np.float32) / 255, np.asarray(depth, np.float32) / 1000
        x, y = random.randint(0, image.shape[1] - 544), random.randint(0, image.shape[0] - 416)
        image, depth = image[y:y + 416, x:x + 544], depth[y:y + 416, x:x + 544]
        if random.random() < 0.5: image, depth = image[:, ::-1].copy(), depth[:, ::-1].copy()
        if random.random() < 0.5:
            image = image ** random.uniform(0.9, 1.1) * random.uniform(0.9, 1.1)
            image = np.clip(image * np.random.uniform(0.9, 1.1, 3).astype(np.float32), 0, 1)
        image = (image - MEAN) / STD
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(depth.copy())[None]

loader = iter(torch.utils.data.DataLoader(Pairs(), 8, shuffle=True, num_workers=workers, drop_last=True))
for _ in range(4): next(loader)
begin = time.perf_counter()
for _ in range(batches):
    rgb, depth = next(loader)
    assert rgb.shape == (8, 3, 416, 544) and depth.shape == (8, 1, 416, 544)
print(json.dumps({"pictures_per_second": 8 * batches / (time.perf_counter() - begin)}))
os._exit(0)
"""


def make_data(build):
    from PIL import Image
    root = f"{build}/bench_loader_data"
    if os.path.exists(f"{root}/complete"):
        return root
    subprocess.run([f"{build}/sgrun", "data", "synth", f"{root}/png", "-n", "64", "--width", "640", "--height", "480",
                    "-q"], check=True, stdout=subprocess.DEVNULL)
    for folder in ("rgb", "depth"):
        os.makedirs(f"{root}/{folder}", exist_ok=True)
    for name in sorted(os.listdir(f"{root}/png/rgb")):
        Image.open(f"{root}/png/rgb/{name}").convert("RGB").save(f"{root}/rgb/{name[:-4]}.jpg", quality=95)
        os.replace(f"{root}/png/depth/{name}", f"{root}/depth/{name}")
    open(f"{root}/complete", "w").close()
    return root


def rate(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["pictures_per_second"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=12)
    options = parser.parse_args()
    root = make_data(options.build)
    print("pictures/s (median of %d rounds), 640x480 JPEG + PNG to 416x544, augment nyu" % options.rounds)
    print("%-8s %10s %10s %8s   ratios of the rounds" % ("workers", "ours", "PyTorch", "ratio"))
    for workers in ("1", "2"):
        ours, peers = [], []
        for _ in range(options.rounds):
            ours.append(rate([f"{options.build}/bench_loader", root, workers, str(options.batches)]))
            peers.append(rate([sys.executable, "-c", PEER, root, workers, str(options.batches)]))
        ratios = [a / b for a, b in zip(ours, peers)]
        print("%-8s %10.1f %10.1f %8.2f   %s" % (workers, statistics.median(ours), statistics.median(peers),
                                                statistics.median(ratios), " ".join("%.2f" % r for r in sorted(ratios))))


if __name__ == "__main__":
    main()
