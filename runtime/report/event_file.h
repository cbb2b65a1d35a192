// Event file: a run as TensorBoard shows it: scalars, pictures, the graph, the settings.
//
// A file is a sequence of TFRecords (tensorflow.org, "TFRecord and tf.train.Example"): length, its masked CRC-32C, an
// Event in protocol buffers, its masked CRC-32C. The messages are in tensorboard.proto.
#ifndef SG_REPORT_EVENT_FILE_H
#define SG_REPORT_EVENT_FILE_H

#include <stdbool.h>

#include "runtime/base/status.h"
#include "runtime/data/image.h"
#include "runtime/tensor.h"

typedef struct EventFile EventFile;

// Creates DIRECTORY/events.out.tfevents.SECONDS.HOST.PID, named so that it stands behind the files that are there. A
// run that starts anew (step 0) removes those; one that goes on after `step` steps keeps them and tells TensorBoard
// that what they say of later steps is void. Each function below gives EXIT_DATA where the file cannot be written.
Status event_file_open(const char *directory, int64_t step, EventFile **out);
// Whether it stands alone in its directory: what is told once a run is told in that file.
bool event_file_is_first(const EventFile *file);
void event_file_close(EventFile *file); // NULL is allowed

typedef struct EventScalar {
  const char *tag; // "train/loss": what stands before the slash is a section of the page
  double value;
} EventScalar;
Status event_file_scalars(EventFile *file, int64_t step, const EventScalar *scalars, int n);

Status event_file_image(EventFile *file, int64_t step, const char *tag, const Image *image);

// A node of the drawing. Slashes in names make groups that open and close.
typedef struct EventNode {
  const char *name, *op;
  const char *const *inputs; // names of nodes
  int n_inputs;
  Shape shape;      // of the result
  const char *text; // shown beside it; may be NULL
} EventNode;
Status event_file_graph(EventFile *file, const EventNode *nodes, int n);

// The settings, one flat JSON object, as a table of text and for the page that compares runs by their settings
// (hparams), where the scalars `tags` are the figures to compare.
Status event_file_settings(EventFile *file, const char *json, const char *const *tags, int n_tags);
// How the run ended, for that page.
Status event_file_end(EventFile *file, bool is_done);

#endif
