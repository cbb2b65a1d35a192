// sgrun study: base learners, everything that can be made of them, and the comparison of it all.
#include "tools/sgrun_study.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "tools/common_interrupt.h"

// ---- what the study is ------------------------------------------------------------------------------------------

// Until this process ends; `path` is a file there.
static ExitCode lock_directory(Study *study, const char *path) {
  study->lock = open(path, O_RDONLY | O_CLOEXEC);
  if (study->lock >= 0 && !flock(study->lock, LOCK_EX | LOCK_NB)) return EXIT_DONE;
  if (study->lock >= 0 && errno == EWOULDBLOCK)
    return cli_fail(study->cli, EXIT_DATA, "another sgrun works on the study in %s", study->directory);
  return cli_fail(study->cli, EXIT_DATA, "cannot lock '%s': %s", path, strerror(errno));
}

// Everything that the results depend on, but for the number of repetitions: a study goes on only as the same.
static ExitCode agree(Study *study) {
  Text text = {0}, old = {0};
  const char *bundle = model_bundle_json(&study->text);
  char hash[HASH_TEXT];
  hash_text(hash_bytes(bundle, strlen(bundle)), hash);
  text_printf(&text, "{\"schema\":\"sgrun.study.definition/1\",\"study\":\"%s\",\"text\":\"%s\",\"seed\":%lld",
              study->lang->name, hash, (long long)study->seed);
  static const char *const options[] = {"data", "data-val", "data-root", "depth-scale", "encoder",
                                        "gap",  "set",      "protocol",  NULL};
  for (int o = 0; options[o]; o++)
    for (int i = 0; cli_option_at(study->cli, options[o], i); i++) {
      text_printf(&text, ",\"%s%d\":", options[o], i);
      text_put_json(&text, cli_option_at(study->cli, options[o], i));
    }
  text_printf(&text, ",\"bagging\":%s}\n", cli_flag(study->cli, "bagging", false) ? "true" : "false");
  const char *path = arena_printf(study->text.arena, "%s/definition.json", study->directory);
  ExitCode code = EXIT_DONE;
  if (file_exists(path)) {
    code = cli_status(study->cli, file_read(path, &old));
    if (!code && strcmp(text_get(&old), text_get(&text)))
      code = cli_fail(study->cli, EXIT_USAGE,
                      "%s holds another study: its text or options differ (see definition.json); choose another --out",
                      study->directory);
  } else {
    code = cli_status(study->cli, file_make_directory(study->directory));
    if (!code) code = cli_status(study->cli, file_write(path, text.data, text.size));
  }
  text_free(&text);
  text_free(&old);
  return code ? code : lock_directory(study, path);
}

static ExitCode read_gap(Study *study) {
  const char *gap = cli_option(study->cli, "gap");
  study->gap_part = -1;
  if (!gap) return EXIT_DONE;
  const char *equals = strchr(gap, '=');
  study->gap_share = equals ? atof(equals + 1) : 0;
  for (int i = 0; equals && i < study->lang->n_bases; i++) {
    const char *base = study->lang->parts[i].model;
    if (strlen(base) == (size_t)(equals - gap) && !strncmp(base, gap, strlen(base))) study->gap_part = i;
  }
  if (study->gap_part >= 0 && study->gap_share > 0 && study->gap_share <= 1) return EXIT_DONE;
  return cli_fail(study->cli, EXIT_USAGE, "option '--gap' needs BASE=SHARE, such as %s=0.25, not '%s'",
                  study->lang->parts[0].model, gap);
}

static ExitCode open_study(const Cli *cli, Study *study) {
  const char *protocol = cli_option(cli, "protocol");
  *study = (Study){.cli = cli,
                   .protocol = protocol_find(protocol ? protocol : "full"),
                   .n_repeats = (int)cli_integer(cli, "repeat", 1, 1, 1000),
                   .seed = cli_integer(cli, "seed", 1, 0, 4000000000),
                   .lock = -1};
  if (!study->protocol) return cli_fail(cli, EXIT_USAGE, "there is no protocol '%s'", protocol);
  ExitCode code = model_open_text(cli, cli_operand(cli, 0), &study->text);
  if (code) return code;
  study->lang = lang_find_study(study->text.file, cli_option(cli, "name"), study->text.diag);
  if (!study->lang) {
    model_print_diag(&study->text);
    return EXIT_MODEL;
  }
  const char *out = cli_option(cli, "out");
  study->directory = out ? out : arena_printf(study->text.arena, "studies/%s", study->lang->name);
  code = read_gap(study);
  if (!code) code = study_describe(study);
  if (!code) code = sgrun_has_test(cli, &study->has_test);
  if (!code) code = agree(study);
  return code;
}

// ---- the report -------------------------------------------------------------------------------------------------

static const char *machine(const Study *study) {
  struct utsname name = {0};
  uname(&name);
  Device *device = NULL;
  int threads = sgrun_device(study->cli, &device) ? 0 : device_threads(device);
  device_close(device);
  const char *devices = cli_option(study->cli, "devices");
  return arena_printf(study->text.arena, "%s, %d threads%s%s", name.machine, threads, devices ? ", devices " : "",
                      devices ? devices : "");
}

static const char *command(const Study *study) {
  Text text = {0};
  text_printf(&text, "sgrun study %s", study->text.path);
  static const char *const options[] = {"data",   "data-val", "encoder", "gap",     "set", "protocol",
                                        "repeat", "seed",     "device",  "devices", NULL};
  for (int o = 0; options[o]; o++)
    for (int i = 0; cli_option_at(study->cli, options[o], i); i++)
      text_printf(&text, " --%s %s", options[o], cli_option_at(study->cli, options[o], i));
  if (cli_flag(study->cli, "bagging", false)) text_put(&text, " --bagging");
  const char *copy = arena_strdup(study->text.arena, text_get(&text));
  text_free(&text);
  return copy;
}

static void add_notes(const Study *study, StudyReport *report) {
  Arena *arena = study->text.arena;
  const TrainSettings *settings = &study->parts[0].settings;
  report->note[report->n_notes++] = arena_printf(
      arena, "pictures of %.0fx%.0f, batch %.0f, augmentation '%s', schedule '%s' (%s)", settings->height,
      settings->width, settings->batch, settings->augment, settings->schedule,
      strcmp(settings->schedule, "one_cycle") ? "as the name says" : "the slides' form: linear warm-up, then cosine");
  report->note[report->n_notes++] =
      "losses are the slides' scale-invariant logarithmic one and 0.1 times the weighted mean form of the bin distance "
      "where the model's arguments do not say otherwise";
  report->note[report->n_notes++] = "weights are those of the epoch with the least abs_rel on the validation pictures";
  if (cli_option(study->cli, "gap"))
    report->note[report->n_notes++] =
        arena_printf(arena, "a gap between base learners on purpose: %s of the epochs", cli_option(study->cli, "gap"));
  if (cli_flag(study->cli, "bagging", false))
    report->note[report->n_notes++] = "every base learner drew its training pictures with replacement";
  if (!study->has_test)
    report->note[report->n_notes++] = "the data names no test pictures: all figures are those of the validation set";
}

static ExitCode write_file(const Study *study, const char *name, const Text *text) {
  const char *path = arena_printf(study->text.arena, "%s/%s", study->directory, name);
  ExitCode code = cli_status(study->cli, file_write(path, text->data, text->size));
  if (!code) printf("%s\n", path);
  return code;
}

static ExitCode write_report(const Study *study) {
  const TrainSettings *settings = &study->parts[0].settings;
  const char *data = cli_option(study->cli, "data");
  StudyReport report = {.title = arena_printf(study->text.arena, "Study %s", study->lang->name),
                        .machine = machine(study),
                        .command = command(study)};
  report.data = data ? arena_printf(study->text.arena, "Data: %s.", data)
                     : arena_printf(study->text.arena,
                                    "Data: synthetic rooms, %.0f to train on, %.0f to validate and as many to test on.",
                                    settings->rooms, settings->validation_rooms);
  add_notes(study, &report);
  ExitCode code = study_collect(study, &report);
  if (!code) code = study_gallery(study, (int)cli_integer(study->cli, "gallery", 4, 0, 100), &report);
  static void (*const forms[])(const StudyReport *, Text *) = {study_html, study_markdown, study_json};
  static const char *const names[] = {"report.html", "report.md", "report.json"};
  for (int i = 0; i < 3 && !code; i++) {
    Text text = {0};
    forms[i](&report, &text);
    code = write_file(study, names[i], &text);
    text_free(&text);
  }
  study_gallery_free(&report);
  return code;
}

// ---- the command ------------------------------------------------------------------------------------------------

static ExitCode run_all(const Study *study) {
  for (int repeat = 0; repeat < study->n_repeats; repeat++)
    for (int i = 0; i < study->lang->n_parts; i++) {
      const StudyPart *part = &study->parts[i];
      cli_say(study->cli, "[%d/%d] %s%s", repeat * study->lang->n_parts + i + 1,
              study->n_repeats * study->lang->n_parts, part->lang->label,
              study->n_repeats > 1 ? arena_printf(study->text.arena, ", repetition %d", repeat + 1) : "");
      ExitCode code = study_run_part(study, i, repeat);
      if (code == EXIT_INTERRUPTED)
        return cli_fail(study->cli, code, "stopped; the same command goes on with %s", study->directory);
      if (code) return code;
      cli_say(study->cli, "  delta1 %.4f  abs_rel %.4f", study_figure(study, i, repeat, METRIC_DELTA1),
              study_figure(study, i, repeat, METRIC_ABS_REL));
    }
  return EXIT_DONE;
}

static ExitCode run(const Cli *cli) {
  Study study;
  ExitCode code = open_study(cli, &study);
  if (!code) {
    study.stop = interrupt_catch();
    code = run_all(&study);
  }
  if (!code) code = write_report(&study);
  if (study.lock >= 0) close(study.lock);
  model_close(&study.text);
  return code;
}

static const CliOption options[] = {
    {"out", 'o', "DIR", "where the study's files go (default studies/NAME); a study there goes on"},
    {"name", 0, "NAME", "the study in the file (default: the last one)"},
    {"protocol", 'p', "NAME", "by which everything is judged: full (default), nyu-eigen, nyu-eigen-flip or slides"},
    {"repeat", 0, "N", "train everything N times from other seeds: means and deviations (default 1)"},
    {"seed", 0, "N", "of the first repetition (default 1)"},
    {"bagging", 0, NULL, "each base learner draws its training pictures with replacement"},
    {"gap", 0, "BASE=SHARE", "train one base learner for a share of its epochs: does stacking mind?"},
    {"encoder", 0, "FILE", "pretrained weights of the encoders (.safetensors, .pth)"},
    {"gallery", 0, "N", "pictures in the report (default 4)"},
    {"set", 's', "KEY=VALUE", "a training setting of all parts, such as epochs=2; may be repeated"},
    {"include", 'I', "DIR", "search DIR for `use`; may be repeated"},
    DATA_OPTIONS,
    DEVICE_OPTIONS,
    DEVICES_OPTION,
    TARGET_OPTION,
    MEMORY_OPTION,
    CLI_COMMON};

const CliCommand sgrun_study = {"study",
                                "FILE.net",
                                "train base learners and stacks of them, and compare them",
                                "Does what the file's study block says: trains the base learners, then every variant "
                                "from them, judges all on test\n"
                                "pictures that no training saw and on the validation pictures, times them, and writes "
                                "report.html (one file: tables,\n"
                                "curves, differences with bootstrap intervals, weight maps, gallery), report.md and "
                                "report.json. Ctrl-C saves; the\n"
                                "same command goes on where it stopped.\n\n"
                                "  sgrun study models/study_rooms.net\n"
                                "  sgrun study models/study.net --data nyu --protocol slides --encoder ghostnet.pth",
                                options,
                                1,
                                1,
                                run};
