// sgrun_training: what the commands that run training steps share: a model, its settings, data and programs.
#ifndef SG_TOOLS_SGRUN_TRAINING_H
#define SG_TOOLS_SGRUN_TRAINING_H

#include "runtime/train/trainer.h"
#include "tools/sgrun.h"
#include "tools/sgrun_devices.h"

// Options that say what is trained and how; with DATA_OPTIONS, DEVICE_OPTIONS, MODEL_OPTIONS and COMPILE_OPTIONS.
#define TRAINING_OPTIONS                                                                                               \
  {"set", 's', "KEY=VALUE", "a training setting, such as lr=1e-3; may be repeated"},                                   \
      {"batch", 'b', "N", "samples a step"}, {"epochs", 'e', "N", "passes over the data"},                             \
      {"seed", 0, "N", "of initial weights, order and augmentation"}, {"height", 0, "N", "of the network's input"},    \
      {"width", 0, "N", "of the network's input"},                                                                     \
      {"freeze", 0, "PATTERN", "parameters that are not trained, such as 'encoder.*'; may be repeated"},               \
      {"tune", 0, "PATTERN", "parameters that are trained although they were frozen; may be repeated"},                \
      {"rate", 0, "PATTERN=F", "F times the learning rate for these parameters; may be repeated"}, {                   \
    "decay", 0, "PATTERN=F", "F times the weight decay for these parameters; may be repeated"                          \
  }

typedef struct Training {
  Model model;
  TrainSettings settings;
  Devices devices;
  Dataset *training, *validation;
  Loader *training_loader, *validation_loader;
  int64_t batch;                         // samples of all devices that one run of the step sees
  Runner *steps, *evaluations;           // of each device
  Exec **step_execs, **evaluation_execs; // the same, as a team takes them
} Training;

// Model and settings of the command's operand; then devices; then data, programs and loaders, those of the validation
// where they are wanted. All say what is wrong and return the code; training_close, which is told the command's, ends
// it in every case.
ExitCode training_open(const Cli *cli, const char *path, Training *out);
ExitCode training_devices(const Cli *cli, Training *training);
ExitCode training_load(const Cli *cli, Training *training, bool with_validation);
void training_close(Training *training, ExitCode code);

// The training step as a graph, built anew.
ExitCode training_step_graph(const Cli *cli, Training *training, Graph **out);

// One line that says all that the bits of the result depend on; in the model's arena.
const char *training_configuration(const Cli *cli, const Training *training);

// The schedule of the settings over so many steps.
Schedule training_schedule(const TrainSettings *settings, int64_t steps);

#endif
