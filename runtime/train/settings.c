// Settings: the table of what a training run can be told.
#include "runtime/train/settings.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/strmap.h"

typedef struct Row {
  SettingInfo info;
  size_t offset;
  double number; // defaults
  const char *text;
  bool is_whole;
} Row;

#define WHOLE(key, field, fallback, least, most, doc)                                                                  \
  { {key, doc, false, least, most, NULL}, offsetof(TrainSettings, field), fallback, NULL, true }
#define NUMBER(key, field, fallback, least, most, doc)                                                                 \
  { {key, doc, false, least, most, NULL}, offsetof(TrainSettings, field), fallback, NULL, false }
#define CHOICE(key, field, fallback, choices, doc)                                                                     \
  { {key, doc, true, 0, 0, choices}, offsetof(TrainSettings, field), 0, fallback, false }

static const Row rows[] = {
    WHOLE("batch", batch, 8, 1, 4096, "samples a step, over all devices"),
    WHOLE("epochs", epochs, 10, 1, 1e6, "passes over the training data"),
    WHOLE("seed", seed, 1, 0, 4294967295.0, "of initial weights, order and augmentation"),
    WHOLE("height", height, 416, 32, 8192, "of the network's input, pixels"),
    WHOLE("width", width, 544, 32, 8192, "of the network's input, pixels"),
    WHOLE("rooms", rooms, 1024, 1, 1e8, "synthetic rooms in an epoch, where no data is given"),
    WHOLE("validation_rooms", validation_rooms, 64, 1, 1e6, "synthetic rooms to validate on"),
    CHOICE("augment", augment, "flip", "none|flip|nyu|nyu_author", "how training samples are varied"),
    CHOICE("optimizer", optimizer, "adamw", "adamw", "the rule of the step"),
    NUMBER("optimizer.lr", lr, 1e-3, 0, 1e3, "learning rate (the peak of its schedule)"),
    NUMBER("optimizer.weight_decay", weight_decay, 1e-4, 0, 1e3, "decoupled weight decay"),
    NUMBER("optimizer.beta2", beta2, 0.999, 0, 0.999999, "decay of the squared gradients"),
    NUMBER("optimizer.eps", eps, 1e-8, 1e-30, 1, "added to the root of the squared gradients"),
    NUMBER("optimizer.clip", clip, 0.1, 0, 1e9, "largest global gradient norm; 0 = no clipping"),
    CHOICE("schedule", schedule, "one_cycle", "constant|one_cycle|one_cycle_torch", "how the learning rate runs"),
    NUMBER("schedule.warmup", warmup, 0.3, 0, 0.99, "fraction of the steps up to the peak"),
    NUMBER("schedule.div", div, 25, 1, 1e9, "the first rate is the peak over this"),
    NUMBER("schedule.final_div", final_div, 100, 1, 1e9, "and the last one over this"),
    NUMBER("schedule.beta1_low", beta1_low, 0.85, 0, 0.9999, "beta1 at the peak of the rate"),
    NUMBER("schedule.beta1_high", beta1_high, 0.95, 0, 0.9999, "beta1 at both ends"),
};
enum { N_ROWS = sizeof rows / sizeof *rows };

int settings_count(void) { return N_ROWS; }
const SettingInfo *settings_info(int i) { return &rows[i].info; }

static double *number_at(const Row *row, const TrainSettings *settings) {
  return (double *)((char *)(uintptr_t)settings + row->offset);
}
static char *text_at(const Row *row, const TrainSettings *settings) {
  return (char *)(uintptr_t)settings + row->offset;
}

TrainSettings settings_default(void) {
  TrainSettings settings = {0};
  for (int i = 0; i < N_ROWS; i++) {
    if (rows[i].info.is_text) snprintf(text_at(&rows[i], &settings), SETTINGS_NAME, "%s", rows[i].text);
    else *number_at(&rows[i], &settings) = rows[i].number;
  }
  return settings;
}

// "optimizer.lr" is also understood as "lr".
static const Row *find_row(const char *key, Text *why) {
  const char *names[2 * N_ROWS];
  int n = 0;
  for (int i = 0; i < N_ROWS; i++) {
    const char *dot = strchr(rows[i].info.key, '.');
    if (!strcmp(rows[i].info.key, key) || (dot && !strcmp(dot + 1, key))) return &rows[i];
    names[n++] = rows[i].info.key;
    if (dot) names[n++] = dot + 1;
  }
  const char *near = nearest_name(key, names, n);
  text_printf(why, "unknown setting '%s'", key);
  if (near) text_printf(why, "; did you mean '%s'?", near);
  return NULL;
}

bool settings_set_number(TrainSettings *settings, const char *key, double value, Text *why) {
  const Row *row = find_row(key, why);
  if (!row) return false;
  if (row->info.is_text) {
    text_printf(why, "setting '%s' is one of %s", row->info.key, row->info.choices);
    return false;
  }
  if (!(value >= row->info.least && value <= row->info.most) || (row->is_whole && value != floor(value))) {
    text_printf(why, "setting '%s' is a%s number from %g to %g, not %g", row->info.key, row->is_whole ? " whole" : "",
                row->info.least, row->info.most, value);
    return false;
  }
  *number_at(row, settings) = value;
  return true;
}

// Whether `value` is one of "a|b|c".
static bool is_choice(const char *choices, const char *value) {
  size_t length = strlen(value);
  for (const char *at = choices; length && *at;) {
    size_t item = strcspn(at, "|");
    if (item == length && !strncmp(at, value, item)) return true;
    at += item + (at[item] != 0);
  }
  return false;
}

bool settings_set_text(TrainSettings *settings, const char *key, const char *value, Text *why) {
  if (!strcmp(key, "freeze")) {
    if (settings->n_frozen == SETTINGS_MAX_FROZEN || strlen(value) >= SETTINGS_NAME) {
      text_printf(why, "more than %d patterns to freeze, or one of %d letters", SETTINGS_MAX_FROZEN, SETTINGS_NAME);
      return false;
    }
    snprintf(settings->frozen[settings->n_frozen++], SETTINGS_NAME, "%s", value);
    return true;
  }
  const Row *row = find_row(key, why);
  if (!row) return false;
  if (!row->info.is_text) {
    char *end;
    double number = strtod(value, &end);
    if (end != value && !*end) return settings_set_number(settings, key, number, why);
    text_printf(why, "setting '%s' is a number, not '%s'", row->info.key, value);
    return false;
  }
  if (!is_choice(row->info.choices, value)) {
    text_printf(why, "setting '%s' is one of %s, not '%s'", row->info.key, row->info.choices, value);
    return false;
  }
  snprintf(text_at(row, settings), SETTINGS_NAME, "%s", value);
  return true;
}

void settings_format(const TrainSettings *settings, Text *out) {
  text_put(out, "{");
  for (int i = 0; i < N_ROWS; i++) {
    text_printf(out, "%s\"%s\":", i ? "," : "", rows[i].info.key);
    if (rows[i].info.is_text) text_put_json(out, text_at(&rows[i], settings));
    else text_printf(out, "%.17g", *number_at(&rows[i], settings));
  }
  text_put(out, ",\"freeze\":[");
  for (int i = 0; i < settings->n_frozen; i++) {
    if (i) text_put(out, ",");
    text_put_json(out, settings->frozen[i]);
  }
  text_put(out, "]}");
}
