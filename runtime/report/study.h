// Study report: what a study found, as one page of HTML without outside references, as Markdown and as JSON.
#ifndef SG_REPORT_STUDY_H
#define SG_REPORT_STUDY_H

#include <stdbool.h>

#include "runtime/base/text.h"
#include "runtime/report/bootstrap.h"
#include "runtime/train/metrics.h"

// One set of pictures on which everything was judged.
typedef enum StudySet {
  STUDY_TEST,       // seen by nobody before
  STUDY_VALIDATION, // the one by which the weights of each training were chosen: figures on it are optimistic
  STUDY_SETS
} StudySet;

typedef struct StudyCurve {
  int n_steps, n_epochs;        // of the first repetition
  double *step, *loss;          // [n_steps] smoothed training loss
  double *epoch_step, *abs_rel; // [n_epochs] on the validation set
} StudyCurve;

// One trained model. Arrays over repetitions have n_repeats entries, over pictures those of the report's set.
typedef struct StudyRow {
  const char *label, *says; // its name; what it is: "stack(variant="d")"
  bool is_base;
  int64_t parameters, trained;                 // elements of all parameters, and of those that its own training changes
  double multiply_adds;                        // of one picture
  double milliseconds;                         // of one picture, batch 1; NaN = not measured
  double megabytes;                            // of memory while predicting
  double *train_seconds;                       // [repeats]; 0 where there is nothing to train
  double (*metrics[STUDY_SETS])[METRIC_COUNT]; // [repeats]; NaN where the set is absent
  double (*pictures[STUDY_SETS])[METRIC_COUNT]; // [n_pictures] means over repetitions
  StudyCurve curve;
} StudyRow;

typedef struct StudyPicture {
  const char *caption;
  Text png; // the bytes of a PNG file
} StudyPicture;

typedef struct StudyReport {
  const char *title, *data, *machine, *command; // a line each
  const char *note[16];                         // which forms were used, and the like
  int n_notes;
  const Protocol *protocol;
  StudyRow *rows;
  int n_rows, n_bases, n_repeats; // bases stand first
  int64_t n_pictures[STUDY_SETS]; // 0 = the set is absent
  StudyPicture *gallery;
  int n_gallery;
} StudyReport;

// Mean and sample deviation over the repetitions (deviation 0 for one).
void study_mean(const StudyReport *report, const StudyRow *row, StudySet set, Metric metric, double *out_mean,
                double *out_deviation);

// Whether a row has the best (1) or the second best (2) mean of a metric among all rows; 0 otherwise. Equal means share
// a rank.
int study_rank(const StudyReport *report, int row, StudySet set, Metric metric);

// Row a minus row b in a metric: a 95 % interval from 10,000 resamples of the set's pictures.
Interval study_difference(const StudyReport *report, int a, int b, StudySet set, Metric metric);

// What a table on that set is called: "On 128 test pictures that no training saw".
void study_heading(const StudyReport *report, StudySet set, Text *out);

// Each appends a whole document. The best figure of each metric is bold, the second best underlined.
void study_html(const StudyReport *report, Text *out);
void study_markdown(const StudyReport *report, Text *out);
void study_json(const StudyReport *report, Text *out);

#endif
