// sgrun_init: --init FILE and --init-prefix PREFIX: training that starts from given weights.
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/train/checkpoint.h"
#include "runtime/train/initial.h"
#include "tools/sgrun.h"

ExitCode sgrun_init_check(const Cli *cli) {
  ExitCode code = EXIT_DONE;
  for (int i = 0; !code && cli_option_at(cli, "init", i); i++) {
    WeightFile *file = NULL;
    code = cli_status(cli, weights_open(cli_option_at(cli, "init", i), &file));
    if (!code) code = cli_status(cli, checkpoint_verify(file));
    weights_close(file);
  }
  if (!code && cli_option(cli, "init-prefix") && !cli_option(cli, "init"))
    code = cli_fail(cli, EXIT_USAGE, "option '--init-prefix' needs '--init FILE'");
  return code;
}

ExitCode sgrun_init(const Cli *cli, Exec *exec) {
  ExitCode code = EXIT_DONE;
  for (int i = 0; !code && cli_option_at(cli, "init", i); i++) {
    WeightFile *file = NULL;
    Text report = {0};
    code = cli_status(cli, weights_open(cli_option_at(cli, "init", i), &file));
    if (!code) code = cli_status(cli, initial_weights(file, cli_option_at(cli, "init-prefix", i), exec, &report));
    if (!code) cli_say(cli, "%s", text_get(&report));
    text_free(&report);
    weights_close(file);
  }
  return code;
}

// What is in the file, whatever its place and container.
static Hash hash_content(const WeightFile *file) {
  Hash hash = {0};
  for (int i = 0; i < weights_count(file); i++) {
    const WeightTensor *tensor = weights_at(file, i);
    hash = hash_combine(hash, hash_bytes(tensor->name, strlen(tensor->name)));
    hash = hash_combine(hash, hash_bytes(tensor->data, (size_t)tensor->bytes));
  }
  return hash;
}

void sgrun_init_configuration(const Cli *cli, Text *out) {
  for (int i = 0; cli_option_at(cli, "init", i); i++) {
    const char *prefix = cli_option_at(cli, "init-prefix", i);
    WeightFile *file = NULL;
    char text[HASH_TEXT] = "";
    Status status = weights_open(cli_option_at(cli, "init", i), &file);
    if (!status) hash_text(hash_content(file), text);
    status_free(status); // told by sgrun_init_check
    weights_close(file);
    text_printf(out, "%s{\"content\":\"%s\",\"prefix\":", i ? "," : ",\"init\":[", text);
    text_put_json(out, prefix ? prefix : "found");
    text_put(out, "}");
  }
  if (cli_option(cli, "init")) text_put(out, "]");
}
