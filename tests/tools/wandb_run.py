"""wandb_run.py DIR COMMAND...: runs a command that writes TensorBoard files into DIR (sgrun train ... -o DIR) and hands
all that they say to a W&B run: online, or with WANDB_MODE=offline into ./wandb for `wandb sync`. Needs wandb."""
import os, subprocess, sys
import wandb

directory, command = sys.argv[1], sys.argv[2:]
run = wandb.init(project=os.environ.get("WANDB_PROJECT", "sgrun"))
# W&B follows a directory from here on; it takes files that this host makes after the start of the run.
run._tensorboard_callback(directory, save=True, root_logdir=directory)
status = subprocess.call(command)
run.finish(exit_code=status)
sys.exit(status)
