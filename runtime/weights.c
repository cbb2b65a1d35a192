// Weights: opening a file by its content, finding tensors, and their values as f32.
#include "runtime/weights.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/weights_file.h"

static const struct {
  const char *name;
  int bytes;
} types[] = {{"F32", 4}, {"F64", 8}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
             {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}};
_Static_assert(sizeof types / sizeof *types == WEIGHT_TYPES, "a row for each type");
enum { MAX_NAME = 1024 };

const char *weight_type_name(WeightType type) { return types[type].name; }
int weight_type_bytes(WeightType type) { return types[type].bytes; }

int64_t weights_file_elements(const Shape *shape) {
  int64_t elements = 1;
  for (int axis = 0; axis < shape->rank; axis++) {
    int64_t size = shape->dim[axis];
    if (size < 0 || (size && elements > ((int64_t)1 << 40) / size)) return -1;
    elements *= size;
  }
  return elements;
}

Status weights_file_add(WeightFile *file, const char *name, WeightType type, Shape shape, const void *data) {
  size_t length = strlen(name);
  if (!length) return status_make(EXIT_WEIGHTS, "a tensor has no name");
  if (length > MAX_NAME) return status_make(EXIT_WEIGHTS, "a tensor's name is %zu bytes long", length);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)name[i] < 32 || name[i] == 127)
      return status_make(EXIT_WEIGHTS, "a tensor's name holds control characters");
  if (strmap_get(file->by_name, name)) return status_make(EXIT_WEIGHTS, "tensor '%s' occurs twice", name);
  WeightTensor tensor = {arena_strdup(file->arena, name), type, shape, data, shape_elements(shape) * types[type].bytes};
  ARENA_PUSH(file->arena, file->tensors, file->n_tensors, file->cap_tensors, tensor);
  strmap_set(file->by_name, tensor.name, (void *)(intptr_t)file->n_tensors);
  return STATUS_OK;
}

Status weights_open(const char *path, WeightFile **out) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info)) {
    Status status = status_make(EXIT_DATA, "cannot open '%s': %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return status;
  }
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    return status_make(EXIT_DATA, "'%s' is not a file", path);
  }
  char *map = info.st_size ? mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
  close(fd);
  if (map == MAP_FAILED) return status_make(EXIT_DATA, "cannot map '%s': %s", path, strerror(errno));
  Arena *arena = arena_new();
  WeightFile *file = ARENA_ARRAY(arena, WeightFile, 1);
  *file = (WeightFile){.arena = arena, .path = arena_strdup(arena, path), .map = map, .size = info.st_size};
  file->by_name = strmap_new(arena);
  file->metadata = strmap_new(arena);
  bool is_pth = weights_is_pth(file->map, file->size);
  file->format = is_pth ? "PyTorch" : "safetensors";
  Status status = is_pth ? weights_read_pth(file) : weights_read_safetensors(file);
  if (status) {
    weights_close(file);
    return status_context(status, "%s", path);
  }
  *out = file;
  return STATUS_OK;
}

void weights_close(WeightFile *file) {
  if (!file) return;
  if (file->map) munmap(file->map, (size_t)file->size);
  arena_free(file->arena);
}

int weights_count(const WeightFile *file) { return file->n_tensors; }
const WeightTensor *weights_at(const WeightFile *file, int i) { return &file->tensors[i]; }
const char *weights_metadata(const WeightFile *file, const char *key) { return strmap_get(file->metadata, key); }
int weights_metadata_count(const WeightFile *file) { return strmap_count(file->metadata); }
const char *weights_metadata_key(const WeightFile *file, int i) { return strmap_key(file->metadata, i); }
const char *weights_path(const WeightFile *file) { return file->path; }
const char *weights_format(const WeightFile *file) { return file->format; }

const WeightTensor *weights_find(const WeightFile *file, const char *name) {
  intptr_t index = (intptr_t)strmap_get(file->by_name, name);
  return index ? &file->tensors[index - 1] : NULL;
}

const float *weights_in_place(const WeightTensor *tensor) {
  bool is_float = tensor->type == WEIGHT_F32 && (uintptr_t)tensor->data % sizeof(float) == 0;
  return is_float ? tensor->data : NULL;
}

void weights_let_go(const WeightFile *file, const void *data, int64_t bytes) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), map = (uintptr_t)file->map, at = (uintptr_t)data;
  if (at < map || at + (uintptr_t)bytes > map + (uintptr_t)file->size) return; // unpacked elsewhere
  uintptr_t begin = at / page * page, end = (at + (uintptr_t)bytes) / page * page;
  if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED); // refused: it stays until the file is closed
}

static float half_to_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
  uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | mantissa << 13;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

void weights_to_f32(const WeightTensor *tensor, float *out) {
  int64_t n = shape_elements(tensor->shape);
  const char *data = tensor->data;
#define CONVERT(type, expression)                                                                                      \
  for (int64_t i = 0; i < n; i++) {                                                                                    \
    type v;                                                                                                            \
    memcpy(&v, data + i * (int64_t)sizeof v, sizeof v);                                                                \
    out[i] = (float)(expression);                                                                                      \
  }                                                                                                                    \
  break
  switch (tensor->type) {
  case WEIGHT_F32:
    if (n) memcpy(out, data, (size_t)n * 4);
    break;
  case WEIGHT_F64: CONVERT(double, v);
  case WEIGHT_F16: CONVERT(uint16_t, half_to_float(v));
  case WEIGHT_BF16: {
    for (int64_t i = 0; i < n; i++) {
      uint16_t v;
      memcpy(&v, data + i * 2, 2);
      uint32_t bits = (uint32_t)v << 16;
      memcpy(&out[i], &bits, 4);
    }
    break;
  }
  case WEIGHT_I64: CONVERT(int64_t, v);
  case WEIGHT_I32: CONVERT(int32_t, v);
  case WEIGHT_I16: CONVERT(int16_t, v);
  case WEIGHT_I8: CONVERT(int8_t, v);
  case WEIGHT_U8: CONVERT(uint8_t, v);
  case WEIGHT_BOOL: CONVERT(uint8_t, v != 0);
  }
#undef CONVERT
}
