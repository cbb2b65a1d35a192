// sgrun_board: a training run's TensorBoard file.
#include "tools/sgrun_board.h"

#include <string.h>

#include "runtime/report/panel.h"

enum { PANEL_ROWS = 4 };

// Gives the file up after an error.
static void check(Board *board, Status status) {
  if (!status) return;
  cli_say(board->cli, "note: %s; the run goes on without its TensorBoard file", status_message(status));
  status_free(status);
  event_file_close(board->file);
  *board = (Board){0};
}

static Status begin(Board *board, int64_t step) {
  static const char *const tags[] = {"val/abs_rel", "val/delta1", "val/rmse", "val/silog"};
  TRY(event_file_open(board->directory, step, &board->file));
  if (!event_file_is_first(board->file)) return STATUS_OK;
  TRY(event_file_settings(board->file, board->settings, tags, 4));
  Graph *graph = model_graph(board->cli, board->model, false, false);
  if (!graph) BUG("the model was built before");
  int n;
  const EventNode *nodes = board_graph(graph, &n);
  return event_file_graph(board->file, nodes, n);
}

void board_step(Board *board, const TrainStep *step) {
  if (!board->directory) return;
  if (!board->file) check(board, begin(board, step->step - 1));
  if (!board->file) return;
  const EventScalar scalars[] = {{"train/loss", step->loss},
                                 {"train/grad_norm", step->grad_norm},
                                 {"train/lr", step->lr},
                                 {"train/beta1", step->beta1},
                                 {"train/pictures_per_second", step->pictures}};
  check(board, event_file_scalars(board->file, step->step, scalars, 5));
}

// The first pictures of validation under the weights of this epoch.
static Status put_panel(Board *board, int64_t step) {
  const Program *program = exec_program(board->evaluation);
  Shape rgb = program->buffers[program_find(program, BUFFER_INPUT, "rgb")].shape;
  Shape depth = program->buffers[program_find(program, BUFFER_OUTPUT, "depth")].shape;
  Batch batch;
  loader_seek(board->validation, 0, 0);
  TRY(loader_next(board->validation, &batch));
  memcpy(exec_input(board->evaluation, "rgb"), batch.rgb, (size_t)shape_elements(rgb) * sizeof(float));
  TRY(exec_run(board->evaluation));
  const float *predicted = exec_output(board->evaluation, "depth");
  int64_t pixels = rgb.dim[2] * rgb.dim[3];
  PanelSize size = {(int)rgb.dim[3], (int)rgb.dim[2], (int)depth.dim[3], (int)depth.dim[2], board->protocol->depth_max};
  PanelRow rows[PANEL_ROWS];
  int n = batch.n < PANEL_ROWS ? batch.n : PANEL_ROWS;
  if (n > rgb.dim[0]) n = (int)rgb.dim[0]; // one of several devices has a part of the batch
  for (int i = 0; i < n; i++)
    rows[i] =
        (PanelRow){batch.rgb + 3 * pixels * i, batch.depth + pixels * i, predicted + depth.dim[2] * depth.dim[3] * i};
  Image panel = {0};
  panel_draw(rows, n, &size, &panel);
  Status status = event_file_image(board->file, step, "val/panel", &panel);
  image_free(&panel);
  return status;
}

void board_epoch(Board *board, const TrainEpoch *epoch) {
  if (!board->file) return;
  EventScalar scalars[METRIC_COUNT + 1] = {{"train/epoch_loss", epoch->loss}};
  char tags[METRIC_COUNT][48];
  for (int m = 0; m < METRIC_COUNT; m++) {
    snprintf(tags[m], sizeof tags[m], "val/%s", metric_name((Metric)m));
    scalars[m + 1] = (EventScalar){tags[m], metrics_mean(&epoch->metrics, (Metric)m)};
  }
  check(board, event_file_scalars(board->file, epoch->step, scalars, METRIC_COUNT + 1));
  if (board->file) check(board, put_panel(board, epoch->step));
}

void board_end(Board *board, bool is_done) {
  if (board->file) check(board, event_file_end(board->file, is_done));
  event_file_close(board->file);
  *board = (Board){0};
}
