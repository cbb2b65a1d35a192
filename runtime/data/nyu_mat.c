// NYU .mat: the labelled part of NYU Depth v2, an HDF5 file, unpacked into pictures and depth maps.
#include "runtime/data/nyu_mat.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/data/mat5.h"
#include "runtime/data/pairs.h"

// The rows and columns that is_blackened keeps, of 480x640 (MODELS.md section 12).
enum { KEEP_TOP = 7, KEEP_BOTTOM = 474, KEEP_LEFT = 7, KEEP_RIGHT = 632 };

// The open file; ids are -1 where there is nothing.
typedef struct Labelled {
  hid_t file, images, depths, scenes;
  int64_t n;
  int width, height;
} Labelled;

static void close_dataset(hid_t id) {
  if (id >= 0) H5Dclose(id);
}

static void labelled_close(Labelled *mat) {
  close_dataset(mat->images);
  close_dataset(mat->depths);
  close_dataset(mat->scenes);
  if (mat->file >= 0) H5Fclose(mat->file);
}

// Opens an array with a cache that holds all chunks of one picture: a chunk may span several pictures, and would
// otherwise be decompressed for each of them.
static hid_t open_array(hid_t file, const char *name) {
  if (H5Lexists(file, name, H5P_DEFAULT) <= 0) return -1;
  hid_t id = H5Dopen2(file, name, H5P_DEFAULT);
  if (id < 0) return -1;
  hid_t creation = H5Dget_create_plist(id), space = H5Dget_space(id), type = H5Dget_type(id);
  hsize_t chunk[8], size[8];
  int rank = H5Sget_simple_extent_dims(space, NULL, NULL);
  double bytes = 0;
  if (rank >= 1 && rank <= 8 && H5Pget_layout(creation) == H5D_CHUNKED && H5Pget_chunk(creation, rank, chunk) == rank &&
      H5Sget_simple_extent_dims(space, size, NULL) == rank) {
    bytes = (double)chunk[0] * (double)H5Tget_size(type);
    for (int i = 1; i < rank; i++) bytes *= ceil((double)size[i] / (double)chunk[i]) * (double)chunk[i];
  }
  H5Tclose(type);
  H5Sclose(space);
  H5Pclose(creation);
  if (bytes > 1e6) {
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, 65537, (size_t)fmin(bytes * 1.1, 1e9), 1);
    H5Dclose(id);
    id = H5Dopen2(file, name, access);
    H5Pclose(access);
  }
  return id;
}

// The sizes of an array of the given rank; false if it has another.
static bool array_dims(hid_t id, int rank, hsize_t *out) {
  if (id < 0) return false;
  hid_t space = H5Dget_space(id);
  bool is_right = H5Sget_simple_extent_ndims(space) == rank && H5Sget_simple_extent_dims(space, out, NULL) == rank;
  H5Sclose(space);
  return is_right;
}

static Status open_labelled(const NyuImport *import, Labelled *out) {
  const char *path = import->file, *depths = import->is_filled ? "depths" : "rawDepths";
  *out = (Labelled){-1, -1, -1, -1, 0, 0, 0};
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL); // messages are ours to give
  if (!file_exists(path)) return status_make(EXIT_DATA, "there is no file '%s'", path);
  out->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (out->file < 0)
    return status_make(EXIT_DATA, "'%s' is no MATLAB file of version 7.3 (HDF5), or is truncated", path);
  out->images = open_array(out->file, "images");
  out->depths = open_array(out->file, depths);
  if (H5Lexists(out->file, "scenes", H5P_DEFAULT) > 0) out->scenes = H5Dopen2(out->file, "scenes", H5P_DEFAULT);
  if (out->images < 0 || out->depths < 0)
    return status_make(EXIT_DATA, "'%s' has no array '%s': is it nyu_depth_v2_labeled.mat?", path,
                       out->images < 0 ? "images" : depths);
  hsize_t image[4], depth[3];
  if (!array_dims(out->images, 4, image) || !array_dims(out->depths, 3, depth))
    return status_make(EXIT_DATA, "'%s': images must have four dimensions and %s three", path, depths);
  if (image[1] != 3 || image[0] != depth[0] || image[2] != depth[1] || image[3] != depth[2])
    return status_make(EXIT_DATA,
                       "'%s': images of %llux%llux%llux%llu and %s of %llux%llux%llu do not belong together as "
                       "[n][3][width][height] and [n][width][height]",
                       path, (unsigned long long)image[0], (unsigned long long)image[1], (unsigned long long)image[2],
                       (unsigned long long)image[3], depths, (unsigned long long)depth[0], (unsigned long long)depth[1],
                       (unsigned long long)depth[2]);
  if (image[2] < 1 || image[3] < 1 || image[2] > IMAGE_MAX_SIDE || image[3] > IMAGE_MAX_SIDE ||
      image[2] * image[3] > IMAGE_MAX_PIXELS || image[0] > 10 * 1000 * 1000)
    return status_make(EXIT_DATA, "'%s': %llu pictures of %llux%llu are not possible", path,
                       (unsigned long long)image[0], (unsigned long long)image[2], (unsigned long long)image[3]);
  out->n = (int64_t)image[0];
  out->width = (int)image[2];
  out->height = (int)image[3];
  return STATUS_OK;
}

// Reads entry `index` of the first dimension, all of the others.
static Status read_one(const NyuImport *import, hid_t array, int rank, int64_t index, hid_t type, void *out) {
  hsize_t start[4] = {(hsize_t)index}, count[4];
  hid_t space = H5Dget_space(array);
  H5Sget_simple_extent_dims(space, count, NULL);
  count[0] = 1;
  H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
  hid_t memory = H5Screate_simple(rank, count, NULL);
  herr_t code = H5Dread(array, type, memory, space, H5P_DEFAULT, out);
  H5Sclose(memory);
  H5Sclose(space);
  if (code < 0) return status_make(EXIT_DATA, "'%s': pair %lld cannot be read", import->file, (long long)index);
  return STATUS_OK;
}

static Status read_picture(const NyuImport *import, const Labelled *mat, int64_t index, Image *out) {
  size_t plane = (size_t)mat->width * (size_t)mat->height;
  uint8_t *columns = malloc(3 * plane);
  if (!columns) BUG("out of memory");
  Status status = read_one(import, mat->images, 4, index, H5T_NATIVE_UINT8, columns);
  if (!status) {
    image_alloc(out, mat->width, mat->height);
    bool is_cut = import->is_blackened;
    for (int y = 0; y < mat->height; y++)
      for (int x = 0; x < mat->width; x++) {
        if (is_cut && (y < KEEP_TOP || y >= KEEP_BOTTOM || x < KEEP_LEFT || x >= KEEP_RIGHT)) continue;
        for (size_t c = 0; c < 3; c++)
          out->rgb[3 * ((size_t)y * (size_t)mat->width + (size_t)x) + c] =
              columns[c * plane + (size_t)x * (size_t)mat->height + (size_t)y];
      }
  }
  free(columns);
  return status;
}

static Status read_depth(const NyuImport *import, const Labelled *mat, int64_t index, DepthMap *out) {
  float *columns = malloc(sizeof *columns * (size_t)mat->width * (size_t)mat->height);
  if (!columns) BUG("out of memory");
  Status status = read_one(import, mat->depths, 3, index, H5T_NATIVE_FLOAT, columns);
  if (!status) {
    depth_alloc(out, mat->width, mat->height);
    for (int y = 0; y < mat->height; y++)
      for (int x = 0; x < mat->width; x++)
        out->metres[(size_t)y * (size_t)mat->width + (size_t)x] = columns[(size_t)x * (size_t)mat->height + (size_t)y];
  }
  free(columns);
  return status;
}

// The text of cell `index` of a cell array: a reference to an array of 16-bit characters. "" where it is none.
static void read_scene(const Labelled *mat, const hobj_ref_t *cell, char *out, size_t bytes) {
  *out = 0;
  if (!cell) return;
  hid_t text = H5Rdereference2(mat->scenes, H5P_DEFAULT, H5R_OBJECT, cell);
  if (text < 0) return;
  hid_t space = H5Iget_type(text) == H5I_DATASET ? H5Dget_space(text) : -1;
  hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : 0;
  uint16_t letters[256];
  if (n > 0 && n < 256 && (size_t)n < bytes &&
      H5Dread(text, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, letters) >= 0) {
    for (hssize_t i = 0; i < n; i++) out[i] = letters[i] >= 32 && letters[i] < 127 ? (char)letters[i] : '_';
    out[n] = 0;
    if (n > 1 && out[n - 1] >= 'a' && out[n - 1] <= 'z' && out[n - 2] >= '0' && out[n - 2] <= '9') out[n - 1] = 0;
  }
  if (space >= 0) H5Sclose(space);
  H5Oclose(text);
}

static hobj_ref_t *read_cells(const Labelled *mat) {
  hid_t type = mat->scenes >= 0 ? H5Dget_type(mat->scenes) : -1,
        space = mat->scenes >= 0 ? H5Dget_space(mat->scenes) : -1;
  hobj_ref_t *cells = NULL;
  if (type >= 0 && H5Tequal(type, H5T_STD_REF_OBJ) > 0 && H5Sget_simple_extent_npoints(space) == mat->n) {
    cells = calloc((size_t)mat->n + 1, sizeof *cells);
    if (!cells) BUG("out of memory");
    if (H5Dread(mat->scenes, H5T_STD_REF_OBJ, H5S_ALL, H5S_ALL, H5P_DEFAULT, cells) < 0) {
      free(cells);
      cells = NULL;
    }
  }
  if (type >= 0) H5Tclose(type);
  if (space >= 0) H5Sclose(space);
  return cells;
}

// ---- Splits ----

// The numbers of a variable of splits.mat, whichever version of MATLAB wrote it.
static Status read_indices(const char *path, const char *variable, double **out, int64_t *out_n) {
  Text data = {0};
  Status status = file_read(path, &data);
  if (!status && mat5_is(data.data, data.size)) {
    status = mat5_read(path, data.data, data.size, variable, out, out_n);
    text_free(&data);
    return status;
  }
  text_free(&data);
  if (status) return status;
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) return status_make(EXIT_DATA, "'%s' is no MATLAB file", path);
  hid_t array = H5Lexists(file, variable, H5P_DEFAULT) > 0 ? H5Dopen2(file, variable, H5P_DEFAULT) : -1;
  hid_t space = array >= 0 ? H5Dget_space(array) : -1;
  hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
  if (n >= 0 && n < 10 * 1000 * 1000) {
    *out = calloc((size_t)n + 1, sizeof **out);
    if (!*out) BUG("out of memory");
    *out_n = n;
    if (H5Dread(array, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, *out) < 0) n = -1;
  }
  if (n < 0) status = status_make(EXIT_DATA, "'%s' has no array '%s'", path, variable);
  if (space >= 0) H5Sclose(space);
  close_dataset(array);
  H5Fclose(file);
  return status;
}

static Status read_split(const char *path, const char *variable, Split split, int64_t n_pairs, Split *splits) {
  double *indices = NULL;
  int64_t n = 0;
  Status status = read_indices(path, variable, &indices, &n);
  for (int64_t i = 0; i < n && !status; i++) {
    if (!(indices[i] >= 1 && indices[i] <= (double)n_pairs))
      status = status_make(EXIT_DATA, "'%s': %s names pair %g of %lld", path, variable, indices[i], (long long)n_pairs);
    else splits[(int64_t)indices[i] - 1] = split; // MATLAB counts from 1
  }
  free(indices);
  return status;
}

// ---- Writing ----

// The choices that decide what the files hold, kept in DIRECTORY/import.json.
static Status agree_on_choices(const NyuImport *import, const Labelled *mat) {
  Text now = {0}, before = {0};
  char *path = path_under(import->directory, "import.json");
  text_printf(&now,
              "{\"schema\":\"sgrun.import/1\",\"depth\":\"%s\",\"border\":\"%s\",\"pairs\":%lld,\"width\":%d,"
              "\"height\":%d}\n",
              import->is_filled ? "depths" : "rawDepths", import->is_blackened ? "black" : "kept", (long long)mat->n,
              mat->width, mat->height);
  Status status = STATUS_OK;
  if (file_exists(path)) {
    status = file_read(path, &before);
    if (!status && strcmp(text_get(&before), text_get(&now)))
      status = status_make(EXIT_USAGE, "'%s' was unpacked with other choices (%.*s); choose another place",
                           import->directory, (int)strcspn(text_get(&before), "\n"), text_get(&before));
  } else {
    status = file_write(path, now.data, now.size);
  }
  text_free(&now);
  text_free(&before);
  free(path);
  return status;
}

static Status write_pair(const NyuImport *import, const Labelled *mat, int64_t index, const char *rgb,
                         const char *depth) {
  Image picture = {0};
  DepthMap map = {0};
  Status status = read_picture(import, mat, index, &picture);
  if (!status) status = read_depth(import, mat, index, &map);
  if (!status) status = image_write_png(rgb, &picture, NULL, 0);
  if (!status) status = depth_write_png(depth, &map);
  image_free(&picture);
  depth_free(&map);
  return status;
}

static Status write_all(const NyuImport *import, const Labelled *mat, const Split *splits, Pairs *pairs,
                        NyuImported *out) {
  hobj_ref_t *cells = read_cells(mat);
  int64_t n = import->limit > 0 && import->limit < mat->n ? import->limit : mat->n;
  Status status = STATUS_OK;
  for (int64_t i = 0; i < n && !status; i++) {
    char name[32], scene[256], *rgb, *depth;
    snprintf(name, sizeof name, "%05lld", (long long)i);
    if (asprintf(&rgb, "%s/rgb/%s.png", import->directory, name) < 0 ||
        asprintf(&depth, "%s/depth/%s.png", import->directory, name) < 0)
      BUG("out of memory");
    if (!file_exists(rgb) || !file_exists(depth)) {
      status = write_pair(import, mat, i, rgb, depth);
      if (!status) out->n_written++;
    }
    read_scene(mat, cells ? &cells[i] : NULL, scene, sizeof scene);
    pairs_add(pairs, name, rgb, depth, scene, splits[i]);
    free(rgb);
    free(depth);
    if (!status && import->progress) import->progress(import->context, i + 1, n);
  }
  out->n_pairs = n;
  free(cells);
  return status;
}

static Status make_directories(const NyuImport *import) {
  Status status = STATUS_OK;
  const char *const names[] = {"rgb", "depth"};
  for (int i = 0; i < 2 && !status; i++) {
    char *path = path_under(import->directory, names[i]);
    status = file_make_directory(path);
    free(path);
  }
  return status;
}

Status nyu_import(const NyuImport *import, NyuImported *out) {
  *out = (NyuImported){0};
  Labelled mat;
  Split *splits = NULL;
  Pairs pairs = {.depth_scale = DEPTH_PNG_SCALE};
  char *manifest = path_under(import->directory, "dataset.json");
  Status status;
  TRY_GOTO(open_labelled(import, &mat));
  splits = calloc((size_t)mat.n + 1, sizeof *splits);
  if (!splits) BUG("out of memory");
  if (import->splits) {
    TRY_GOTO(read_split(import->splits, "trainNdxs", SPLIT_TRAIN, mat.n, splits));
    TRY_GOTO(read_split(import->splits, "testNdxs", SPLIT_TEST, mat.n, splits));
  }
  TRY_GOTO(make_directories(import));
  TRY_GOTO(agree_on_choices(import, &mat));
  TRY_GOTO(write_all(import, &mat, splits, &pairs, out));
  status = pairs_write_manifest(&pairs, manifest, import->threads);
fail:
  labelled_close(&mat);
  pairs_free(&pairs);
  free(splits);
  free(manifest);
  return status;
}
