// sgrun data: looks at data sets. `view` draws a contact sheet of pictures and depths.
#include <stdlib.h>
#include <string.h>

#include "runtime/data/colour.h"
#include "tools/sgrun.h"

enum { MAX_TILES = 400, LABEL = 48 };

// Pictures beside their depths, `n` samples from `first` on.
static ExitCode draw_sheet(const Cli *cli, const Dataset *dataset, int64_t first, int64_t n, const char *path) {
  Tile *tiles = calloc(2 * (size_t)n, sizeof *tiles);
  Image *images = calloc(2 * (size_t)n, sizeof *images);
  char(*labels)[LABEL] = calloc((size_t)n, sizeof *labels);
  if (!tiles || !images || !labels) BUG("out of memory");
  ExitCode code = EXIT_DONE;
  int64_t done = 0;
  for (; done < n && !code; done++) {
    Sample sample = {0};
    code = cli_status(cli, dataset_sample(dataset, first + done, &sample));
    if (code) break;
    char name[SAMPLE_NAME];
    dataset_name(dataset, first + done, name);
    snprintf(labels[done], LABEL, "%.*s", LABEL - 1, name);
    images[2 * done] = sample.picture;
    colour_depth_legend(&sample.depth, 0, dataset->depth_max, &images[2 * done + 1]);
    depth_free(&sample.depth);
    tiles[2 * done] = (Tile){&images[2 * done], labels[done]};
    tiles[2 * done + 1] = (Tile){&images[2 * done + 1], NULL};
  }
  if (!code) {
    Image sheet = {0};
    colour_sheet(tiles, (int)(2 * n), 4, &sheet);
    code = cli_status(cli, image_write_png(path, &sheet, NULL, 0));
    image_free(&sheet);
  }
  for (int64_t i = 0; i < 2 * done; i++) image_free(&images[i]);
  free(tiles);
  free(images);
  free(labels);
  if (!code) printf("%s\n", path);
  return code;
}

static ExitCode data(const Cli *cli) {
  if (strcmp(cli_operand(cli, 0), "view"))
    return cli_fail(cli, EXIT_USAGE, "there is no 'data %s'; there is 'data view'", cli_operand(cli, 0));
  TrainSettings settings = settings_default();
  settings.seed = (double)cli_integer(cli, "seed", 1, 0, 4294967295);
  settings.width = (double)cli_integer(cli, "width", 320, 16, 4096);
  settings.height = (double)cli_integer(cli, "height", 240, 16, 4096);
  settings.rooms = settings.validation_rooms = 1000000;
  Dataset *training = NULL, *validation = NULL;
  ExitCode code = sgrun_datasets(cli, &settings, &training, &validation);
  const Dataset *dataset = cli_flag(cli, "validation", false) ? validation : training;
  if (!code) {
    int64_t first = cli_integer(cli, "first", 0, 0, dataset->size - 1),
            n = cli_integer(cli, "number", 8, 1, MAX_TILES / 2);
    if (n > dataset->size - first) n = dataset->size - first;
    const char *out = cli_option(cli, "out");
    code = draw_sheet(cli, dataset, first, n, out ? out : "data.png");
  }
  dataset_close(training);
  dataset_close(validation);
  return code;
}

static const CliOption options[] = {{"out", 'o', "FILE", "the PNG to write (default data.png)"},
                                    {"first", 0, "N", "index of the first sample (default 0)"},
                                    {"number", 'n', "N", "how many samples (default 8)"},
                                    {"validation", 0, NULL, "the held-out samples instead of the training samples"},
                                    {"seed", 0, "N", "of the rooms"},
                                    {"width", 0, "N", "of rendered rooms (default 320)"},
                                    {"height", 0, "N", "of rendered rooms (default 240)"},
                                    DATA_OPTIONS,
                                    CLI_COMMON};

const CliCommand sgrun_data = {"data",
                               "view",
                               "look at data: `data view` draws pictures and depths side by side",
                               "  sgrun data view -o rooms.png              synthetic rooms\n"
                               "  sgrun data view --data mydata -n 20       a folder of pairs",
                               options,
                               1,
                               1,
                               data};
