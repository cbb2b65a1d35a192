// Pairs: every layout is recognised, splits, missing files, manifests, lists and what is wrong with them.
#include "runtime/base/file.h"
#include "runtime/data/pairs.h"
#include "runtime/data/report.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

static void make_directory(const char *name) {
  Status status = file_make_directory(scratch_path(name));
  CHECK(!status, "%s", status_message(status));
}

static void write_text(const char *name, const char *text) {
  Status status = file_write(scratch_path(name), text, strlen(text));
  CHECK(!status, "%s", status_message(status));
}

static void write_picture(const char *name, int width, int height) {
  Image image;
  image_alloc(&image, width, height);
  Status status = image_write_png(scratch_path(name), &image, NULL, 0);
  CHECK(!status, "%s", status_message(status));
  image_free(&image);
}

// Every pixel `metres` deep, with the scale declared or, if `declares` is not set, in bare millimetres.
static void write_depth(const char *name, int width, int height, double metres, bool declares) {
  Status status;
  if (declares) {
    DepthMap depth;
    depth_alloc(&depth, width, height);
    for (int i = 0; i < width * height; i++) depth.metres[i] = (float)metres;
    status = depth_write_png(scratch_path(name), &depth);
    depth_free(&depth);
  } else {
    Gray16 gray;
    gray16_alloc(&gray, width, height);
    for (int i = 0; i < width * height; i++) gray.value[i] = (uint16_t)(1000 * metres);
    status = gray16_write_png(scratch_path(name), &gray, NULL, 0);
    gray16_free(&gray);
  }
  CHECK(!status, "%s", status_message(status));
}

static void expect_error(Status status, ExitCode code, const char *words, const char *what) {
  CHECK(status_code(status) == code && strstr(status_message(status), words), "%s: code %d, '%s'", what,
        status_code(status), status_message(status));
  status_free(status);
}

static void expect_refused(const char *name, const char *words) {
  Pairs pairs;
  expect_error(pairs_open(scratch_path(name), NULL, 0, &pairs), EXIT_DATA, words, name);
}

static int64_t count_split(const Pairs *pairs, Split split) {
  int64_t n = 0;
  for (int64_t i = 0; i < pairs->n; i++) n += pairs->pair[i].split == split;
  return n;
}

static void test_folder(void) {
  expect_refused("set", "no file or folder");
  make_directory("set");
  expect_refused("set", "is no data set");
  make_directory("set/rgb");
  make_directory("set/depth");
  expect_refused("set", "no pairs");
  const char *names[] = {"c", "a", "b", "e", "d", "wide"};
  char path[64];
  for (int i = 0; i < 6; i++) {
    snprintf(path, sizeof path, "set/rgb/%s.png", names[i]);
    write_picture(path, i == 5 ? 20 : 12, 8);
    snprintf(path, sizeof path, "set/depth/%s.png", names[i]);
    write_depth(path, 12, 8, 2, true);
  }
  write_picture("set/rgb/alone.png", 12, 8);

  Pairs pairs;
  Dataset *dataset;
  Sample sample;
  Status status = pairs_open(scratch_path("set"), NULL, 0, &pairs);
  CHECK(!status && pairs.n == 6 && pairs.n_unpaired == 1, "%s", status_message(status));
  CHECK_TEXT(pairs.kind, "folder", "kind");
  CHECK_TEXT(pairs.pair[0].name, "a", "sorted");
  pairs_hold_out(&pairs);
  CHECK(count_split(&pairs, SPLIT_VALIDATION) == 1 && pairs.pair[5].split == SPLIT_VALIDATION,
        "few: the last is held out");
  status = dataset_open_pairs(&pairs, &dataset);
  CHECK(!status && dataset->size == 6, "%s", status_message(status));
  status = dataset_sample(dataset, 0, &sample);
  CHECK(!status && sample.picture.width == 12 && sample.depth.metres[5] == 2, "%s", status_message(status));
  sample_free(&sample);
  expect_error(dataset_sample(dataset, 5, &sample), EXIT_DATA, "wide", "sizes differ");
  dataset_close(dataset);

  CHECK(!file_write(scratch_path("set/rgb/a.jpg"), "x", 1), "second a");
  expect_refused("set", "a.jpg");
  remove(scratch_path("set/rgb/a.jpg"));
}

// Two recordings of one scene, eleven more scenes, two files each; test pictures apart; millimetres without a word.
static void test_nyu(void) {
  char path[128], text[2048] = "";
  for (int scene = 0; scene < 12; scene++)
    for (int part = 0; part < (scene == 0 ? 2 : 1); part++)
      for (int i = 0; i < 2; i++) {
        char name[32];
        snprintf(name, sizeof name, "room_%04d%s", scene, scene ? "" : part ? "b" : "a");
        snprintf(path, sizeof path, "nyu/sync/%s", name);
        make_directory(path);
        snprintf(path, sizeof path, "nyu/sync/%s/rgb_%05d.jpg", name, i);
        write_picture(path, 8, 6);
        snprintf(path, sizeof path, "nyu/sync/%s/sync_depth_%05d.png", name, i);
        write_depth(path, 8, 6, 1 + scene, false);
        snprintf(text + strlen(text), sizeof text - strlen(text), "/%s/rgb_%05d.jpg /%s/sync_depth_%05d.png 518.8579\n",
                 name, i, name, i);
      }
  make_directory("nyu/official_splits/test/bedroom");
  write_picture("nyu/official_splits/test/bedroom/rgb_00045.jpg", 8, 6);
  write_depth("nyu/official_splits/test/bedroom/sync_depth_00045.png", 8, 6, 3, false);
  write_picture("nyu/official_splits/test/bedroom/rgb_00046.jpg", 8, 6);

  Pairs pairs;
  Status status = pairs_open(scratch_path("nyu"), NULL, 0, &pairs);
  CHECK(!status, "%s", status_message(status));
  CHECK_TEXT(pairs.kind, "NYU folders", "kind");
  CHECK(pairs.n == 27 && pairs.n_unpaired == 1, "%lld pairs", (long long)pairs.n);
  CHECK_TEXT(pairs.pair[0].name, "sync/room_0000a/rgb_00000.jpg", "name");
  pairs_hold_out(&pairs);
  CHECK(count_split(&pairs, SPLIT_TEST) == 1 && count_split(&pairs, SPLIT_VALIDATION) == 2, "splits");
  for (int64_t i = 0; i < pairs.n; i++)
    CHECK((pairs.pair[i].split == SPLIT_VALIDATION) == !strcmp(pairs.pair[i].group, "room_0009"),
          "every tenth scene is held out, whole: %s", pairs.pair[i].name);
  Sample sample = {0};
  status = pairs_sample(&pairs, 25, &sample);
  CHECK(!status && sample.depth.metres[0] == 12, "millimetres by the layout: %s", status_message(status));
  sample_free(&sample);
  pairs_free(&pairs);

  // The same by a list, whose root is elsewhere; one line without a focal length, one of a missing file.
  strcat(text, "room_0003/rgb_00000.jpg room_0003/sync_depth_00000.png\r\n\nroom_0003/no.jpg "
               "room_0003/sync_depth_00000.png 518.8579\n");
  make_directory("lists");
  write_text("lists/train.txt", text);
  status = pairs_open(scratch_path("lists/train.txt"), scratch_path("nyu/sync"), 0, &pairs);
  CHECK(!status && pairs.n == 28, "%s", status_message(status));
  CHECK_TEXT(pairs.kind, "list", "kind");
  CHECK_TEXT(pairs.pair[2].group, "room_0000", "both recordings are of one scene");
  Text missing = {0};
  CHECK(pairs_drop_missing(&pairs, &missing) == 1 && pairs.n == 27, "one is missing");
  CHECK(strstr(text_get(&missing), "no.jpg") != NULL, "and named: %s", text_get(&missing));
  status = pairs_sample(&pairs, 26, &sample);
  CHECK(!status && sample.depth.metres[0] == 4, "without focal length: %s", status_message(status));
  sample_free(&sample);
  pairs_free(&pairs);
  text_free(&missing);

  write_text("lists/lonely.txt", "a.jpg b.png 500\nc.jpg\n");
  expect_refused("lists/lonely.txt", "lonely.txt:2");
  write_text("lists/empty.txt", "\n\n");
  expect_refused("lists/empty.txt", "names no pairs");
  write_text("lists/mat.mat", "MATLAB 7.3 MAT-file, Platform: GLNXA64");
  expect_refused("lists/mat.mat", "data import nyu");
}

static void test_missing(void) {
  char text[1024] = "rgb,depth\n";
  make_directory("holes");
  write_picture("holes/good.png", 8, 6);
  write_depth("holes/depth.png", 8, 6, 2, true);
  write_text("holes/empty.png", "");
  write_text("holes/text.png", "this is not a picture\n");
  for (int i = 0; i < 3; i++) strcat(text, "gone.png,depth.png\n");
  strcat(text, "empty.png,depth.png\ntext.png,depth.png\ngood.png,depth.png\ngood.png,.\n");
  write_text("holes/list.csv", text);
  Pairs pairs;
  Text messages = {0};
  Status status = pairs_open(scratch_path("holes/list.csv"), NULL, 0, &pairs);
  CHECK(!status && pairs.n == 7, "%s", status_message(status));
  CHECK(pairs_drop_missing(&pairs, &messages) == 6 && pairs.n == 1, "%lld are left", (long long)pairs.n);
  int lines = 0;
  for (const char *at = text_get(&messages); *at; at++) lines += *at == '\n';
  CHECK(lines == PAIRS_MESSAGES, "%d messages", lines);
  text_free(&messages);
  pairs_free(&pairs);
}

static void test_csv(void) {
  make_directory("csv/in side");
  write_picture("csv/in side/a,1.png", 8, 6);
  write_depth("csv/d.png", 8, 6, 2, false);
  write_text("csv/list.csv", "\xef\xbb\xbf# made by hand, depth_scale=500\nsplit, scene, depth, rgb\r\n"
                             "val, \"a \"\"b\"\"\", d.png, \"in side/a,1.png\"\r\ntest,c,d.png,in side/a.png\n"
                             ",c,,in side/a.png\n");
  Pairs pairs;
  Sample sample;
  Status status = pairs_open(scratch_path("csv/list.csv"), NULL, 0, &pairs);
  CHECK(!status && pairs.n == 2 && pairs.n_unpaired == 1, "%s", status_message(status));
  CHECK_TEXT(pairs.kind, "CSV", "kind");
  CHECK_TEXT(pairs.pair[0].group, "a \"b\"", "quotes");
  CHECK(pairs.pair[0].split == SPLIT_VALIDATION && pairs.pair[1].split == SPLIT_TEST, "splits");
  CHECK(pairs.depth_scale == 500, "scale %g", pairs.depth_scale);
  status = pairs_sample(&pairs, 0, &sample);
  CHECK(!status && sample.depth.metres[0] == 4, "2000 / 500: %s", status_message(status));
  sample_free(&sample);
  pairs_free(&pairs);

  write_text("csv/bare.csv", "in side/x.png,d.png,train\nin side/y.png,d.png\n");
  status = pairs_open(scratch_path("csv/bare.csv"), NULL, 0, &pairs);
  CHECK(!status && pairs.n == 2 && pairs.pair[0].split == SPLIT_TRAIN && pairs.pair[1].split == SPLIT_NONE,
        "without a header: %s", status_message(status));
  // Units are not guessed: this file declares none, and neither does the CSV.
  free(pairs.pair[0].picture);
  pairs.pair[0].picture = strdup(scratch_path("csv/in side/a,1.png"));
  expect_error(pairs_sample(&pairs, 0, &sample), EXIT_DATA, "millimetres", "undeclared unit");
  pairs_free(&pairs);

  write_text("csv/split.csv", "rgb,depth,split\na.png,d.png,holdout\n");
  expect_refused("csv/split.csv", "split.csv:2: there is no split 'holdout'");
  write_text("csv/short.csv", "rgb,depth\na.png\n");
  expect_refused("csv/short.csv", "short.csv:2");
  write_text("csv/scale.csv", "# depth_scale=-3\na.png,d.png\n");
  expect_refused("csv/scale.csv", "depth_scale");
}

// Written, read back, moved as a whole; then one file changes.
static void test_manifest(void) {
  Pairs pairs, again;
  Status status = pairs_open(scratch_path("nyu"), NULL, 0, &pairs);
  CHECK(!status, "%s", status_message(status));
  pairs_hold_out(&pairs);
  status = pairs_write_manifest(&pairs, scratch_path("nyu/dataset.json"), 2);
  CHECK(!status, "%s", status_message(status));
  CHECK(!rename(scratch_path("nyu"), scratch_path("moved")), "moved");
  status = pairs_open(scratch_path("moved"), NULL, 0, &again);
  CHECK(!status, "%s", status_message(status));
  CHECK_TEXT(again.kind, "manifest", "kind");
  CHECK(again.n == pairs.n && again.depth_scale == 1000, "%lld pairs", (long long)again.n);
  for (int64_t i = 0; i < again.n && i < pairs.n; i++)
    CHECK(again.pair[i].split == pairs.pair[i].split && !strcmp(again.pair[i].group, pairs.pair[i].group) &&
              !strcmp(again.pair[i].name, pairs.pair[i].name),
          "pair %lld", (long long)i);
  DataReport report;
  status = report_run(&again, 2, &report);
  CHECK(!status && report.n_hashed == 27 && !report.n_changed && !report.n_broken, "unchanged: %s %s",
        status_message(status), report.n_messages ? report.message[0] : "");
  CHECK(report.n_sizes == 1 && report.size[0].width == 8 && report.size[0].n == 27, "one size");
  CHECK(report.n_pixels == 27 * 48 && report.n_invalid == 0 && report.n_empty == 0, "pixels");
  // Scene s is 1 + s metres deep: two pairs each, four at 1 m, and three at 3 m with the test pair.
  CHECK(report.histogram[1] == 4 * 48 && report.histogram[3] == 3 * 48 && report.histogram[10] == 6 * 48, "histogram");
  CHECK_NEAR(report.least, 1, 1e-6, "least");
  CHECK_NEAR(report.most, 12, 1e-6, "most");
  report_free(&report);

  write_depth("moved/sync/room_0004/sync_depth_00000.png", 8, 6, 0, false);
  status = report_run(&again, 1, &report);
  CHECK(!status && report.n_changed == 1 && report.n_empty == 1 && report.n_invalid == 48, "changed: %lld",
        (long long)report.n_changed);
  CHECK(report.n_messages == 1 && strstr(report.message[0], "room_0004"), "and named");
  report_free(&report);
  pairs_free(&again);

  status = pairs_open_layout(scratch_path("moved"), NULL, 0, &again);
  CHECK(!status && !strcmp(again.kind, "NYU folders"), "the manifest can be passed over");
  pairs_free(&again);
  pairs_free(&pairs);

  write_text("moved/dataset.json", "{\"schema\":\"sgrun.data/1\",\"pairs\":[{\"rgb\":\"a.png\"}]}");
  expect_refused("moved", "lacks");
  write_text("moved/dataset.json", "{\"schema\":\"sgrun.data/1\",\"depth_scale\":0,\"pairs\":[]}");
  expect_refused("moved", "depth_scale");
  write_text("moved/dataset.json", "{\"pairs\":[");
  expect_refused("moved", "no manifest");
  remove(scratch_path("moved/dataset.json"));
}

// Lists written elsewhere still lead to the files.
static void test_lists(void) {
  Pairs pairs, again;
  Status status = pairs_open(scratch_path("moved"), NULL, 0, &pairs);
  CHECK(!status, "%s", status_message(status));
  pairs_hold_out(&pairs);
  make_directory("lists/deep");
  const Split splits[] = {SPLIT_TRAIN, SPLIT_VALIDATION, SPLIT_TEST};
  for (int i = 0; i < 3; i++) {
    char path[64];
    snprintf(path, sizeof path, "lists/deep/%s.csv", split_name(splits[i]));
    status = pairs_write_csv(&pairs, splits[i], scratch_path(path));
    CHECK(!status, "%s", status_message(status));
  }
  status = pairs_open(scratch_path("lists/deep"), NULL, 0, &again);
  CHECK(!status && again.n == pairs.n && again.depth_scale == 1000, "%s", status_message(status));
  CHECK(count_split(&again, SPLIT_TRAIN) == count_split(&pairs, SPLIT_TRAIN) && count_split(&again, SPLIT_TEST) == 1,
        "splits");
  CHECK(pairs_drop_missing(&again, NULL) == 0, "all are found");
  pairs_free(&again);
  pairs_free(&pairs);

  char *relative = path_relative(scratch_path("lists/deep"), scratch_path("moved/sync"));
  CHECK_TEXT(relative, "../../moved/sync", "relative path");
  free(relative);
}

static void test_depth_default(void) {
  DepthMap depth;
  write_depth("bare.png", 4, 4, 2, false);
  write_depth("declared.png", 4, 4, 2, true);
  Status status = depth_read_png_default(scratch_path("bare.png"), 0, 500, &depth);
  CHECK(!status && depth.metres[0] == 4, "the default where nothing is declared");
  depth_free(&depth);
  status = depth_read_png_default(scratch_path("declared.png"), 0, 500, &depth);
  CHECK(!status && depth.metres[0] == 2, "what is declared wins: %s", status_message(status));
  depth_free(&depth);
  expect_error(depth_read_png_default(scratch_path("declared.png"), 500, 0, &depth), EXIT_DATA, "declares",
               "contradiction");
}

int main(void) {
  test_folder();
  test_nyu();
  test_missing();
  test_csv();
  test_manifest();
  test_lists();
  test_depth_default();
  return check_report("test_pairs");
}
