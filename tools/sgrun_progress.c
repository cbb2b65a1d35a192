// sgrun_progress: how far a training or a prediction is: one changing line on a terminal, plain lines elsewhere.
#include "tools/sgrun_progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR = 24, PLAIN_EVERY = 30, TIME_TEXT = 48 };

Progress progress_new(bool is_quiet) {
  return (Progress){.is_terminal = isatty(2), .is_quiet = is_quiet, .shown = -1e9};
}

static void time_text(double seconds, char out[TIME_TEXT]) {
  int64_t s = (int64_t)(seconds + 0.5);
  if (s >= 3600) snprintf(out, TIME_TEXT, "%lldh%02lldm", (long long)(s / 3600), (long long)(s / 60 % 60));
  else snprintf(out, TIME_TEXT, "%lldm%02llds", (long long)(s / 60), (long long)(s % 60));
}

static int terminal_width(void) {
  struct winsize size;
  return ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

void progress_step(void *context, const TrainStep *step) {
  Progress *progress = context;
  double every = progress->is_terminal ? 0.1 : PLAIN_EVERY;
  if (progress->is_quiet || (step->seconds - progress->shown < every && step->step < step->steps)) return;
  progress->shown = step->seconds;
  char left[TIME_TEXT], line[320], bar[BAR + 1];
  time_text(step->left, left);
  int full = (int)(BAR * step->step / step->steps);
  memset(bar, '.', BAR);
  memset(bar, '#', (size_t)full);
  bar[BAR] = 0;
  int n =
      snprintf(line, sizeof line, "[%s] epoch %lld/%lld step %lld/%lld  loss %.4f  lr %.2e  %.1f pictures/s  %s left",
               bar, (long long)step->epoch, (long long)step->epochs, (long long)step->step, (long long)step->steps,
               step->loss, step->lr, step->pictures, left);
  if (!progress->is_terminal) {
    fprintf(stderr, "%s\n", line + BAR + 3);
    return;
  }
  int width = terminal_width() - 1;
  fprintf(stderr, "\r%.*s\033[K", n < width ? n : width, line);
}

void progress_epoch(void *context, const TrainEpoch *epoch) {
  Progress *progress = context;
  if (progress->is_terminal && (!progress->is_quiet || epoch->collapsed)) fputs("\r\033[K", stderr);
  if (epoch->collapsed)
    fprintf(stderr,
            "WARNING: the output 'depth' is the same everywhere: %g m, deviation %g m over all pixels and pictures of "
            "the validation (%lld in a row)\n",
            epoch->mean, epoch->deviation, (long long)epoch->collapsed);
  if (progress->is_quiet) return;
  fprintf(stderr, "epoch %lld/%lld  loss %.4f  delta1 %.4f  abs_rel %.4f  rmse %.4f m%s\n", (long long)epoch->epoch,
          (long long)epoch->epochs, epoch->loss, metrics_mean(&epoch->metrics, METRIC_DELTA1),
          metrics_mean(&epoch->metrics, METRIC_ABS_REL), metrics_mean(&epoch->metrics, METRIC_RMSE),
          epoch->is_best ? "  (best so far, saved)" : "");
}

void progress_pictures(Progress *progress, int64_t done, int64_t total, double seconds) {
  double every = progress->is_terminal ? 0.1 : PLAIN_EVERY;
  if (progress->shown < 0) progress->shown = progress->is_terminal ? -1 : 0;
  if (progress->is_quiet || seconds - progress->shown < every) return;
  progress->shown = seconds;
  char of[32] = "";
  if (total) snprintf(of, sizeof of, "/%lld", (long long)total);
  fprintf(stderr,
          progress->is_terminal ? "\r%lld%s pictures  %.2f pictures/s\033[K" : "%lld%s pictures  %.2f pictures/s\n",
          (long long)done, of, (double)done / seconds);
}

void progress_stop(void *context, const char *reason) {
  Progress *progress = context;
  if (progress->is_quiet) return;
  if (progress->is_terminal) fputs("\r\033[K", stderr);
  fprintf(stderr, "%s\n", reason);
}

void progress_diverged(void *context, const char *directory) {
  (void)directory; // the error says it
  Progress *progress = context;
  progress->has_diverged = true;
}

void progress_end(Progress *progress) {
  if (progress->is_terminal && !progress->is_quiet) fputs("\r\033[K", stderr);
}
