// Schedule: one-cycle policies (Smith & Topin, 2018) in the slides' and in PyTorch's form.
#include "runtime/train/schedule.h"

#include <math.h>
#include <string.h>

Schedule schedule_one_cycle(double max_lr, int64_t steps) {
  return (Schedule){SCHEDULE_ONE_CYCLE, max_lr, steps, 0.3, 25, 100, 0.85, 0.95};
}

bool schedule_kind(const char *name, ScheduleKind *out) {
  static const char *const names[] = {"constant", "one_cycle", "one_cycle_torch"};
  for (int i = 0; i < 3; i++) {
    if (strcmp(name, names[i])) continue;
    *out = (ScheduleKind)i;
    return true;
  }
  return false;
}

static double linear(double a, double b, double x) { return a + (b - a) * x; }
static double cosine(double a, double b, double x) { return a + (b - a) * (1 - cos(M_PI * x)) / 2; }

void schedule_at(const Schedule *schedule, int64_t step, double *out_lr, double *out_beta1) {
  double low = schedule->beta1_low, high = schedule->beta1_high, max_lr = schedule->max_lr,
         first = max_lr / schedule->div;
  if (schedule->kind == SCHEDULE_CONSTANT) {
    *out_lr = max_lr;
    *out_beta1 = high;
    return;
  }
  bool is_torch = schedule->kind == SCHEDULE_ONE_CYCLE_TORCH;
  double last = (is_torch ? first : max_lr) / schedule->final_div;
  double t = (double)step, end = (double)schedule->steps - 1, peak = schedule->warmup * (double)schedule->steps - 1;
  if (t > end) t = end;
  if (t <= peak) {
    double x = t / peak;
    *out_lr = is_torch ? cosine(first, max_lr, x) : linear(first, max_lr, x);
    *out_beta1 = is_torch ? cosine(high, low, x) : linear(high, low, x);
  } else {
    double start = peak > 0 ? peak : 0, x = end > start ? (t - start) / (end - start) : 1;
    *out_lr = cosine(max_lr, last, x);
    *out_beta1 = cosine(low, high, x);
  }
}
