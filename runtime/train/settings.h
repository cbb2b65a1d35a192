// Settings: everything a training run can be told, with defaults, ranges and one line of explanation each.
//
// They come from the `train` block of a model, then from the command line; unknown keys and bad values are refused.
#ifndef SG_TRAIN_SETTINGS_H
#define SG_TRAIN_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/text.h"

enum { SETTINGS_MAX_RULES = 64, SETTINGS_NAME = 96 };

// What holds for the parameters whose names fit a pattern: they stand in order, the last that fits wins.
typedef enum TrainRuleKind { TRAIN_FREEZE, TRAIN_TUNE, TRAIN_RATE, TRAIN_DECAY, TRAIN_RULES } TrainRuleKind;
typedef struct TrainRule {
  TrainRuleKind kind;
  char pattern[SETTINGS_NAME]; // as in a shell
  double factor;               // RATE: on the learning rate; DECAY: on the weight decay
} TrainRule;
// "freeze", "tune", "rate", "decay".
const char *train_rule_name(TrainRuleKind kind);

typedef struct TrainSettings {
  double batch, epochs, seed;                // whole numbers; batch is the global batch
  double accumulate;                         // parts that a batch is run in
  double bootstrap;                          // 0, or which bootstrap sample
  double patience, collapse_patience;        // in validations, 0 = off
  double ema;                                // decay, 0 = off
  double height, width;                      // of the network's input
  double rooms, validation_rooms;            // synthetic rooms in an epoch, and to validate (or test) on
  double rooms_seed;                         // which rooms
  char augment[SETTINGS_NAME];               // none, flip, nyu
  char optimizer[SETTINGS_NAME];             // adamw
  double lr, weight_decay, beta2, eps, clip; // clip: global norm, 0 = none
  char schedule[SETTINGS_NAME];              // constant, one_cycle, one_cycle_torch
  double warmup, div, final_div, beta1_low, beta1_high;
  TrainRule rules[SETTINGS_MAX_RULES];
  int n_rules;
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
// reason goes to `why`. settings_set_text takes the text of a number or a name, as the command line has it, and the
// rules: "freeze" or "tune" with a pattern, "rate" or "decay" with PATTERN=FACTOR.
bool settings_set_number(TrainSettings *settings, const char *key, double value, Text *why);
bool settings_set_text(TrainSettings *settings, const char *key, const char *value, Text *why);
// Adds a rule; `factor` is that of "rate" and "decay".
bool settings_add_rule(TrainSettings *settings, const char *key, const char *pattern, double factor, Text *why);

// The table of all settings in Markdown, for docs/training.md.
void settings_document(Text *out);

// All of them as one line of JSON: equal settings give equal text.
void settings_format(const TrainSettings *settings, Text *out);
// Reads them back, over what `out` holds; false where a value is not allowed or the text is not such a line.
bool settings_parse(const char *json, TrainSettings *out);

#endif
