// Panel: what a network sees, says, and where it is wrong, side by side as one picture.
#ifndef SG_REPORT_PANEL_H
#define SG_REPORT_PANEL_H

#include "runtime/data/colour.h"

// One row of the panel. Lent.
typedef struct PanelRow {
  const float *rgb;       // [3][height][width], ImageNet-normalised
  const float *truth;     // [height][width] metres, 0 = missing
  const float *predicted; // [predicted_height][predicted_width] metres
} PanelRow;

typedef struct PanelSize {
  int width, height;                     // of pictures and truths
  int predicted_width, predicted_height; // resized to the former (bilinear, aligned corners)
  double depth_max;                      // metres that the last colour stands for
} PanelSize;

// Rows of picture | depth | true depth | relative error |d - g| / g (the last colour: PANEL_ERROR and more; gray where
// there is no truth), with a line of label. The panel belongs to the caller.
#define PANEL_ERROR 0.5
void panel_draw(const PanelRow *rows, int n_rows, const PanelSize *size, Image *out);

#endif
