// CUDA C to images: architectures, the cache, refusals that name the user's line, ptxas's account, disassembly. No GPU
// is needed, only NVRTC.
#include <dirent.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/cuda_cache.h"
#include "runtime/kernel_build.h"
#include "runtime/program.h"
#include "tests/check.h"

static const char flags[] = "--std=c++17";
static const CudaCode sm_80 = {80, false}, compute_80 = {80, true};
static char place[64];

// Kernel i adds i to what the preamble says; `salt` makes the text its own.
static void put_kernel(Text *source, int i, const char *line, const char *extra) {
  text_printf(source,
              PROGRAM_KERNEL_MARK
              "k%d\n// add [%d]\n// net/small.net:%s\n// 0 MFLOP\n"
              "extern \"C\" __global__ void k%d(const float *in, float *out) {\n"
              "  int i = blockIdx.x * blockDim.x + threadIdx.x;\n  out[i] = in[i] + common() + %d;\n"
              "%s}\n",
              i, i, line, i, i, extra);
}
static char *make_source(int n, int salt) {
  Text source = {0};
  text_printf(&source, "// line of the preamble\n__device__ float common() { return %d; }\n", salt);
  for (int i = 0; i < n; i++) put_kernel(&source, i, "7", "");
  return text_take(&source);
}

static int count_files(void) {
  int n = 0;
  DIR *listing = opendir(place);
  for (struct dirent *entry; listing && (entry = readdir(listing));)
    n += strstr(entry->d_name, ".kernels.cuda") != NULL;
  if (listing) closedir(listing);
  return n;
}

// Loads, compares symbols and returns whether all came from the cache, or -1.
static int load(const char *what, const char *source, CudaCode code, int n_kernels) {
  CudaImages *images = NULL;
  Status status = cuda_images_load(source, flags, code, NULL, NULL, &images);
  CHECK(!status, "%s: %s", what, status_message(status));
  if (status) {
    status_free(status);
    return -1;
  }
  int n = 0;
  for (int i = 0; i < images->n; i++) {
    n += images->image[i].n_symbols;
    const char *data = images->image[i].data;
    bool is_right = code.is_ptx ? strstr(data, ".target sm_80") != NULL && strlen(data) == images->image[i].size
                                : !memcmp(data, "\177ELF", 4);
    CHECK(is_right, "%s: image %d is of another kind", what, i);
  }
  CHECK(n == n_kernels, "%s: %d kernels, not %d", what, n, n_kernels);
  Arena *arena = arena_new();
  CudaResources *resources;
  int n_accounts = cuda_images_resources(images, arena, &resources);
  CHECK(code.is_ptx ? !n_accounts : n_accounts >= n_kernels, "%s: %d accounts", what, n_accounts);
  arena_free(arena);
  int cached = images->was_cached;
  cuda_images_free(images);
  return cached;
}

static void check_architectures(void) {
  Arena *arena = arena_new();
  int *known = NULL, n = 0;
  Status status = cuda_architectures(arena, &known, &n);
  CHECK(!status && n > 0, "architectures: %s", status_message(status));
  status_free(status);
  CudaCode code = {0};
  for (int i = 0; i < n; i++) {
    CHECK(i == 0 || known[i] > known[i - 1], "architectures are not in order");
    CHECK(!cuda_code_choose(known[i], &code) && code.compute == known[i] && !code.is_ptx, "sm_%d", known[i]);
  }
  CHECK(!cuda_code_choose(known[n - 1] + 7, &code) && code.compute == known[n - 1] && code.is_ptx,
        "a GPU newer than NVRTC takes PTX of the newest that it knows");
  status = cuda_code_choose(known[0] - 1, &code);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "SGC_NVRTC"), "a GPU that is too old: %s",
        status_message(status));
  status_free(status);
  CHECK(!cuda_code_exact(known[0], true, &code) && code.compute == known[0] && code.is_ptx, "just that one");
  status = cuda_code_exact(known[n - 1] + 7, true, &code);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "name a newer one in SGC_NVRTC"),
        "none that is near: %s", status_message(status));
  status_free(status);
  setenv("SGC_CUDA_CODE", "ptx", 1);
  CHECK(!cuda_code_choose(known[0], &code) && code.compute == known[0] && code.is_ptx, "PTX on demand");
  setenv("SGC_CUDA_CODE", "sass", 1);
  status = cuda_code_choose(80, &code);
  CHECK(status_code(status) == EXIT_USAGE && strstr(status_message(status), "sass"), "a kind of code that is none");
  status_free(status);
  unsetenv("SGC_CUDA_CODE");
  arena_free(arena);
}

static void check_cache(void) {
  char *ten = make_source(10, 1), *four = make_source(4, 1), *other = make_source(4, 2);
  CHECK(load("first time", ten, compute_80, 10) == 0, "came from nowhere");
  CHECK(load("second time", ten, compute_80, 10) == 1, "compiled again");
  CHECK(load("a part", four, compute_80, 4) == 1, "programs do not share kernels");
  CHECK(load("another preamble", other, compute_80, 4) == 0, "the preamble is not in the key");
  CHECK(load("another kind", four, sm_80, 4) == 0, "the kind of code is not in the key");
  CHECK(load("the other kind again", four, sm_80, 4) == 1, "compiled again");

  // Another line of the user's text is the same kernel; one kernel more compiles one kernel.
  Text edited = {0};
  text_put(&edited, "// another remark\n__device__ float common() { return 1; }\n");
  for (int i = 0; i < 4; i++) put_kernel(&edited, i, "8", "");
  CHECK(load("moved lines", text_get(&edited), compute_80, 4) == 1, "comments are in the key");
  put_kernel(&edited, 99, "9", "");
  int before = count_files();
  CHECK(load("one more", text_get(&edited), compute_80, 5) == 0 && count_files() == before + 1, "%d files more",
        count_files() - before);

  // Damaged files are removed and made anew.
  DIR *listing = opendir(place);
  for (struct dirent *entry; (entry = readdir(listing));) {
    if (!strstr(entry->d_name, ".kernels.cuda")) continue;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", place, entry->d_name);
    FILE *file = fopen(path, "r+");
    fseek(file, 100, SEEK_SET);
    fputs("damage", file);
    fclose(file);
  }
  closedir(listing);
  CHECK(load("damaged", ten, compute_80, 10) == 0, "took a damaged file");
  CHECK(load("repaired", ten, compute_80, 10) == 1, "not repaired");
  text_free(&edited);
  free(ten);
  free(four);
  free(other);
}

static void note(void *context, const char *text) { text_put(context, text); }

static void check_no_cache(void) {
  char *source = make_source(2, 5);
  setenv("SGC_CACHE", "/proc/nowhere", 1);
  Text notes = {0};
  CudaImages *images = NULL;
  Status status = cuda_images_load(source, flags, compute_80, note, &notes, &images);
  CHECK(!status && images->n && strstr(text_get(&notes), "/proc/nowhere"), "without a cache: %s%s",
        status_message(status), text_get(&notes));
  status_free(status);
  cuda_images_free(images);
  text_free(&notes);
  setenv("SGC_CACHE", place, 1);
  free(source);
}

static void check_refusal(void) {
  Text source = {0};
  text_put(&source, "// line of the preamble\n__device__ float common() { return 3; }\n");
  for (int i = 0; i < 6; i++) put_kernel(&source, i, i == 4 ? "31" : "30", i == 4 ? "  out[i] = nothing_such;\n" : "");
  CudaImages *images = NULL;
  Status status = cuda_images_load(text_get(&source), flags, sm_80, NULL, NULL, &images);
  const char *message = status_message(status);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(message, "'k4'") && strstr(message, "net/small.net:31") &&
            strstr(message, "nothing_such") && strstr(message, "sm_80"),
        "the refused kernel: %s", message);
  const char *kept = status ? strstr(message, "source kept in '") : NULL;
  char path[512] = "";
  if (kept) sscanf(kept, "source kept in '%511[^']", path);
  CHECK(file_exists(path), "no source in '%s'", path);
  status_free(status);
  text_free(&source);
}

static void check_resources(void) {
  static const char text[] =
      "extern \"C\" __global__ void small(float *out) { out[threadIdx.x] = 1; }\n"
      "extern \"C\" __global__ void __launch_bounds__(1024, 2) spills(const float *in, float *out) {\n"
      "  __shared__ float tile[300];\n  tile[threadIdx.x % 300] = in[threadIdx.x];\n  __syncthreads();\n"
      "  float v[96];\n  for (int i = 0; i < 96; i++) v[i] = in[threadIdx.x + i * 1024] * tile[i];\n"
      "  for (int k = 0; k < 3; k++) {\n    __syncthreads();\n    for (int i = 0; i < 96; i++)\n"
      "      v[i] = v[i] * v[(i + 7) % 96] + tile[(k + i) % 300];\n  }\n"
      "  for (int i = 0; i < 96; i++) out[threadIdx.x + i * 1024] = v[i];\n}\n";
  Arena *arena = arena_new();
  CudaResources *found = NULL;
  Text image = {0}, log = {0};
  Status status = cuda_compile(text, flags, sm_80, true, &image, &log);
  int n = status ? 0 : cuda_resources(text_get(&log), arena, &found);
  CHECK(n == 2, "%d accounts (%s) in:\n%s", n, status_message(status), text_get(&log));
  status_free(status);
  for (int i = 0; i < n; i++) {
    const CudaResources *kernel = &found[i];
    if (!strcmp(kernel->symbol, "small"))
      CHECK(kernel->registers > 2 && kernel->registers < 32 && !kernel->shared && !kernel->spill_stores,
            "small: %d, %d", kernel->registers, kernel->shared);
    else
      CHECK(!strcmp(kernel->symbol, "spills") && kernel->registers == 32 && kernel->shared == 1200 &&
                kernel->spill_stores > 0 && kernel->spill_loads > 0 && kernel->stack > 0,
            "%s: %d registers, %d bytes shared, %d spilled", kernel->symbol, kernel->registers, kernel->shared,
            kernel->spill_stores);
  }
  Text listing = {0};
  status = cuda_disassemble(image.data, image.size, &listing);
  if (status) {
    CHECK(strstr(status_message(status), "nvdisasm"), "no remedy: %s", status_message(status));
    CHECK_SKIP("disassembly: %s", status_message(status));
  } else {
    CHECK(strstr(text_get(&listing), "EXIT"), "no machine code in the listing");
  }
  status_free(status);
  text_free(&listing);
  text_free(&image);
  text_free(&log);
  arena_free(arena);
}

int main(void) {
  Text version = {0};
  Status status = cuda_compiler_version(&version);
  text_free(&version);
  if (status) {
    CHECK_SKIP("all of it: %s", status_message(status));
    status_free(status);
    return check_report("cuda compile");
  }
  snprintf(place, sizeof place, "/tmp/sgc_cuda_XXXXXX");
  if (!mkdtemp(place)) return 1;
  setenv("SGC_CACHE", place, 1);
  unsetenv("SGC_CUDA_CODE");
  check_architectures();
  check_cache();
  check_no_cache();
  check_refusal();
  check_resources();
  Command remove = {0};
  command_add_words(&remove, "rm -rf");
  command_add(&remove, place);
  command_capture(&remove, &version);
  command_free(&remove);
  return check_report("cuda compile");
}
