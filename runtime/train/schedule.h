// Schedule: learning rate and beta1 as functions of the step.
#ifndef SG_TRAIN_SCHEDULE_H
#define SG_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum ScheduleKind {
  SCHEDULE_CONSTANT,
  SCHEDULE_ONE_CYCLE,       // the slides' form: linear warm-up, cosine down to max_lr / final_div
  SCHEDULE_ONE_CYCLE_TORCH, // both phases cosine, down to max_lr / div / final_div
} ScheduleKind;

typedef struct Schedule {
  ScheduleKind kind;
  double max_lr;
  int64_t steps;                // T: the schedule covers steps 0 .. T-1
  double warmup;                // fraction of T; the peak is at warmup * T - 1
  double div, final_div;        // the first rate is max_lr / div
  double beta1_low, beta1_high; // beta1 runs opposite to the rate; both the same where it is not cycled
} Schedule;

// The values of the study: warm-up 0.3, div 25, final_div 100, beta1 0.95 .. 0.85.
Schedule schedule_one_cycle(double max_lr, int64_t steps);
// The kind of that name ("constant", "one_cycle", "one_cycle_torch"); false if there is none.
bool schedule_kind(const char *name, ScheduleKind *out);
void schedule_at(const Schedule *schedule, int64_t step, double *out_lr, double *out_beta1);

#endif
