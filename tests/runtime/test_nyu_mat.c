// NYU .mat: a file of the same structure, written here, comes out pixel by pixel; resuming, choices, splits, damage.
#include "runtime/data/nyu_mat.h"

#include <hdf5.h>
#include <sys/stat.h>
#include <zlib.h>

#include "runtime/base/file.h"
#include "runtime/data/mat5.h"
#include "runtime/data/pairs.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

enum { N = 5, W = 41, H = 23 };

// What pixel (x, y) of pair n holds; no two neighbours, channels or pairs agree.
static uint8_t colour(int n, int c, int x, int y) { return (uint8_t)(n * 50 + c * 7 + x * 3 + y * 11); }
static float raw(int n, int x, int y) {
  return (x + y) % 9 == 0 ? 0 : 0.5f + 0.1234f * (float)x + 0.031f * (float)y + (float)n;
}
static float filled(int n, int x, int y) { return raw(n, x, y) > 0 ? raw(n, x, y) : 2.25f; }

static hid_t write_array(hid_t file, const char *name, int rank, const hsize_t *size, const hsize_t *chunk, hid_t type,
                         const void *data) {
  hid_t space = H5Screate_simple(rank, size, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
  if (chunk) {
    H5Pset_chunk(list, rank, chunk);
    H5Pset_deflate(list, 3);
  }
  hid_t array = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
  if (data) H5Dwrite(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
  H5Pclose(list);
  H5Sclose(space);
  return array;
}

// `scenes`: a cell array, that is references to arrays of 16-bit characters.
static void write_scenes(hid_t file) {
  static const char *const names[N] = {"kitchen_0004a", "kitchen_0004b", "office_0001", "office_0001", "bath_0002"};
  hobj_ref_t cells[N];
  hid_t group = H5Gcreate2(file, "#refs#", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  for (int i = 0; i < N; i++) {
    uint16_t letters[32];
    hsize_t size[2] = {strlen(names[i]), 1};
    char path[32];
    for (size_t k = 0; k < strlen(names[i]); k++) letters[k] = (uint16_t)names[i][k];
    snprintf(path, sizeof path, "#refs#/%c", 'a' + i);
    H5Dclose(write_array(file, path, 2, size, NULL, H5T_NATIVE_UINT16, letters));
    H5Rcreate(&cells[i], file, path, H5R_OBJECT, -1);
  }
  hsize_t size[2] = {1, N};
  H5Dclose(write_array(file, "scenes", 2, size, NULL, H5T_STD_REF_OBJ, cells));
  H5Gclose(group);
}

// As MATLAB has it: 512 bytes of its own in front, dimensions in reverse, chunks over several pictures.
static void write_mat(const char *path, bool has_depths, int depth_width) {
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  H5Pset_userblock(creation, 512);
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, H5P_DEFAULT);
  static uint8_t images[N][3][W][H];
  static float depths[N * W * H], raws[N * W * H];
  for (int n = 0; n < N; n++)
    for (int x = 0; x < W; x++)
      for (int y = 0; y < H; y++) {
        for (int c = 0; c < 3; c++) images[n][c][x][y] = colour(n, c, x, y);
        depths[(n * W + x) * H + y] = filled(n, x, y);
        raws[(n * W + x) * H + y] = raw(n, x, y);
      }
  hsize_t size[4] = {N, 3, W, H}, chunk[4] = {2, 1, 16, 10};
  hsize_t depth_size[3] = {N, (hsize_t)depth_width, H}, depth_chunk[3] = {3, 10, 10};
  H5Dclose(write_array(file, "images", 4, size, chunk, H5T_NATIVE_UINT8, images));
  if (has_depths) {
    H5Dclose(write_array(file, "depths", 3, depth_size, depth_chunk, H5T_NATIVE_FLOAT, depths));
    H5Dclose(write_array(file, "rawDepths", 3, depth_size, NULL, H5T_NATIVE_FLOAT, raws));
  }
  write_scenes(file);
  H5Fclose(file);
  H5Pclose(creation);
}

static void expect_error(Status status, ExitCode code, const char *words) {
  CHECK(status_code(status) == code && strstr(status_message(status), words), "code %d, '%s' should say '%s'",
        status_code(status), status_message(status), words);
  status_free(status);
}

// Compares the pair's files with what was put in.
static void check_pair(const char *directory, int n, bool is_filled) {
  char name[64];
  Image picture = {0};
  DepthMap depth = {0};
  snprintf(name, sizeof name, "%s/rgb/%05d.png", directory, n);
  Status status = image_read(scratch_path(name), &picture);
  snprintf(name, sizeof name, "%s/depth/%05d.png", directory, n);
  if (!status) status = depth_read_png(scratch_path(name), 0, &depth);
  CHECK(!status && picture.width == W && picture.height == H && depth.width == W && depth.height == H,
        "pair %d is %dx%d: %s", n, picture.width, picture.height, status_message(status));
  if (status) return;
  int n_wrong = 0;
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++) {
      for (int c = 0; c < 3; c++) n_wrong += picture.rgb[3 * (y * W + x) + c] != colour(n, c, x, y);
      float wanted = is_filled ? filled(n, x, y) : raw(n, x, y), got = depth.metres[y * W + x];
      n_wrong += wanted == 0 ? got != 0 : fabsf(got - wanted) > 0.000501f;
    }
  CHECK(n_wrong == 0, "pair %d: %d values differ", n, n_wrong);
  image_free(&picture);
  depth_free(&depth);
}

static void test_import(void) {
  char file[512], directory[512];
  snprintf(file, sizeof file, "%s", scratch_path("labelled.mat"));
  snprintf(directory, sizeof directory, "%s", scratch_path("out"));
  write_mat(file, true, W);
  NyuImport import = {.file = file, .directory = directory, .limit = 2, .threads = 1};
  NyuImported done;
  Status status = nyu_import(&import, &done);
  CHECK(!status && done.n_pairs == 2 && done.n_written == 2, "%s", status_message(status));

  // Goes on: one file of the second pair is gone, and the limit is lifted.
  CHECK(!remove(scratch_path("out/depth/00001.png")), "removed");
  import.limit = 0;
  status = nyu_import(&import, &done);
  CHECK(!status && done.n_pairs == N && done.n_written == N - 1, "%lld written: %s", (long long)done.n_written,
        status_message(status));
  for (int n = 0; n < N; n++) check_pair("out", n, false);
  status = nyu_import(&import, &done);
  CHECK(!status && done.n_written == 0, "nothing is left to do: %s", status_message(status));

  import.is_filled = true;
  expect_error(nyu_import(&import, &done), EXIT_USAGE, "other choices");
  snprintf(directory, sizeof directory, "%s", scratch_path("filled"));
  status = nyu_import(&import, &done);
  CHECK(!status, "%s", status_message(status));
  for (int n = 0; n < N; n++) check_pair("filled", n, true);

  Pairs pairs;
  status = pairs_open(directory, NULL, 0, &pairs);
  CHECK(!status && pairs.n == N && pairs.depth_scale == 1000, "%s", status_message(status));
  CHECK_TEXT(pairs.kind, "manifest", "kind");
  CHECK_TEXT(pairs.pair[1].group, "kitchen_0004", "scenes, without the recording's letter");
  pairs_free(&pairs);
}

static void test_border(void) {
  char file[512], directory[512];
  snprintf(file, sizeof file, "%s", scratch_path("labelled.mat"));
  snprintf(directory, sizeof directory, "%s", scratch_path("border"));
  NyuImport import = {.file = file, .directory = directory, .is_blackened = true, .limit = 1};
  NyuImported done;
  Status status = nyu_import(&import, &done);
  CHECK(!status, "%s", status_message(status));
  Image picture;
  status = image_read(scratch_path("border/rgb/00000.png"), &picture);
  CHECK(!status, "%s", status_message(status));
  if (status) return;
  const uint8_t *inside = picture.rgb + 3 * (7 * W + 7), *above = picture.rgb + 3 * (6 * W + 7);
  CHECK(inside[0] == colour(0, 0, 7, 7) && above[0] == 0 && above[1] == 0, "rows and columns from 7 on stay");
  image_free(&picture);
}

// ---- Splits, in both formats

static void put_word(Text *text, uint32_t word) {
  for (int i = 0; i < 4; i++) text_write(text, &(char){(char)(word >> 8 * i)}, 1);
}

static void pad(Text *text) {
  while (text->size % 8) text_write(text, "", 1);
}

// A column of doubles, stored as `type`: double (9), uint16 (4) or uint8 (2) as MATLAB shrinks whole numbers.
static void put_matrix(Text *out, const char *name, uint32_t type, const double *values, uint32_t n) {
  Text body = {0};
  put_word(&body, 6), put_word(&body, 8), put_word(&body, 6), put_word(&body, 0);
  put_word(&body, 5), put_word(&body, 8), put_word(&body, n), put_word(&body, 1);
  put_word(&body, 1), put_word(&body, (uint32_t)strlen(name));
  text_put(&body, name);
  pad(&body);
  uint32_t width = type == 9 ? 8 : type == 4 ? 2 : 1;
  if (width * n <= 4) put_word(&body, type | width * n << 16);
  else put_word(&body, type), put_word(&body, width * n);
  for (uint32_t i = 0; i < n; i++) {
    uint16_t narrow = (uint16_t)values[i];
    text_write(&body, type == 9 ? (const void *)&values[i] : &narrow, width);
  }
  pad(&body);
  put_word(out, 14), put_word(out, (uint32_t)body.size);
  text_write(out, body.data, body.size);
  text_free(&body);
}

static void put_compressed(Text *out, const Text *element) {
  uLongf size = compressBound(element->size);
  Bytef *data = malloc(size);
  CHECK(compress(data, &size, (const Bytef *)element->data, element->size) == Z_OK, "compressed");
  put_word(out, 15), put_word(out, (uint32_t)size);
  text_write(out, data, size);
  free(data);
}

static void write_splits(const char *name, bool is_compressed, double last) {
  const double train[] = {2, 4}, test[] = {1, 3, last};
  Text out = {0}, one = {0};
  text_printf(&out, "%-116s", "MATLAB 5.0 MAT-file, Platform: GLNX86");
  for (int i = 0; i < 8; i++) text_write(&out, "", 1);
  text_write(&out, "\x00\x01IM", 4);
  for (int i = 0; i < 2; i++) {
    text_clear(&one);
    if (i) put_matrix(&one, "testNdxs", is_compressed ? 4 : 9, test, 3);
    else put_matrix(&one, "trainNdxs", is_compressed ? 2 : 9, train, 2);
    if (is_compressed) put_compressed(&out, &one);
    else text_write(&out, one.data, one.size);
  }
  CHECK(!file_write(scratch_path(name), out.data, out.size), "%s", name);
  text_free(&out);
  text_free(&one);
}

static void write_hdf5_splits(const char *name) {
  const double train[] = {2, 4}, test[] = {1, 3, 5};
  hid_t file = H5Fcreate(scratch_path(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  hsize_t two[2] = {1, 2}, three[2] = {1, 3};
  H5Dclose(write_array(file, "trainNdxs", 2, two, NULL, H5T_NATIVE_DOUBLE, train));
  H5Dclose(write_array(file, "testNdxs", 2, three, NULL, H5T_NATIVE_DOUBLE, test));
  H5Fclose(file);
}

static void test_splits(void) {
  char file[512], directory[512], splits[512];
  snprintf(file, sizeof file, "%s", scratch_path("labelled.mat"));
  snprintf(directory, sizeof directory, "%s", scratch_path("out"));
  NyuImport import = {.file = file, .directory = directory, .splits = splits};
  NyuImported done;
  write_splits("plain.mat", false, 5);
  write_splits("small.mat", true, 5);
  write_hdf5_splits("modern.mat");
  const char *names[] = {"plain.mat", "small.mat", "modern.mat"};
  for (int k = 0; k < 3; k++) {
    snprintf(splits, sizeof splits, "%s", scratch_path(names[k]));
    Pairs pairs = {0};
    Status status = nyu_import(&import, &done);
    CHECK(!status && done.n_written == 0, "%s: %s", names[k], status_message(status));
    if (!status) status = pairs_open(directory, NULL, 0, &pairs);
    CHECK(!status, "%s: %s", names[k], status_message(status));
    for (int i = 0; i < pairs.n; i++)
      CHECK(pairs.pair[i].split == (i % 2 ? SPLIT_TRAIN : SPLIT_TEST), "%s: pair %d", names[k], i);
    pairs_free(&pairs);
  }
  write_splits("far.mat", true, 6);
  snprintf(splits, sizeof splits, "%s", scratch_path("far.mat"));
  expect_error(nyu_import(&import, &done), EXIT_DATA, "names pair 6 of 5");
  snprintf(splits, sizeof splits, "%s", scratch_path("absent.mat"));
  expect_error(nyu_import(&import, &done), EXIT_DATA, "absent.mat");

  // Damaged at every length and every byte: an error or a result, and no crash.
  Text data = {0};
  CHECK(!file_read(scratch_path("small.mat"), &data), "read");
  int n_errors = 0;
  for (size_t size = 0; size < data.size; size++) {
    double *values;
    int64_t n;
    void *cut = malloc(size + 1); // of its own, so that the sanitizer sees what is beyond it
    memcpy(cut, data.data, size);
    Status status = mat5_read("cut", cut, size, "testNdxs", &values, &n);
    n_errors += status != STATUS_OK;
    status_free(status);
    free(values);
    free(cut);
  }
  CHECK(n_errors == (int)data.size, "%d of %zu cuts are refused", n_errors, data.size);
  for (size_t i = 0; i < data.size; i++) {
    double *values;
    int64_t n;
    data.data[i] ^= 0x55;
    status_free(mat5_read("bent", data.data, data.size, "testNdxs", &values, &n));
    data.data[i] ^= 0x55;
    free(values);
  }
  text_free(&data);
}

static void test_wrong(void) {
  char file[512], directory[512];
  snprintf(directory, sizeof directory, "%s", scratch_path("wrong"));
  NyuImport import = {.file = file, .directory = directory};
  NyuImported done;
  snprintf(file, sizeof file, "%s", scratch_path("absent.mat"));
  expect_error(nyu_import(&import, &done), EXIT_DATA, "there is no file");
  snprintf(file, sizeof file, "%s", scratch_path("text.mat"));
  CHECK(!file_write(file, "MATLAB", 6), "text");
  expect_error(nyu_import(&import, &done), EXIT_DATA, "HDF5");
  snprintf(file, sizeof file, "%s", scratch_path("nodepth.mat"));
  write_mat(file, false, W);
  expect_error(nyu_import(&import, &done), EXIT_DATA, "no array 'rawDepths'");
  snprintf(file, sizeof file, "%s", scratch_path("turned.mat"));
  write_mat(file, true, W - 1);
  expect_error(nyu_import(&import, &done), EXIT_DATA, "do not belong together");
  CHECK(!file_exists(directory), "nothing is written before the file is understood");

  Text data = {0};
  CHECK(!file_read(scratch_path("labelled.mat"), &data), "read");
  snprintf(file, sizeof file, "%s", scratch_path("short.mat"));
  CHECK(!file_write(file, data.data, data.size / 2), "cut");
  expect_error(nyu_import(&import, &done), EXIT_DATA, "short.mat");
  text_free(&data);

  snprintf(file, sizeof file, "%s", scratch_path("labelled.mat"));
  snprintf(directory, sizeof directory, "/dev/null/x");
  expect_error(nyu_import(&import, &done), EXIT_DATA, "cannot make");
}

int main(void) {
  test_import();
  test_border();
  test_splits();
  test_wrong();
  return check_report("test_nyu_mat");
}
