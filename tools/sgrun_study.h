// sgrun_study: a study's parts, where their files lie, and the steps that make them.
//
// Every step is a process of its own (sgrun train, eval, bench) that writes into the part's folder; a step is done when
// its result has its final name, so a study goes on where it stopped.
#ifndef SG_TOOLS_SGRUN_STUDY_H
#define SG_TOOLS_SGRUN_STUDY_H

#include <signal.h>

#include "runtime/report/study.h"
#include "tools/sgrun.h"

// What is known of a part before anything of it is trained.
typedef struct StudyPart {
  const LangPart *lang;
  const char *says;       // "stack(variant="d")"
  TrainSettings settings; // all that apply to it
  int64_t parameters, trained;
  double multiply_adds;
  int n_inherited; // bases whose weights it takes over: indices of parts
  const int *inherited;
} StudyPart;

typedef struct Study {
  const Cli *cli;
  Model text; // the file of the study; no model of it is meant
  const LangStudy *lang;
  StudyPart *parts;
  const char *directory;
  const volatile sig_atomic_t *stop;
  const Protocol *protocol;
  int n_repeats;
  int64_t seed; // of the first repetition
  bool has_test;
  int lock;         // descriptor that keeps other processes out of the directory; -1 = none yet
  int gap_part;     // the base that is trained for a share of its epochs; -1 = none
  double gap_share; // above 0, at most 1
} Study;

// The model of a part with its arguments bound, and N, H, W; model_close ends it in every case.
ExitCode study_model(const Study *study, const LangPart *part, int64_t batch, const TrainSettings *settings,
                     Model *out);

// Finds out all of StudyPart by building every model once, so that mistakes show before hours of training.
ExitCode study_describe(Study *study);

// DIRECTORY/seed1/01-NAME/file, or the folder itself if file is NULL; lent by the study's arena.
const char *study_path(const Study *study, int part, int repeat, const char *file);
enum { STUDY_SLUG = 64 };
void study_slug(const char *label, char out[STUDY_SLUG]); // letters, digits and dashes of a label

// Trains the part (or joins the weights of its bases where there is nothing to train), judges it on the sets that there
// are and times it, as far as that is not done. EXIT_INTERRUPTED after a stop.
ExitCode study_run_part(const Study *study, int part, int repeat);

// One figure of a part that is done, on the test pictures if there are any; NaN where it cannot be read.
double study_figure(const Study *study, int part, int repeat, Metric metric);

// Reads what the steps left into `report`, whose arrays live in the study's arena.
ExitCode study_collect(const Study *study, StudyReport *report);

// Runs some test pictures through all parts of the first repetition: pictures for the report, also written to
// DIRECTORY/gallery. The texts are freed by study_gallery_free.
ExitCode study_gallery(const Study *study, int n_pictures, StudyReport *report);
void study_gallery_free(StudyReport *report);

#endif
