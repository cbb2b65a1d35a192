// sgrun predict: depth for pictures: a 16-bit PNG in millimetres and a coloured picture with a legend for each.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/data/colour.h"
#include "runtime/data/depth_io.h"
#include "runtime/data/image.h"
#include "runtime/data/ply.h"
#include "tools/sgrun_predictor.h"

// DIRECTORY/stem + suffix, the stem being that of the picture's file name.
static void output_path(const char *directory, const char *picture, const char *suffix, Text *out) {
  const char *slash = strrchr(picture, '/'), *name = slash ? slash + 1 : picture, *dot = strrchr(name, '.');
  text_clear(out);
  text_printf(out, "%s/%.*s%s", directory, (int)(dot && dot > name ? dot - name : (long)strlen(name)), name, suffix);
}

// The camera of a picture: fy is fx and the axis goes through the middle where nothing else is said.
static Intrinsics camera_of(const Cli *cli, const Image *image) {
  double fx = cli_number(cli, "fx", 0, 1e-3, 1e7);
  return (Intrinsics){fx, cli_number(cli, "fy", fx, 1e-3, 1e7), cli_number(cli, "cx", 0.5 * image->width, -1e7, 1e7),
                      cli_number(cli, "cy", 0.5 * image->height, -1e7, 1e7)};
}

static ExitCode write_results(const Predictor *p, const char *picture, const Image *image, const DepthMap *depth) {
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
  if (!code && cli_flag(p->cli, "ply", false)) {
    Intrinsics camera = camera_of(p->cli, image);
    output_path(directory ? directory : ".", picture, ".ply", &path);
    code = cli_status(p->cli, ply_write(text_get(&path), image, depth, &camera));
    if (!code) printf("%s\n", text_get(&path));
  }
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
  const float *values;
  predictor_size(p, cli_flag(p->cli, "own-size", false), &image, &width, &height);
  code = predictor_run(p, &image, width, height, &values, &width, &height);
  if (!code) {
    preprocess_depth(&p->preprocess, values, width, height, image.width, image.height, &depth);
    code = write_results(p, picture, &image, &depth);
  }
  depth_free(&depth);
  image_free(&image);
  return code;
}

static ExitCode predict(const Cli *cli) {
  Predictor p;
  const char *format = cli_option(cli, "format");
  if (format && strcmp(format, "png") && strcmp(format, "npy") && strcmp(format, "pfm"))
    return cli_fail(cli, EXIT_USAGE, "there is no format '%s'; there are png, npy and pfm", format);
  if (cli_flag(cli, "ply", false) && !cli_option(cli, "fx"))
    return cli_fail(cli, EXIT_USAGE, "--ply needs the camera's focal length in pixels: --fx (and --fy, --cx, --cy)");
  ExitCode code = predictor_open(cli, cli_operand(cli, 0), &p);
  if (!code && cli_option(cli, "out")) code = cli_status(cli, file_make_directory(cli_option(cli, "out")));
  // A picture that cannot be read does not keep the others from their depth.
  ExitCode worst = code;
  for (int i = 1; !code && i < cli_operands(cli); i++) {
    ExitCode one = predict_one(&p, cli_operand(cli, i));
    if (one) worst = one;
    if (one && one != EXIT_DATA) break;
  }
  predictor_close(&p);
  return worst;
}

static const CliOption options[] = {
    {"out", 'o', "DIR", "where the results go (default: here)"},
    {"format", 'f', "NAME", "of the depth file: png (default: 16 bit, millimetres), npy or pfm (metres)"},
    {"range", 'r', "METRES", "far end of the colours (default: the model's largest depth)"},
    {"own-size", 0, NULL, "run at the picture's own size, not the one the network was trained at"},
    {"ply", 0, NULL, "also write NAME.ply, a cloud of coloured points; needs --fx"},
    {"fx", 0, "PIXELS", "the camera's focal length in pixels of the picture"},
    {"fy", 0, "PIXELS", "the vertical one (default: fx)"},
    {"cx", 0, "PIXELS", "where the optical axis meets the picture (default: its middle)"},
    {"cy", 0, "PIXELS", "from its top edge; pixel centres lie at halves"},
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
    "  sgrun predict runs/ghost_unet/weights.safetensors photo.jpg -o out\n"
    "  sgrun predict runs/ghost_unet/weights.safetensors photo.jpg --ply --fx 519",
    options,
    2,
    -1,
    predict};
