// Validate: an evaluation program run over a loader's samples.
#include "runtime/train/validate.h"

#include <math.h>
#include <string.h>

// Sums about the first value, so that the deviation of nearly equal numbers is not lost in rounding.
typedef struct Spread {
  double first, sum, squares;
  int64_t n;
} Spread;

static void spread_add(Spread *spread, const float *values, int64_t n) {
  if (!spread->n) spread->first = (double)values[0];
  for (int64_t i = 0; i < n; i++) {
    double x = (double)values[i] - spread->first;
    spread->sum += x;
    spread->squares += x * x;
  }
  spread->n += n;
}

Status train_validate(Exec *evaluation, Loader *loader, const Protocol *protocol, Validation *out) {
  const Program *program = exec_program(evaluation);
  const Buffer *rgb = &program->buffers[program_find(program, BUFFER_INPUT, "rgb")];
  const Buffer *depth = &program->buffers[program_find(program, BUFFER_OUTPUT, "depth")];
  int height = (int)rgb->shape.dim[2], width = (int)rgb->shape.dim[3];
  int depth_height = (int)depth->shape.dim[2], depth_width = (int)depth->shape.dim[3];
  int64_t plane = (int64_t)depth_height * depth_width;
  Spread spread = {0};
  *out = (Validation){0};
  loader_seek(loader, 0, 0);
  for (int64_t i = 0; i < loader_batches(loader); i++) {
    Batch batch;
    TRY(loader_next(loader, &batch));
    memcpy(exec_input(evaluation, "rgb"), batch.rgb, (size_t)shape_elements(rgb->shape) * sizeof(float));
    TRY(exec_run(evaluation));
    const float *predicted = exec_output(evaluation, "depth");
    for (int k = 0; k < batch.n; k++) {
      double values[METRIC_COUNT];
      int64_t n = metrics_image(protocol, predicted + k * plane, depth_width, depth_height,
                                batch.depth + (int64_t)k * height * width, width, height, values);
      metrics_add(&out->metrics, values, n);
      spread_add(&spread, predicted + k * plane, plane);
    }
  }
  double n = (double)spread.n, mean = spread.sum / n;
  out->mean = spread.first + mean;
  out->deviation = isfinite(mean) ? sqrt(fmax(spread.squares / n - mean * mean, 0)) : NAN;
  return STATUS_OK;
}

bool validation_is_collapsed(const Validation *validation) {
  return !(validation->deviation > 1e-3 * fabs(validation->mean));
}
