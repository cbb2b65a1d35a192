// Settings: everything a training run can be told, with defaults, ranges and one line of explanation each.
//
// They come from the `train` block of a model, then from the command line; unknown keys and bad values are refused.
#ifndef SG_TRAIN_SETTINGS_H
#define SG_TRAIN_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/text.h"

enum { SETTINGS_MAX_FROZEN = 32, SETTINGS_NAME = 64 };

typedef struct TrainSettings {
  double batch, epochs, seed;                // whole numbers; batch is the global batch
  double height, width;                      // of the network's input
  double rooms, validation_rooms;            // synthetic rooms in an epoch, and to validate (or test) on
  double rooms_seed;                         // which rooms
  char augment[SETTINGS_NAME];               // none, flip, nyu
  char optimizer[SETTINGS_NAME];             // adamw
  double lr, weight_decay, beta2, eps, clip; // clip: global norm, 0 = none
  char schedule[SETTINGS_NAME];              // constant, one_cycle, one_cycle_torch
  double warmup, div, final_div, beta1_low, beta1_high;
  char frozen[SETTINGS_MAX_FROZEN][SETTINGS_NAME]; // glob patterns of parameter names
  int n_frozen;
} TrainSettings;

TrainSettings settings_default(void);

// One entry of the table, to list them.
typedef struct SettingInfo {
  const char *key, *doc;
  bool is_text;
  double least, most;
  const char *choices; // of a text: "none|flip|nyu", or NULL
} SettingInfo;
int settings_count(void);
const SettingInfo *settings_info(int i);

// Sets one key. False for an unknown key (with the nearest one named), a wrong kind or a value out of range: the
// reason goes to `why`. settings_set_text takes the text of a number or a name, as the command line has it.
bool settings_set_number(TrainSettings *settings, const char *key, double value, Text *why);
bool settings_set_text(TrainSettings *settings, const char *key, const char *value, Text *why);

// All of them as one line of JSON: equal settings give equal text.
void settings_format(const TrainSettings *settings, Text *out);

#endif
