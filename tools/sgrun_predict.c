// sgrun predict: depth for pictures: a 16-bit PNG in millimetres and a coloured picture with a legend for each.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/data/colour.h"
#include "runtime/data/depth_io.h"
#include "runtime/data/image.h"
#include "runtime/train/checkpoint.h"
#include "tools/sgrun.h"

// The program for one input size; pictures of one size after another share it.
typedef struct Predictor {
  const Cli *cli;
  Model model;
  Device *device;
  Preprocess preprocess;
  Runner runner;
  int width, height;
} Predictor;

static ExitCode prepare(Predictor *p, int width, int height) {
  if (p->runner.exec && p->width == width && p->height == height) return EXIT_DONE;
  runner_close(&p->runner);
  p->width = width;
  p->height = height;
  Model *model = &p->model;
  int n = model->n_bindings; // the sizes are bound for this program only
  model_bind(model, "H", "%d", height);
  model_bind(model, "W", "%d", width);
  model_bind_sizes(model, 1);
  Graph *graph = model_graph(p->cli, model, false, false);
  model->n_bindings = n;
  if (!graph) return EXIT_MODEL;
  const Node *depth = graph_find_output(graph, "depth");
  if (!depth || depth->shape.rank != 4 || !graph_find_leaf(graph, "rgb"))
    return cli_fail(p->cli, EXIT_MODEL, "the model %s does not turn 'rgb' into 'depth'", graph->name);
  ExitCode code = runner_open(p->cli, graph, false, p->device, 0, &p->runner);
  return code ? code : cli_status(p->cli, checkpoint_restore(p->model.weights, p->runner.exec, NULL));
}

// DIRECTORY/stem + suffix, the stem being that of the picture's file name.
static void output_path(const char *directory, const char *picture, const char *suffix, Text *out) {
  const char *slash = strrchr(picture, '/'), *name = slash ? slash + 1 : picture, *dot = strrchr(name, '.');
  text_clear(out);
  text_printf(out, "%s/%.*s%s", directory, (int)(dot && dot > name ? dot - name : (long)strlen(name)), name, suffix);
}

static ExitCode write_results(const Predictor *p, const char *picture, const DepthMap *depth) {
  const char *directory = cli_option(p->cli, "out"), *format = cli_option(p->cli, "format");
  Text path = {0};
  Image colour = {0};
  output_path(directory ? directory : ".", picture,
              format && !strcmp(format, "npy")   ? "_depth.npy"
              : format && !strcmp(format, "pfm") ? "_depth.pfm"
                                                 : "_depth.png",
              &path);
  ExitCode code = cli_status(p->cli, depth_write(text_get(&path), depth));
  if (!code) printf("%s\n", text_get(&path));
  double far = cli_number(p->cli, "range", p->preprocess.depth_max, 0.01, 1e6);
  output_path(directory ? directory : ".", picture, "_colour.png", &path);
  colour_depth_legend(depth, 0, far, &colour);
  if (!code) code = cli_status(p->cli, image_write_png(text_get(&path), &colour, NULL, 0));
  if (!code) printf("%s\n", text_get(&path));
  image_free(&colour);
  text_free(&path);
  return code;
}

static ExitCode predict_one(Predictor *p, const char *picture) {
  Image image = {0};
  DepthMap depth = {0};
  ExitCode code = cli_status(p->cli, image_read(picture, &image));
  if (code) return code;
  int width, height;
  preprocess_size(&p->preprocess, image.width, image.height, &width, &height);
  code = prepare(p, width, height);
  if (!code) {
    preprocess_picture(&p->preprocess, &image, width, height, exec_input(p->runner.exec, "rgb"));
    code = cli_status(p->cli, exec_run(p->runner.exec));
  }
  if (!code) {
    const Program *program = p->runner.program;
    Shape shape = program->buffers[program_find(program, BUFFER_OUTPUT, "depth")].shape;
    preprocess_depth(&p->preprocess, exec_output(p->runner.exec, "depth"), (int)shape.dim[3], (int)shape.dim[2],
                     image.width, image.height, &depth);
    code = write_results(p, picture, &depth);
  }
  depth_free(&depth);
  image_free(&image);
  return code;
}

static ExitCode predict(const Cli *cli) {
  Predictor p = {.cli = cli};
  const char *format = cli_option(cli, "format");
  if (format && strcmp(format, "png") && strcmp(format, "npy") && strcmp(format, "pfm"))
    return cli_fail(cli, EXIT_USAGE, "there is no format '%s'; there are png, npy and pfm", format);
  ExitCode code = model_open(cli, cli_operand(cli, 0), &p.model);
  if (!code && !p.model.weights)
    code = cli_fail(cli, EXIT_USAGE, "%s is model text; give the weights that a training wrote", p.model.path);
  if (!code) code = cli_status(cli, checkpoint_verify(p.model.weights));
  if (!code) code = sgrun_preprocess(cli, &p.model, &p.preprocess);
  if (!code) code = sgrun_device(cli, &p.device);
  if (!code && cli_option(cli, "out")) code = cli_status(cli, file_make_directory(cli_option(cli, "out")));
  // A picture that cannot be read does not keep the others from their depth.
  ExitCode worst = code;
  for (int i = 1; !code && i < cli_operands(cli); i++) {
    ExitCode one = predict_one(&p, cli_operand(cli, i));
    if (one) worst = one;
    if (one && one != EXIT_DATA) break;
  }
  runner_close(&p.runner);
  device_close(p.device);
  model_close(&p.model);
  return worst;
}

static const CliOption options[] = {
    {"out", 'o', "DIR", "where the results go (default: here)"},
    {"format", 'f', "NAME", "of the depth file: png (default: 16 bit, millimetres), npy or pfm (metres)"},
    {"range", 'r', "METRES", "far end of the colours (default: the model's largest depth)"},
    DEVICE_OPTIONS,
    MODEL_OPTIONS,
    COMPILE_OPTIONS,
    CLI_COMMON};

const CliCommand sgrun_predict = {
    "predict",
    "WEIGHTS PICTURE...",
    "write the depth of PNG and JPEG pictures",
    "For each picture NAME it writes NAME_depth.png, whose 16-bit values are millimetres (0 = missing; the scale "
    "stands\n"
    "in a text chunk), and NAME_colour.png with a legend. Pictures may have any size: how they are fitted to the\n"
    "network is recorded in the weight file.\n\n"
    "  sgrun predict runs/ghost_unet/weights.safetensors photo.jpg -o out",
    options,
    2,
    -1,
    predict};
