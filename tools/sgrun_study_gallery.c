// sgrun_study_gallery: what every part of a study makes of some test pictures: depth, error, and the weights of stacks.
#include <math.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/data/colour.h"
#include "tools/sgrun_predictor.h"
#include "tools/sgrun_stack.h"
#include "tools/sgrun_study.h"

enum { TILE_WIDTH = 176, FIXED_COLUMNS = 2, MAX_BASES = 8 };

// One picture's tiles: a row for the picture and its truth, then one for each part: depth, error, weights.
typedef struct Panel {
  char name[SAMPLE_NAME];
  Sample sample;
  Image *image; // [rows][columns]
  const char **label;
} Panel;

typedef struct Gallery {
  const Study *study;
  Panel *panels;
  int n_panels, columns, rows;
  double far, worst; // metres at the end of the colours, of depth and of error
} Gallery;

// Nearest pixels at the width of a tile.
static void put_tile(Gallery *gallery, Panel *panel, int row, int column, const Image *from, const char *label) {
  Image *tile = &panel->image[row * gallery->columns + column];
  int height = (from->height * TILE_WIDTH + from->width / 2) / from->width;
  image_alloc(tile, TILE_WIDTH, height > 0 ? height : 1);
  for (int y = 0; y < tile->height; y++)
    for (int x = 0; x < tile->width; x++) {
      int from_y = y * from->height / tile->height, from_x = x * from->width / tile->width;
      memcpy(tile->rgb + 3 * (y * tile->width + x), from->rgb + 3 * (from_y * from->width + from_x), 3);
    }
  panel->label[row * gallery->columns + column] = arena_strdup(gallery->study->text.arena, label);
}

static void put_map(Gallery *gallery, Panel *panel, int row, int column, const DepthMap *map, double far,
                    const char *label) {
  Image coloured;
  colour_depth(map, 0, far, &coloured);
  put_tile(gallery, panel, row, column, &coloured, label);
  image_free(&coloured);
}

// |prediction - truth|, and its mean over the pixels that have a truth; a perfect pixel is not taken for a missing one.
static double error_map(const DepthMap *depth, const DepthMap *truth, DepthMap *out) {
  double sum = 0;
  int64_t n = 0;
  depth_alloc(out, truth->width, truth->height);
  for (int64_t i = 0, size = (int64_t)truth->width * truth->height; i < size; i++) {
    if (!(truth->metres[i] > 0)) continue;
    double error = fabs((double)depth->metres[i] - truth->metres[i]);
    out->metres[i] = (float)fmax(error, 1e-6);
    sum += error;
    n++;
  }
  return n ? sum / (double)n : NAN;
}

static void put_weights(Gallery *gallery, Panel *panel, int row, const Predictor *predictor) {
  StackView view;
  Shape shape;
  if (!predictor_output(predictor, "W", &shape) || stack_view(predictor, "gallery", &view)) return;
  for (int k = 0; k < view.n_bases && k + FIXED_COLUMNS < gallery->columns; k++) {
    int64_t plane = (int64_t)view.width * view.height;
    DepthMap map;
    depth_alloc(&map, view.width, view.height);
    double sum = 0;
    for (int64_t i = 0; i < plane; i++) {
      map.metres[i] = (float)fmax(view.weights[k * plane + i], 1e-6);
      sum += view.weights[k * plane + i];
    }
    char label[96];
    snprintf(label, sizeof label, "W %s %.2f", stack_base_name(&view, k), sum / (double)plane);
    put_map(gallery, panel, row, FIXED_COLUMNS + k, &map, 1, label);
    depth_free(&map);
  }
}

static ExitCode put_part(Gallery *gallery, int part) {
  const Study *study = gallery->study;
  PredictorSet set;
  ExitCode code = predictors_open(study->cli, study_path(study, part, 0, "weights.safetensors"), 1, &set);
  for (int i = 0; i < gallery->n_panels && !code; i++) {
    Panel *panel = &gallery->panels[i];
    const Image *picture = &panel->sample.picture;
    const float *values;
    int width, height;
    predictor_size(&set, study->protocol->is_native, picture, &width, &height);
    code = predictor_run(set.predictor, picture, width, height, &values, &width, &height);
    if (code) break;
    DepthMap depth, error;
    char label[96];
    preprocess_depth(&set.preprocess, values, width, height, picture->width, picture->height, &depth);
    double mean = error_map(&depth, &panel->sample.depth, &error);
    put_map(gallery, panel, 1 + part, 0, &depth, gallery->far, study->parts[part].lang->label);
    snprintf(label, sizeof label, "error %.2f m", mean);
    put_map(gallery, panel, 1 + part, 1, &error, gallery->worst, label);
    put_weights(gallery, panel, 1 + part, set.predictor);
    depth_free(&depth);
    depth_free(&error);
  }
  predictors_close(&set);
  return code;
}

// Pictures spread evenly over the set.
static ExitCode open_panels(Gallery *gallery, int n_pictures) {
  const Study *study = gallery->study;
  TrainSettings settings = study->parts[0].settings;
  Dataset *dataset = NULL;
  ExitCode code = sgrun_judged(study->cli, &settings, study->has_test, &dataset);
  if (code) return code;
  if (n_pictures > dataset->size) n_pictures = (int)dataset->size;
  gallery->panels = ARENA_ARRAY(study->text.arena, Panel, n_pictures + 1);
  for (int i = 0; i < n_pictures; i++) {
    Panel *panel = &gallery->panels[gallery->n_panels];
    int64_t index = (2 * i + 1) * dataset->size / (2 * n_pictures);
    Status status = dataset_sample(dataset, index, &panel->sample);
    if (status) { // named when the parts were judged
      status_free(status);
      continue;
    }
    dataset_name(dataset, index, panel->name);
    panel->image = ARENA_ARRAY(study->text.arena, Image, gallery->rows * gallery->columns);
    panel->label = ARENA_ARRAY(study->text.arena, const char *, gallery->rows * gallery->columns);
    gallery->n_panels++;
    put_tile(gallery, panel, 0, 0, &panel->sample.picture, "picture");
    put_map(gallery, panel, 0, 1, &panel->sample.depth, gallery->far, "truth");
  }
  dataset_close(dataset);
  return code;
}

static ExitCode write_panel(Gallery *gallery, Panel *panel, int i, StudyPicture *out) {
  const Study *study = gallery->study;
  int n = gallery->rows * gallery->columns;
  Tile *tiles = ARENA_ARRAY(study->text.arena, Tile, n);
  Image blank, sheet;
  image_alloc(&blank, 1, 1);
  memset(blank.rgb, 255, 3);
  for (int k = 0; k < n; k++) tiles[k] = (Tile){panel->image[k].rgb ? &panel->image[k] : &blank, panel->label[k]};
  colour_sheet(tiles, n, gallery->columns, &sheet);
  const char *path = arena_printf(study->text.arena, "%s/gallery/%d.png", study->directory, i + 1);
  ExitCode code = cli_status(study->cli, image_write_png(path, &sheet, NULL, 0));
  if (!code) code = cli_status(study->cli, file_read(path, &out->png));
  out->caption =
      arena_printf(study->text.arena, "%s: depth in 0 .. %g m, error in 0 .. %g m, weights in 0 .. 1 with their means",
                   panel->name, gallery->far, gallery->worst);
  image_free(&sheet);
  image_free(&blank);
  return code;
}

ExitCode study_gallery(const Study *study, int n_pictures, StudyReport *report) {
  int columns = FIXED_COLUMNS + (study->lang->n_bases < MAX_BASES ? study->lang->n_bases : MAX_BASES);
  Gallery gallery = {.study = study,
                     .columns = columns,
                     .rows = study->lang->n_parts + 1,
                     .far = study->protocol->depth_max,
                     .worst = 1};
  ExitCode code = open_panels(&gallery, n_pictures);
  if (!code)
    code = cli_status(study->cli, file_make_directory(arena_printf(study->text.arena, "%s/gallery", study->directory)));
  for (int i = 0; i < study->lang->n_parts && !code && gallery.n_panels; i++) code = put_part(&gallery, i);
  report->gallery = ARENA_ARRAY(study->text.arena, StudyPicture, gallery.n_panels + 1);
  for (int i = 0; i < gallery.n_panels; i++) {
    Panel *panel = &gallery.panels[i];
    if (!code) code = write_panel(&gallery, panel, i, &report->gallery[report->n_gallery]);
    if (!code) report->n_gallery++;
    for (int k = 0; k < gallery.rows * gallery.columns; k++) image_free(&panel->image[k]);
    sample_free(&panel->sample);
  }
  return code;
}

void study_gallery_free(StudyReport *report) {
  for (int i = 0; i < report->n_gallery; i++) text_free(&report->gallery[i].png);
}
