// sgrun predict: depth for pictures in files, folders, and streams of frames.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/data/frames.h"
#include "tools/common_device.h"
#include "tools/common_interrupt.h"
#include "tools/sgrun_inputs.h"
#include "tools/sgrun_predictor.h"
#include "tools/sgrun_progress.h"
#include "tools/sgrun_results.h"
#include "tools/sgrun_sharing.h"

typedef enum StreamOut { STREAM_NONE, STREAM_F32, STREAM_U16 } StreamOut;

typedef struct Prediction {
  const Cli *cli;
  PredictorSet predictors;
  ResultOptions results;
  const volatile sig_atomic_t *stop;
  StreamOut stream_out;
  bool has_files;
  Progress progress;
  double begin; // clock_seconds when the first was done
  int64_t n_done, n_bad;
  DepthMap last; // the stream's last depth map: its size is that of what stands for a broken frame
} Prediction;

// The rate counts from the second picture on where there is one: the first one compiles.
static void count(Prediction *run, int64_t total) {
  run->n_done++;
  if (run->n_done == 1) run->begin = clock_seconds();
  else progress_pictures(&run->progress, run->n_done - 1, total ? total - 1 : 0, clock_seconds() - run->begin);
}

static void say_rate(Prediction *run) {
  progress_end(&run->progress);
  int64_t n = run->n_done - 1;
  if (n < 1) return;
  double seconds = clock_seconds() - run->begin;
  cli_say(run->cli, "%lld pictures; %.2f pictures/s after the first", (long long)run->n_done, (double)n / seconds);
}

// ---- one picture

static ExitCode predict_image(const Prediction *run, Predictor *p, const Image *image, DepthMap *out) {
  int width, height;
  const float *values;
  predictor_size(p->set, cli_flag(run->cli, "own-size", false), image, &width, &height);
  ExitCode code = predictor_run(p, image, width, height, &values, &width, &height);
  if (!code) preprocess_depth(&p->set->preprocess, values, width, height, image->width, image->height, out);
  return code;
}

// ---- files

// What became of one file.
typedef struct Predicted {
  Status status; // why the picture cannot be read
  ExitCode code; // of a failure that was said already
  Text listed;   // the names of what was written
} Predicted;

typedef struct Files {
  Prediction *run;
  Inputs inputs;
  Predicted *predicted; // [inputs.n]
  ExitCode worst;
} Files;

// Sharing.work: the depth of one file.
static void predict_file(void *context, int device, int64_t i) {
  const Files *files = context;
  const Prediction *run = files->run;
  const Input *input = &files->inputs.input[i];
  Predictor *p = &run->predictors.predictor[device];
  Predicted *out = &files->predicted[i];
  Image image = {0};
  DepthMap depth = {0};
  out->status = image_read(input->path, &image);
  if (out->status) return;
  out->code = predict_image(run, p, &image, &depth);
  if (!out->code) out->code = results_write(&run->results, p, input->stem, &image, &depth, &out->listed);
  depth_free(&depth);
  image_free(&image);
}

// Sharing.take. A picture that cannot be read is its own fault and does not keep the others from their depth.
static ExitCode take_file(void *context, int64_t i) {
  Files *files = context;
  Prediction *run = files->run;
  Predicted *predicted = &files->predicted[i];
  Status status = predicted->status;
  predicted->status = STATUS_OK;
  ExitCode code = status ? cli_status(run->cli, status) : predicted->code;
  bool is_broken = status && code == EXIT_DATA;
  fputs(text_get(&predicted->listed), stdout);
  if (code) files->worst = code;
  else count(run, files->inputs.n);
  run->n_bad += is_broken;
  return is_broken ? EXIT_DONE : code;
}

static ExitCode predict_files(Prediction *run) {
  Files files = {.run = run};
  files.worst = inputs_expand(run->cli, 1, run->results.directory, &files.inputs);
  files.predicted = calloc((size_t)files.inputs.n + 1, sizeof *files.predicted);
  if (!files.predicted) BUG("out of memory");
  Sharing sharing = {files.inputs.n, &files, predict_file, take_file, run->stop};
  ExitCode code = share_out(run->cli, &sharing, run->predictors.n);
  if (code) files.worst = code;
  say_rate(run);
  if (run->n_bad && files.inputs.n > 1)
    cli_say(run->cli, "%lld of %d pictures have no depth", (long long)run->n_bad, files.inputs.n);
  if (*run->stop && run->n_done + run->n_bad < files.inputs.n)
    files.worst = cli_fail(run->cli, EXIT_INTERRUPTED, "interrupted: %lld of %d pictures are done",
                           (long long)run->n_done, files.inputs.n);
  for (int i = 0; i < files.inputs.n; i++) {
    status_free(files.predicted[i].status);
    text_free(&files.predicted[i].listed);
  }
  free(files.predicted);
  inputs_free(&files.inputs);
  return files.worst;
}

// ---- streams

// The map on stdout, all of it at once: whoever reads can go on.
static ExitCode send(Prediction *run, const DepthMap *depth) {
  size_t n = (size_t)depth->width * (size_t)depth->height, size = run->stream_out == STREAM_F32 ? 4 : 2;
  uint8_t *bytes = malloc(n * size);
  if (!bytes) BUG("out of memory");
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    if (run->stream_out == STREAM_F32) memcpy(&bits, &depth->metres[i], sizeof bits);
    else bits = (uint32_t)fmin(fmax(round(depth->metres[i] * DEPTH_PNG_SCALE), 0), 65535);
    for (size_t b = 0; b < size; b++) bytes[i * size + b] = (uint8_t)(bits >> (8 * b));
  }
  bool is_sent = fwrite(bytes, size, n, stdout) == n && !fflush(stdout);
  free(bytes);
  return is_sent ? EXIT_DONE
                 : cli_fail(run->cli, EXIT_DATA, "cannot write frame %lld to stdout: %s",
                            (long long)run->n_done + run->n_bad + 1, strerror(errno));
}

static ExitCode predict_frame(Prediction *run, const Image *image, int64_t number) {
  DepthMap depth = {0};
  Text listed = {0};
  char stem[32];
  snprintf(stem, sizeof stem, "frame_%06lld", (long long)number);
  Predictor *p = run->predictors.predictor;
  ExitCode code = predict_image(run, p, image, &depth);
  bool is_new_size = depth.width != run->last.width || depth.height != run->last.height;
  if (!code && run->stream_out && is_new_size)
    cli_say(run->cli, "frame %lld on: %dx%d values of %s, %lld bytes a frame", (long long)number, depth.width,
            depth.height, run->stream_out == STREAM_F32 ? "float32 (metres)" : "uint16 (millimetres)",
            (long long)depth.width * depth.height * (run->stream_out == STREAM_F32 ? 4 : 2));
  if (!code && run->stream_out) code = send(run, &depth);
  if (!code && run->has_files) code = results_write(&run->results, p, stem, image, &depth, &listed);
  fputs(text_get(&listed), stdout);
  text_free(&listed);
  if (code) {
    depth_free(&depth);
    return code;
  }
  depth_free(&run->last);
  run->last = depth;
  return EXIT_DONE;
}

// Where a frame is broken, a map of missing depths keeps the frames behind it in step.
static ExitCode replace_frame(Prediction *run) {
  run->n_bad++;
  if (!run->stream_out || !run->last.metres) return EXIT_DONE;
  memset(run->last.metres, 0, sizeof *run->last.metres * (size_t)run->last.width * (size_t)run->last.height);
  return send(run, &run->last);
}

static ExitCode predict_stream(Prediction *run, int raw_width, int raw_height) {
  FrameStream *stream = frames_open(0, raw_width, raw_height, run->stop);
  ExitCode worst = EXIT_DONE, code = EXIT_DONE;
  bool is_end = false;
  while (!is_end && !code) {
    Image image;
    ExitCode found = cli_status(run->cli, frames_next(stream, &image, &is_end));
    if (found) worst = found;
    if (found && found != EXIT_DATA) code = found;
    else if (found && !is_end) code = replace_frame(run);
    else if (!found && !is_end) {
      code = predict_frame(run, &image, frames_count(stream));
      if (!code) count(run, 0);
    }
    image_free(&image);
  }
  if (code) worst = code;
  say_rate(run);
  if (run->n_bad) cli_say(run->cli, "%lld frames were broken and have no depth", (long long)run->n_bad);
  if (*run->stop && !code)
    worst = cli_fail(run->cli, EXIT_INTERRUPTED, "interrupted after frame %lld", (long long)frames_count(stream));
  else if (!worst && !frames_count(stream)) worst = cli_fail(run->cli, EXIT_DATA, "the stream on stdin has no frames");
  frames_close(stream);
  depth_free(&run->last);
  return worst;
}

// ---- the command

static ExitCode stream_options(Prediction *run, int *raw_width, int *raw_height) {
  const Cli *cli = run->cli;
  const char *raw = cli_option(cli, "raw"), *to = cli_option(cli, "stream-out");
  bool is_stream = !strcmp(cli_operand(cli, 1), "-");
  *raw_width = *raw_height = 0;
  for (int i = 2; i < cli_operands(cli); i++)
    if (is_stream || !strcmp(cli_operand(cli, i), "-"))
      return cli_fail(cli, EXIT_USAGE, "- (frames on stdin) stands alone, without other pictures");
  if (!is_stream && (raw || to)) return cli_fail(cli, EXIT_USAGE, "--raw and --stream-out are for frames on stdin: -");
  char rest = 0;
  if (raw && (sscanf(raw, "%dx%d%c", raw_width, raw_height, &rest) != 2 || *raw_width < 1 || *raw_height < 1 ||
              *raw_width > IMAGE_MAX_SIDE || *raw_height > IMAGE_MAX_SIDE ||
              (int64_t)*raw_width * *raw_height > IMAGE_MAX_PIXELS))
    return cli_fail(cli, EXIT_USAGE, "--raw needs the size of a frame as WIDTHxHEIGHT, such as 640x480, not '%s'", raw);
  if (to && strcmp(to, "f32") && strcmp(to, "u16"))
    return cli_fail(cli, EXIT_USAGE, "there is no --stream-out %s; there are f32 (metres) and u16 (millimetres)", to);
  run->stream_out = !to ? STREAM_NONE : !strcmp(to, "f32") ? STREAM_F32 : STREAM_U16;
  run->has_files = cli_option(cli, "out") != NULL;
  run->results.is_listed = !to;
  if (is_stream && !to && !run->has_files)
    return cli_fail(cli, EXIT_USAGE, "frames on stdin need a place for their depth: -o DIR, or --stream-out f32");
  if (to && !run->has_files && (run->results.spread || run->results.weights || run->results.bases || run->results.ply))
    return cli_fail(cli, EXIT_USAGE, "--spread, --weights, --bases and --ply write files: they need -o DIR");
  if (to && isatty(1)) return cli_fail(cli, EXIT_USAGE, "--stream-out writes bytes to stdout, which is a terminal");
  return EXIT_DONE;
}

static ExitCode predict(const Cli *cli) {
  Prediction run = {.cli = cli, .progress = progress_new(cli_flag(cli, "quiet", false))};
  int raw_width, raw_height;
  ExitCode code = result_options(cli, &run.results);
  if (!code) code = stream_options(&run, &raw_width, &raw_height);
  if (code) return code;
  if (isatty(1)) run.progress.is_quiet = true; // the names of the files are written there: they show how far it is
  run.stop = interrupt_catch();
  code = predictors_open(cli, cli_operand(cli, 0), DEVICES_MAX, &run.predictors);
  if (!code && strcmp(cli_operand(cli, 1), "-")) code = predict_files(&run);
  else if (!code && run.predictors.n > 1)
    code = cli_fail(cli, EXIT_USAGE, "frames on stdin are computed one after another: give them one --device");
  else if (!code) code = predict_stream(&run, raw_width, raw_height);
  predictors_close(&run.predictors);
  return code;
}

static const CliOption options[] = {
    {"out", 'o', "DIR", "where the results go (default: here)"},
    {"recursive", 'R', NULL, "look into the folders of folders too"},
    {"format", 'f', "NAMES",
     "of depth files: png (default: 16 bit, millimetres), npy, pfm (metres), or several: png,npy"},
    {"colour", 0, NULL, "write coloured pictures with a legend (default; --no-colour leaves them out)"},
    {"range", 'r', "METRES", "far end of the colours (default: the model's largest depth)"},
    {"spread", 0, NULL, "of a stack: how far its bases disagree at each pixel, metres"},
    {"spread-range", 0, "METRES", "far end of its colours (default: 1)"},
    {"weights", 0, NULL, "of a stack: the weights of its bases as coloured pictures, 0 to 1"},
    {"bases", 0, NULL, "of a stack: the depth of each base"},
    {"own-size", 0, NULL, "run at the picture's own size, not the one the network was trained at"},
    {"ply", 0, NULL, "also write NAME.ply, a cloud of coloured points; needs --fx"},
    {"fx", 0, "PIXELS", "the camera's focal length in pixels of the picture"},
    {"fy", 0, "PIXELS", "the vertical one (default: fx)"},
    {"cx", 0, "PIXELS", "where the optical axis meets the picture (default: its middle)"},
    {"cy", 0, "PIXELS", "from its top edge; pixel centres lie at halves"},
    {"raw", 0, "WxH", "frames on stdin are bare RGB bytes (rgb24) of this size"},
    {"stream-out", 0, "KIND", "depth of frames to stdout, at once: f32 (metres) or u16 (millimetres), little-endian"},
    DEVICE_OPTIONS,
    DEVICES_OPTION,
    MODEL_OPTIONS,
    COMPILE_OPTIONS,
    CLI_COMMON};

const CliCommand sgrun_predict = {
    "predict",
    "WEIGHTS WHAT...",
    "write the depth of pictures, folders and streams",
    "WHAT is a picture (PNG, JPEG, PPM), a folder, a quoted pattern such as 'shots/*.jpg', or - for frames on stdin:\n"
    "PPM, JPEG or PNG pictures one after another, or bare RGB bytes with --raw. For each picture NAME it writes\n"
    "NAME_depth.png, whose 16-bit values are millimetres (0 = missing; the scale stands in a text chunk), and\n"
    "NAME_colour.png with a legend; frames are named frame_000001 on. Pictures may have any size: how they are fitted\n"
    "to the network is recorded in the weight file. A broken picture is named and passed over (exit status 4 at the\n"
    "end); of a broken frame --stream-out writes a map of zeros. Ctrl-C ends after the present picture (75).\n\n"
    "  sgrun predict runs/ghost_unet/weights.safetensors photo.jpg -o out\n"
    "  sgrun predict runs/ghost_unet/weights.safetensors photos --recursive -o out --format png,npy\n"
    "  sgrun predict runs/ghost_unet/weights.safetensors photo.jpg --ply --fx 519\n"
    "  ffmpeg -i /dev/video0 -f rawvideo -pix_fmt rgb24 - |\n"
    "    sgrun predict W - --raw 640x480 --stream-out f32 | robot\n"
    "  sgrun predict runs/stack/weights.safetensors photo.jpg --spread --weights --bases",
    options,
    2,
    -1,
    predict};
