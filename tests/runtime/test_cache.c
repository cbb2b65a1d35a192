// The kernel cache: hits, damaged files, several processes at once, no compiler, failing compilers, unwritable places.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/kernel_cache.h"
#include "runtime/program.h"
#include "tests/check.h"

static const char flags[] = "-O1";
static char place[64]; // a directory of our own

static void put_kernel(Text *source, int i) {
  text_printf(source,
              PROGRAM_KERNEL_MARK "k%d\nvoid k%d(const void *c, float *const *arg, long b, long e, float *s) {\n"
                                  "  for (long i = b; i < e; i++) arg[0][i] = common() + %d;\n}\n",
              i, i, i);
}

// `n` kernels, each adding its number to what a shared function says; `salt` makes the text its own.
static char *make_source(int n, int salt) {
  Text source = {0};
  text_printf(&source, "static float common(void) { return %d; }\n", salt);
  for (int i = 0; i < n; i++) put_kernel(&source, i);
  return text_take(&source);
}

static bool runs(const KernelModule *module, int kernel, int salt) {
  char name[16];
  snprintf(name, sizeof name, "k%d", kernel);
  SgKernel *function = kernel_module_find(module, name);
  float values[4] = {0}, *args[1] = {values};
  if (function) function(NULL, args, 1, 3, NULL);
  return function && values[0] == 0 && values[1] == (float)(salt + kernel) && values[2] == values[1] && values[3] == 0;
}

typedef struct Notes {
  int n;
  char last[512];
} Notes;

static void note(void *context, const char *text) {
  Notes *notes = context;
  notes->n++;
  snprintf(notes->last, sizeof notes->last, "%s", text);
}

// Loads, runs the first and the last kernel, closes. Returns whether it came from the cache, or -1.
static int load(const char *what, int n, int salt, Notes *notes) {
  char *source = make_source(n, salt);
  KernelModule *module = NULL;
  Status status = kernel_module_load(source, flags, note, notes, &module);
  CHECK(!status, "%s: %s", what, status_message(status));
  int cached = -1;
  if (!status) {
    CHECK(runs(module, 0, salt) && runs(module, n - 1, salt), "%s: wrong numbers", what);
    CHECK(!kernel_module_find(module, "nothing"), "%s: found what is not there", what);
    cached = kernel_module_was_cached(module);
  }
  status_free(status);
  kernel_module_close(module);
  free(source);
  return cached;
}

// The only kept file; "" if there is none.
static void kept_file(char out[320]) {
  *out = 0;
  DIR *listing = opendir(place);
  for (struct dirent *entry; listing && (entry = readdir(listing));) {
    if (strstr(entry->d_name, ".kernels.so")) snprintf(out, 320, "%s/%s", place, entry->d_name);
  }
  if (listing) closedir(listing);
}

// Names in the place that are not kept files: what a build forgot to remove.
static int leftovers(void) {
  int n = 0;
  DIR *listing = opendir(place);
  for (struct dirent *entry; listing && (entry = readdir(listing));)
    n += entry->d_name[0] != '.' && !strstr(entry->d_name, ".kernels.so");
  if (listing) closedir(listing);
  return n;
}

static void test_hits(void) {
  Notes notes = {0};
  int files;
  int64_t bytes;
  CHECK(load("first", 2, 10, &notes) == 0, "found in an empty cache");
  CHECK(load("second", 2, 10, &notes) == 1, "not kept");
  char *source = make_source(2, 10);
  Text commented = {0};
  text_printf(&commented, "// from another place\n%s// a.net:7\n", source);
  KernelModule *module = NULL;
  CHECK(!kernel_module_load(text_get(&commented), flags, note, &notes, &module) && kernel_module_was_cached(module),
        "comments are part of the key");
  kernel_module_close(module);
  text_free(&commented);
  free(source);
  CHECK(load("other text", 2, 11, &notes) == 0, "other text, same file");
  CHECK(load("many parts", 900, 12, &notes) == 0 && load("many parts again", 900, 12, &notes) == 1, "parts");
  kernel_cache_usage(&files, &bytes);
  CHECK(files == 3 && bytes > 1000, "%d files of %d bytes", files, (int)bytes);
  CHECK(!notes.n, "notice without need: %s", notes.last);
  CHECK(!leftovers(), "builds left things behind");
  CHECK(!kernel_cache_clear(), "clear");
  kernel_cache_usage(&files, &bytes);
  CHECK(!files && !bytes, "%d files after clearing", files);
}

// A forgotten build goes when the next one comes, and beyond a gigabyte the files not used for longest.
static void test_tidy(void) {
  char build[128], source[192], old[160], older[160], half[160], begun[160];
  snprintf(build, sizeof build, "%s/build.forgotten", place);
  snprintf(source, sizeof source, "%s/part0.c", build);
  snprintf(old, sizeof old, "%s/0123456789abcdef0123456789abcdef.kernels.so", place);
  snprintf(older, sizeof older, "%s/1123456789abcdef0123456789abcdef.kernels.so", place);
  snprintf(half, sizeof half, "%s/2123456789abcdef0123456789abcdef.kernels.cuda.77.tmp", place);
  snprintf(begun, sizeof begun, "%s/2123456789abcdef0123456789abcdef.kernels.cuda.78.tmp", place);
  status_free(file_make_directory(build));
  status_free(file_write(source, "x", 1));
  status_free(file_write(half, "x", 1));
  status_free(file_write(begun, "x", 1));
  status_free(file_write(old, "x", 1));
  status_free(file_write(older, "x", 1));
  CHECK(!truncate(old, 700 << 20) && !truncate(older, 700 << 20), "sparse files");
  struct timespec yesterday[2] = {{.tv_sec = time(NULL) - 100000}, {.tv_sec = time(NULL) - 100000}};
  utimensat(AT_FDCWD, build, yesterday, 0);
  utimensat(AT_FDCWD, older, yesterday, 0);
  utimensat(AT_FDCWD, half, yesterday, 0);
  Notes notes = {0};
  CHECK(load("tidying", 1, 15, &notes) == 0, "new");
  CHECK(!file_exists(build) && !file_exists(half), "a forgotten build or half a bundle stays");
  CHECK(file_exists(begun), "a bundle that is being written goes");
  CHECK(file_exists(old) && !file_exists(older), "of two large files the older one should go");
  CHECK(!kernel_cache_clear() && !leftovers(), "clear");
}

// Whether the kernel of that number says salt + 1000 + number: `loud` ones do.
static bool is_loud(const KernelModule *module, int kernel, int salt) { return runs(module, kernel, salt + 1000); }

// Kernels are kept one by one, whatever they were compiled with, and told apart by their text rather than their name.
static void test_sharing(void) {
  Notes notes = {0};
  enum { SALT = 17 };
  Text begin = {0}, low = {0}, high = {0}, all = {0}, loud = {0};
  text_printf(&begin, "static float common(void) { return %d; }\n", SALT);
  for (int i = 0; i < 6; i++) put_kernel(i < 3 ? &low : &high, i);
  text_printf(&all, "%s%s%s", text_get(&begin), text_get(&low), text_get(&high));
  // The first kernel with another text and the same name.
  text_printf(&loud,
              "%s" PROGRAM_KERNEL_MARK "k0\nvoid k0(const void *c, float *const *arg, long b, long e, float *s) {\n"
              "  for (long i = b; i < e; i++) arg[0][i] = common() + 1000;\n}\n%s",
              text_get(&begin), text_get(&high));
  const char *halves[] = {text_get(&low), text_get(&high)};
  for (int i = 0; i < 2; i++) {
    Text half = {0};
    text_printf(&half, "%s%s", text_get(&begin), halves[i]);
    KernelModule *module = NULL;
    CHECK(!kernel_module_load(text_get(&half), flags, note, &notes, &module), "half %d", i);
    CHECK(module && !kernel_module_was_cached(module) && runs(module, 3 * i, SALT), "half %d is not new", i);
    kernel_module_close(module);
    text_free(&half);
  }
  for (int again = 0; again < 2; again++) {
    KernelModule *module = NULL, *other = NULL;
    CHECK(!kernel_module_load(text_get(&all), flags, note, &notes, &module), "both halves");
    CHECK(module && kernel_module_was_cached(module), "the halves are not found");
    for (int i = 0; module && i < 6; i++) CHECK(runs(module, i, SALT), "kernel %d of both", i);
    CHECK(!kernel_module_load(text_get(&loud), flags, note, &notes, &other), "loud");
    CHECK(other && kernel_module_was_cached(other) == (again == 1), "loud is cached: %d", again);
    CHECK(other && is_loud(other, 0, SALT) && runs(other, 4, SALT), "kernels of one name are mixed up");
    kernel_module_close(module);
    kernel_module_close(other);
  }
  int files;
  int64_t bytes;
  kernel_cache_usage(&files, &bytes);
  CHECK(files == 3, "%d files", files);
  CHECK(!kernel_cache_clear() && !notes.n, "notice: %s", notes.last);
  text_free(&begin);
  text_free(&low);
  text_free(&high);
  text_free(&all);
  text_free(&loud);
}

static void damage(const char *path, int how) {
  Text file = {0};
  status_free(file_read(path, &file));
  if (how == 0) file.size /= 2;
  if (how == 1) file.size = 0;
  if (how == 2) file.data[file.size / 3] ^= 1;
  if (how == 3) file.data[file.size - 1] ^= 1;
  status_free(file_write(path, text_get(&file), file.size));
  text_free(&file);
}

static void test_damage(void) {
  Notes notes = {0};
  for (int how = 0; how < 4; how++) {
    char path[320];
    load("to damage", 1, 20, &notes);
    kept_file(path);
    CHECK(*path, "nothing kept");
    damage(path, how);
    CHECK(load("damaged", 1, 20, &notes) == 0, "damage %d was not seen", how);
    CHECK(load("mended", 1, 20, &notes) == 1, "damage %d was not mended", how);
  }
  CHECK(!notes.n, "notice: %s", notes.last);
}

static void test_race(void) {
  pid_t children[4];
  for (int i = 0; i < 4; i++) {
    children[i] = fork();
    if (children[i]) continue;
    Notes notes = {0};
    check_failed = 0;
    load("race", 40, 30, &notes);
    _exit(check_failed || notes.n);
  }
  for (int i = 0; i < 4; i++) {
    int status = -1;
    waitpid(children[i], &status, 0);
    CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "process %d ended with %x", i, (unsigned)status);
  }
  Notes notes = {0};
  CHECK(load("after the race", 40, 30, &notes) == 1, "nothing kept by four");
  CHECK(!leftovers(), "the race left things behind");
}

static void expect_failure(const char *what, const char *source, const char *expected) {
  KernelModule *module = NULL;
  Status status = kernel_module_load(source, flags, NULL, NULL, &module);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), expected), "%s: code %d, '%s'", what,
        (int)status_code(status), status_message(status));
  status_free(status);
  kernel_module_close(module);
}

static void test_compilers(void) {
  char *source = make_source(1, 40);
  expect_failure("bad source", "static int x;\n" PROGRAM_KERNEL_MARK "f\nint f( {\n", "part0.c");
  CHECK(leftovers() == 1, "the source of the failure is not kept");
  CHECK(!kernel_cache_clear() && !leftovers(), "clear leaves a failed build");
  char *usual = kernel_cache_compiler();
  CHECK(usual, "no compiler");
  free(usual);

  setenv("CC", "/nowhere/cc -O9", 1);
  CHECK(!kernel_cache_compiler(), "found a compiler that is not there");
  expect_failure("no compiler", source, "no C compiler");
  setenv("CC", "false", 1); // runs, and fails
  expect_failure("failing compiler", source, "'false' failed");
  setenv("CC", " cc  -DX=1 ", 1); // several words
  Notes notes = {0};
  CHECK(load("compiler of several words", 1, 41, &notes) == 0, "words");
  unsetenv("CC");
  CHECK(load("another compiler", 1, 41, &notes) == 0, "the compiler is not part of the key");

  char *path = strdup(getenv("PATH"));
  setenv("PATH", "/nowhere:", 1);
  CHECK(!kernel_cache_compiler(), "found a compiler on an empty path");
  setenv("PATH", path, 1);
  free(path);
  free(source);
  CHECK(!kernel_cache_clear(), "clear");
}

// A cache below a file cannot be made, whoever asks; nor one of nowhere.
static void test_unwritable(void) {
  char file[128];
  snprintf(file, sizeof file, "%s/file", place);
  status_free(file_write(file, "x", 1));
  char below[160];
  snprintf(below, sizeof below, "%s/cache", file);
  setenv("SGC_CACHE", below, 1);
  Notes notes = {0};
  CHECK(load("unwritable", 1, 50, &notes) == 0 && notes.n == 1, "%d notices", notes.n);
  CHECK(strstr(notes.last, "no cache"), "notice: %s", notes.last);

  char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL, *old = getenv("XDG_CACHE_HOME");
  if (old) old = strdup(old);
  unsetenv("SGC_CACHE");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  CHECK(load("homeless", 1, 50, &notes) == 0 && notes.n == 2, "%d notices", notes.n);
  setenv("XDG_CACHE_HOME", place, 1);
  Text text = {0};
  CHECK(kernel_cache_directory(&text) && strstr(text_get(&text), "/sgc"), "directory '%s'", text_get(&text));
  text_free(&text);
  unsetenv("XDG_CACHE_HOME");
  if (old) setenv("XDG_CACHE_HOME", old, 1);
  if (home) setenv("HOME", home, 1);
  free(old);
  free(home);
  setenv("SGC_CACHE", place, 1);
  unlink(file);
}

int main(void) {
  snprintf(place, sizeof place, "/tmp/sgc-test-cache.XXXXXX");
  unsetenv("CC");
  char *compiler = kernel_cache_compiler();
  if (!compiler || !mkdtemp(place)) {
    CHECK_SKIP("no C compiler, or no place in /tmp");
    return check_report("cache");
  }
  free(compiler);
  setenv("SGC_CACHE", place, 1);
  test_hits();
  test_tidy();
  test_sharing();
  test_damage();
  test_race();
  test_compilers();
  test_unwritable();
  status_free(kernel_cache_clear());
  CHECK(!rmdir(place), "the cache's place is not empty");
  return check_report("cache");
}
