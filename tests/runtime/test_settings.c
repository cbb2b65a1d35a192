// Settings: the table, what is refused, rules, the JSON form, and the reference that lists them.
#include "runtime/base/file.h"
#include "runtime/train/schedule.h"
#include "runtime/train/settings.h"
#include "tests/check.h"

static void expect_refused(bool is_ok, Text *why, const char *part) {
  CHECK(!is_ok && strstr(text_get(why), part), "refused with '%s', not '%s'", part, text_get(why));
  text_clear(why);
}

static void test_values(void) {
  TrainSettings settings = settings_default();
  Text why = {0};
  CHECK(settings.batch == 8 && settings.accumulate == 1 && settings.ema == 0 && settings.collapse_patience == 3,
        "defaults");
  CHECK(settings_set_number(&settings, "lr", 0.5, &why) && settings.lr == 0.5, "the short name of optimizer.lr");
  CHECK(settings_set_text(&settings, "ema", "0.99", &why) && settings.ema == 0.99, "a number from text");
  CHECK(settings_set_text(&settings, "schedule", "constant", &why), "a choice");
  expect_refused(settings_set_number(&settings, "patienc", 3, &why), &why, "did you mean 'patience'");
  expect_refused(settings_set_number(&settings, "patience", 2.5, &why), &why, "whole number");
  expect_refused(settings_set_text(&settings, "accumulate", "0", &why), &why, "from 1");
  expect_refused(settings_set_text(&settings, "ema", "much", &why), &why, "is a number");
  expect_refused(settings_set_text(&settings, "augment", "fli", &why), &why, "none|flip|nyu");
  expect_refused(settings_set_number(&settings, "augment", 1, &why), &why, "is one of");
  text_free(&why);
}

static void test_rules(void) {
  TrainSettings settings = settings_default();
  Text why = {0};
  CHECK(settings_set_text(&settings, "freeze", "encoder.*", &why), "freeze");
  CHECK(settings_add_rule(&settings, "tune", "encoder.9.*", 1, &why), "tune");
  CHECK(settings_set_text(&settings, "rate", "a=b=0.5", &why), "a pattern with '='");
  CHECK(settings_set_text(&settings, "decay", "*.bias=0", &why), "decay");
  CHECK(settings.n_rules == 4 && settings.rules[2].factor == 0.5, "four rules");
  CHECK_TEXT(settings.rules[2].pattern, "a=b", "the last '=' counts");
  expect_refused(settings_set_text(&settings, "rate", "encoder.*", &why), &why, "PATTERN=FACTOR");
  expect_refused(settings_set_text(&settings, "rate", "encoder.*=fast", &why), &why, "PATTERN=FACTOR");
  expect_refused(settings_set_text(&settings, "decay", "encoder.*=-1", &why), &why, "factor from 0");
  expect_refused(settings_set_text(&settings, "freeze", "", &why), &why, "a pattern");
  char longest[SETTINGS_NAME + 1] = "";
  memset(longest, 'x', SETTINGS_NAME);
  expect_refused(settings_set_text(&settings, "freeze", longest, &why), &why, "at most");
  while (settings.n_rules < SETTINGS_MAX_RULES) CHECK(settings_set_text(&settings, "tune", "*", &why), "more rules");
  expect_refused(settings_set_text(&settings, "tune", "*", &why), &why, "at most");
  text_free(&why);
}

// Equal settings give equal text, which reads back to them.
static void test_json(void) {
  TrainSettings settings = settings_default(), back = settings_default();
  Text why = {0}, text = {0}, again = {0};
  CHECK(settings_set_number(&settings, "lr", 1.0 / 3, &why) && settings_set_text(&settings, "augment", "nyu", &why) &&
            settings_set_text(&settings, "rate", "a \"quoted\" name=0.1", &why) &&
            settings_set_text(&settings, "freeze", "b.*", &why) && settings_set_number(&settings, "patience", 7, &why),
        "%s", text_get(&why));
  settings_format(&settings, &text);
  CHECK(settings_set_text(&back, "freeze", "gone", &why), "a rule that the text does not have");
  CHECK(settings_parse(text_get(&text), &back), "reads back");
  settings_format(&back, &again);
  CHECK_TEXT(text_get(&again), text_get(&text), "the same text");
  CHECK(back.lr == 1.0 / 3 && back.n_rules == 2, "every bit of a number");
  static const char *const bad[] = {"",
                                    "[]",
                                    "{\"batch\":0}",
                                    "{\"unknown\":1}",
                                    "{\"batch\":[1]}",
                                    "{\"rules\":[[\"x\",\"y\"]]}",
                                    "{\"rules\":[[\"rate\"]]}",
                                    "{\"batch\":8"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CHECK(!settings_parse(bad[i], &back), "'%s' is refused", bad[i]);
  text_free(&why);
  text_free(&text);
  text_free(&again);
}

#define DOCUMENT "docs/training.md"
#define FROM     "<!-- settings: generated from the table of settings -->\n"
#define TO       "<!-- end of settings -->\n"

// BLESS=1 rewrites the part between the marks.
static void test_document(void) {
  Text text = {0}, table = {0}, whole = {0};
  Status status = file_read(DOCUMENT, &text);
  CHECK(!status, "%s", status_message(status));
  char *from = status ? NULL : strstr(text.data, FROM), *to = from ? strstr(from, TO) : NULL;
  CHECK(from && to, DOCUMENT " has the marks of the settings");
  if (from && to) {
    settings_document(&table);
    text_write(&whole, text.data, (size_t)(from - text.data));
    text_printf(&whole, "%s\n%s\n%s", FROM, text_get(&table), to);
    if (getenv("BLESS")) CHECK(!file_write(DOCUMENT, text_get(&whole), whole.size), "write " DOCUMENT);
    else CHECK_TEXT(text_get(&text), text_get(&whole), DOCUMENT " lists the settings");
  }
  // what is no row of the table
  static const char *const words[] = {"freeze", "tune", "rate", "decay", "--time", "--resume", "lr-find", "replay"};
  for (size_t i = 0; i < sizeof words / sizeof *words && !status; i++)
    CHECK(strstr(text_get(&text), words[i]), DOCUMENT " speaks of %s", words[i]);
  status_free(status);
  text_free(&text);
  text_free(&table);
  text_free(&whole);
}

// The figures of both forms of the one-cycle schedule that docs/training.md states.
static void test_schedules(void) {
  Schedule schedule = schedule_one_cycle(1, 20200);
  const double steps[] = {0, 6059, 20199}, slides[] = {1 / 25.0, 1, 1 / 100.0}, author[] = {1 / 25.0, 1, 1 / 2500.0};
  for (int i = 0; i < 3; i++) {
    double lr, beta1;
    schedule.kind = SCHEDULE_ONE_CYCLE;
    schedule_at(&schedule, (int64_t)steps[i], &lr, &beta1);
    CHECK_NEAR(lr, slides[i], 1e-9, "slides, step %g", steps[i]);
    CHECK_NEAR(beta1, i == 1 ? 0.85 : 0.95, 1e-9, "beta1, step %g", steps[i]);
    schedule.kind = SCHEDULE_ONE_CYCLE_TORCH;
    schedule_at(&schedule, (int64_t)steps[i], &lr, &beta1);
    CHECK_NEAR(lr, author[i], 1e-9, "PyTorch, step %g", steps[i]);
  }
}

int main(void) {
  test_values();
  test_rules();
  test_json();
  test_schedules();
  test_document();
  return check_report("settings");
}
