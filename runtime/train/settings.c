// Settings: the table of what a training run can be told.
#include "runtime/train/settings.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"
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
    WHOLE("batch", batch, 8, 1, 4096, "samples a step, over all devices and parts"),
    WHOLE("accumulate", accumulate, 1, 1, 4096, "equal parts that a batch is run in, to need less memory"),
    WHOLE("epochs", epochs, 10, 1, 1e6, "passes over the training data"),
    WHOLE("seed", seed, 1, 0, 4294967295.0, "of initial weights, order and augmentation"),
    WHOLE("height", height, 416, 32, 8192, "of the network's input, pixels"),
    WHOLE("width", width, 544, 32, 8192, "of the network's input, pixels"),
    WHOLE("rooms", rooms, 1024, 1, 1e8, "synthetic rooms in an epoch, where no data is given"),
    WHOLE("validation_rooms", validation_rooms, 64, 1, 1e6, "synthetic rooms to validate on, or to test on"),
    WHOLE("rooms_seed", rooms_seed, 1, 0, 4294967295.0, "which synthetic rooms; the same for every seed"),
    WHOLE("bootstrap", bootstrap, 0, 0, 1e6,
          "from 1 on: training samples are drawn with replacement, by this number and the seed"),
    CHOICE("augment", augment, "flip", "none|flip|nyu|nyu_author", "how training samples are varied"),
    CHOICE("optimizer", optimizer, "adamw", "adamw", "the rule of the step"),
    NUMBER("optimizer.lr", lr, 1e-3, 0, 1e3, "learning rate (the peak of its schedule)"),
    NUMBER("optimizer.weight_decay", weight_decay, 1e-4, 0, 1e3, "decoupled weight decay"),
    NUMBER("optimizer.beta2", beta2, 0.999, 0, 0.999999, "decay of the squared gradients"),
    NUMBER("optimizer.eps", eps, 1e-8, 1e-30, 1, "added to the root of the squared gradients"),
    NUMBER("optimizer.clip", clip, 0.1, 0, 1e9, "largest global gradient norm; 0 = no clipping"),
    NUMBER("ema", ema, 0, 0, 0.999999, "decay of the moving average of the parameters that is validated; 0 = none"),
    WHOLE("patience", patience, 0, 0, 1e6, "validations without a better abs_rel that end the run; 0 = none"),
    WHOLE("collapse_patience", collapse_patience, 3, 0, 1e6, "validations of constant depth that end it; 0 = none"),
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

const char *train_rule_name(TrainRuleKind kind) {
  static const char *const names[TRAIN_RULES] = {"freeze", "tune", "rate", "decay"};
  return names[kind];
}

// TRAIN_RULES for another key.
static TrainRuleKind find_rule(const char *key) {
  TrainRuleKind kind = 0;
  while (kind < TRAIN_RULES && strcmp(train_rule_name(kind), key)) kind++;
  return kind;
}

static bool has_factor(TrainRuleKind kind) { return kind == TRAIN_RATE || kind == TRAIN_DECAY; }

bool settings_add_rule(TrainSettings *settings, const char *key, const char *pattern, double factor, Text *why) {
  TrainRuleKind kind = find_rule(key);
  if (kind == TRAIN_RULES) BUG("'%s' is no rule", key);
  if (!has_factor(kind)) factor = 1;
  if (settings->n_rules == SETTINGS_MAX_RULES || strlen(pattern) >= SETTINGS_NAME) {
    text_printf(why, "'%s %s': at most %d rules of patterns of %d letters", key, pattern, SETTINGS_MAX_RULES,
                SETTINGS_NAME - 1);
    return false;
  }
  if (!*pattern || !(factor >= 0 && factor <= 1e6)) {
    text_printf(why, "'%s' takes a pattern of parameter names%s", key,
                has_factor(kind) ? " and a factor from 0 to 1e6" : "");
    return false;
  }
  TrainRule *rule = &settings->rules[settings->n_rules++];
  *rule = (TrainRule){.kind = kind, .factor = factor};
  snprintf(rule->pattern, SETTINGS_NAME, "%s", pattern);
  return true;
}

// "PATTERN" or "PATTERN=FACTOR".
static bool add_rule_text(TrainSettings *settings, const char *key, const char *value, Text *why) {
  if (!has_factor(find_rule(key))) return settings_add_rule(settings, key, value, 1, why);
  const char *equals = strrchr(value, '=');
  char *end = NULL;
  double factor = equals ? strtod(equals + 1, &end) : 0;
  if (!equals || end == equals + 1 || *end) {
    text_printf(why, "'%s' is given as PATTERN=FACTOR, such as 'encoder.*=0.1', not '%s'", key, value);
    return false;
  }
  Text pattern = {0};
  text_write(&pattern, value, (size_t)(equals - value));
  bool is_ok = settings_add_rule(settings, key, text_get(&pattern), factor, why);
  text_free(&pattern);
  return is_ok;
}

bool settings_set_text(TrainSettings *settings, const char *key, const char *value, Text *why) {
  if (find_rule(key) != TRAIN_RULES) return add_rule_text(settings, key, value, why);
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

void settings_document(Text *out) {
  text_put(out, "| setting | default | values | |\n|---|---|---|---|\n");
  for (int i = 0; i < N_ROWS; i++) {
    const Row *row = &rows[i];
    text_printf(out, "| `%s` | ", row->info.key);
    if (row->info.is_text) text_printf(out, "%s | ", row->text);
    else text_printf(out, "%g | ", row->number);
    for (const char *at = row->info.choices; at && *at; at++) {
      if (*at == '|') text_put(out, ", ");
      else text_write(out, at, 1);
    }
    if (!row->info.is_text)
      text_printf(out, "%s%.10g .. %.10g", row->is_whole ? "whole, " : "", row->info.least, row->info.most);
    text_printf(out, " | %s |\n", row->info.doc);
  }
}

void settings_format(const TrainSettings *settings, Text *out) {
  text_put(out, "{");
  for (int i = 0; i < N_ROWS; i++) {
    text_printf(out, "%s\"%s\":", i ? "," : "", rows[i].info.key);
    if (rows[i].info.is_text) text_put_json(out, text_at(&rows[i], settings));
    else text_printf(out, "%.17g", *number_at(&rows[i], settings));
  }
  text_put(out, ",\"rules\":[");
  for (int i = 0; i < settings->n_rules; i++) {
    const TrainRule *rule = &settings->rules[i];
    text_printf(out, "%s[\"%s\",", i ? "," : "", train_rule_name(rule->kind));
    text_put_json(out, rule->pattern);
    text_printf(out, has_factor(rule->kind) ? ",%.17g]" : "]", rule->factor);
  }
  text_put(out, "]}");
}

static bool parse_rules(const cJSON *rules, TrainSettings *out, Text *why) {
  const cJSON *item;
  out->n_rules = 0;
  cJSON_ArrayForEach(item, rules) {
    const cJSON *key = cJSON_GetArrayItem(item, 0), *pattern = cJSON_GetArrayItem(item, 1),
                *factor = cJSON_GetArrayItem(item, 2);
    if (!cJSON_IsString(key) || !cJSON_IsString(pattern) || find_rule(key->valuestring) == TRAIN_RULES) return false;
    double value = cJSON_IsNumber(factor) ? factor->valuedouble : 1;
    if (!settings_add_rule(out, key->valuestring, pattern->valuestring, value, why)) return false;
  }
  return true;
}

bool settings_parse(const char *json, TrainSettings *out) {
  cJSON *root = cJSON_Parse(json);
  const cJSON *item;
  Text why = {0};
  bool is_ok = cJSON_IsObject(root);
  cJSON_ArrayForEach(item, root) {
    if (!is_ok) break;
    if (cJSON_IsNumber(item)) is_ok = settings_set_number(out, item->string, item->valuedouble, &why);
    else if (cJSON_IsString(item)) is_ok = settings_set_text(out, item->string, item->valuestring, &why);
    else is_ok = !strcmp(item->string, "rules") && parse_rules(item, out, &why);
  }
  text_free(&why);
  cJSON_Delete(root);
  return is_ok;
}
