// sgrun_results: the files that a prediction leaves.
#include "tools/sgrun_results.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/data/colour.h"
#include "runtime/data/ply.h"
#include "tools/sgrun_stack.h"

static ExitCode parse_formats(const Cli *cli, const char *text, ResultOptions *out) {
  for (const char *at = text; *at;) {
    int n = (int)strcspn(at, ",");
    if (n == 3 && !strncmp(at, "png", 3)) out->png = true;
    else if (n == 3 && !strncmp(at, "npy", 3)) out->npy = true;
    else if (n == 3 && !strncmp(at, "pfm", 3)) out->pfm = true;
    else return cli_fail(cli, EXIT_USAGE, "there is no format '%.*s'; there are png, npy and pfm", n, at);
    at += n + (at[n] == ',');
  }
  if (out->png || out->npy || out->pfm) return EXIT_DONE;
  return cli_fail(cli, EXIT_USAGE, "--format needs a name: png, npy or pfm, or several as png,npy");
}

ExitCode result_options(const Cli *cli, ResultOptions *out) {
  const char *directory = cli_option(cli, "out"), *formats = cli_option(cli, "format");
  *out = (ResultOptions){.cli = cli,
                         .directory = directory ? directory : ".",
                         .colour = cli_flag(cli, "colour", true),
                         .ply = cli_flag(cli, "ply", false),
                         .spread = cli_flag(cli, "spread", false),
                         .weights = cli_flag(cli, "weights", false),
                         .bases = cli_flag(cli, "bases", false),
                         .range = cli_number(cli, "range", 0, 0.01, 1e6),
                         .spread_range = cli_number(cli, "spread-range", 1, 1e-3, 1e6),
                         .is_listed = true};
  static const char *const camera[] = {"fx", "fy", "cx", "cy"}; // a bad number shows before anything is written
  for (int i = 0; i < 4; i++) cli_number(cli, camera[i], 1, i < 2 ? 1e-3 : -1e7, 1e7);
  if (out->ply && !cli_option(cli, "fx"))
    return cli_fail(cli, EXIT_USAGE, "--ply needs the camera's focal length in pixels: --fx (and --fy, --cx, --cy)");
  return parse_formats(cli, formats ? formats : "png", out);
}

// One picture's results on their way to files.
typedef struct Writing {
  const ResultOptions *options;
  const Predictor *p;
  const char *stem;
  const Image *picture;
  double range;
  Text path, *listed;
} Writing;

// The present path was written: name it.
static ExitCode written(Writing *w, Status status) {
  ExitCode code = cli_status(w->options->cli, status);
  if (!code && w->options->is_listed) text_printf(w->listed, "%s\n", text_get(&w->path));
  return code;
}

static const char *path_of(Writing *w, const char *what, const char *name, const char *extension) {
  text_clear(&w->path);
  text_printf(&w->path, "%s/%s%s%s.%s", w->options->directory, w->stem, what, name, extension);
  return text_get(&w->path);
}

// A map of metres in each format asked for.
static ExitCode write_map(Writing *w, const char *what, const char *name, const DepthMap *map) {
  const ResultOptions *o = w->options;
  const char *const extensions[] = {o->png ? "png" : NULL, o->npy ? "npy" : NULL, o->pfm ? "pfm" : NULL};
  ExitCode code = EXIT_DONE;
  for (int i = 0; !code && i < 3; i++)
    if (extensions[i]) code = written(w, depth_write(path_of(w, what, name, extensions[i]), map));
  return code;
}

static ExitCode write_colour(Writing *w, const char *what, const char *name, Image *colour) {
  ExitCode code = written(w, image_write_png(path_of(w, what, name, "png"), colour, NULL, 0));
  image_free(colour);
  return code;
}

// fy is fx and the axis goes through the middle where nothing else is said.
static ExitCode write_cloud(Writing *w, const DepthMap *depth) {
  const Cli *cli = w->options->cli;
  double fx = cli_number(cli, "fx", 0, 1e-3, 1e7);
  Intrinsics camera = {fx, cli_number(cli, "fy", fx, 1e-3, 1e7),
                       cli_number(cli, "cx", 0.5 * w->picture->width, -1e7, 1e7),
                       cli_number(cli, "cy", 0.5 * w->picture->height, -1e7, 1e7)};
  return written(w, ply_write(path_of(w, "", "", "ply"), w->picture, depth, &camera));
}

// A map of the network's size at that of the picture; `out` is allocated.
static void enlarge(const Writing *w, const float *map, const StackView *view, DepthMap *out) {
  depth_alloc(out, w->picture->width, w->picture->height);
  resize_bilinear_corners(map, view->width, view->height, out->metres, out->width, out->height);
}

static ExitCode write_spread(Writing *w) {
  StackView view;
  ExitCode code = stack_view(w->p, "spread", &view);
  if (code) return code;
  float *spread = malloc(sizeof *spread * (size_t)view.width * (size_t)view.height);
  if (!spread) BUG("out of memory");
  DepthMap map;
  Image colour;
  stack_spread(&view, spread);
  enlarge(w, spread, &view, &map);
  code = write_map(w, "_spread", "", &map);
  if (!code && w->options->colour) {
    colour_values_legend(map.metres, map.width, map.height, 0, w->options->spread_range, "m", &colour);
    code = write_colour(w, "_spread_colour", "", &colour);
  }
  depth_free(&map);
  free(spread);
  return code;
}

static ExitCode write_weights(Writing *w) {
  StackView view;
  ExitCode code = stack_view(w->p, "weights", &view);
  size_t n = (size_t)view.width * (size_t)view.height;
  for (int k = 0; !code && k < view.n_bases; k++) {
    DepthMap map;
    Image colour;
    enlarge(w, view.weights + (size_t)k * n, &view, &map);
    colour_values_legend(map.metres, map.width, map.height, 0, 1, "w", &colour);
    code = write_colour(w, "_weight_", stack_base_name(&view, k), &colour);
    depth_free(&map);
  }
  return code;
}

static ExitCode write_depth(Writing *w, const char *what, const char *name, const DepthMap *depth) {
  Image colour;
  char mark[256];
  ExitCode code = write_map(w, what, name, depth);
  if (code || !w->options->colour) return code;
  colour_depth_legend(depth, 0, w->range, &colour);
  snprintf(mark, sizeof mark, "%s_colour", name);
  return write_colour(w, *name ? what : "", mark, &colour);
}

static ExitCode write_bases(Writing *w) {
  StackView view;
  ExitCode code = stack_view(w->p, "bases", &view);
  size_t n = (size_t)view.width * (size_t)view.height;
  for (int k = 0; !code && k < view.n_bases; k++) {
    DepthMap depth;
    preprocess_depth(&w->p->set->preprocess, view.depths + (size_t)k * n, view.width, view.height, w->picture->width,
                     w->picture->height, &depth);
    code = write_depth(w, "_base_", stack_base_name(&view, k), &depth);
    depth_free(&depth);
  }
  return code;
}

ExitCode results_write(const ResultOptions *options, const Predictor *p, const char *stem, const Image *picture,
                       const DepthMap *depth, Text *listed) {
  Writing w = {.options = options, .p = p, .stem = stem, .picture = picture, .listed = listed};
  w.range = options->range > 0 ? options->range : p->set->preprocess.depth_max;
  const char *slash = strrchr(stem, '/');
  text_printf(&w.path, "%s/%.*s", options->directory, (int)(slash ? slash - stem : 0), stem);
  StackView view;
  const char *of_stack = options->spread ? "spread" : options->weights ? "weights" : options->bases ? "bases" : NULL;
  ExitCode code = of_stack ? stack_view(p, of_stack, &view) : EXIT_DONE; // before anything is written
  if (!code) code = cli_status(options->cli, file_make_directory(text_get(&w.path)));
  if (!code) code = write_depth(&w, "_depth", "", depth);
  if (!code && options->ply) code = write_cloud(&w, depth);
  if (!code && options->spread) code = write_spread(&w);
  if (!code && options->weights) code = write_weights(&w);
  if (!code && options->bases) code = write_bases(&w);
  text_free(&w.path);
  return code;
}
