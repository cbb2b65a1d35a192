// Weights: safetensors files: 8 bytes of header length, a JSON header, then the tensors' bytes.
#include "runtime/weights.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/arena.h"
#include "runtime/base/file.h"
#include "runtime/base/strmap.h"

static const struct {
  const char *name;
  int bytes;
} types[] = {{"F32", 4}, {"F64", 8}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"U8", 1}};
enum { N_TYPES = sizeof types / sizeof *types, MAX_HEADER = 100 << 20 };

struct WeightFile {
  Arena *arena;
  const char *path;
  char *map;
  int64_t size;
  WeightTensor *tensors;
  int n_tensors, cap_tensors;
  StrMap *by_name, *metadata;
};

// A non-negative whole number that a double holds exactly; -1 otherwise.
static int64_t json_size(const cJSON *item) {
  if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < 9e15)) return -1;
  int64_t value = (int64_t)item->valuedouble;
  return (double)value == item->valuedouble ? value : -1;
}

static Status read_tensor(WeightFile *file, const cJSON *item, const char *data, int64_t n_data) {
  const char *name = item->string, *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "dtype"));
  const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape");
  const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
  if (!type || !cJSON_IsArray(shape) || cJSON_GetArraySize(offsets) != 2)
    return status_make(EXIT_WEIGHTS, "tensor '%s' lacks dtype, shape or data_offsets", name);
  WeightTensor tensor = {.name = arena_strdup(file->arena, name), .type = (WeightType)N_TYPES};
  for (int i = 0; i < N_TYPES; i++)
    if (!strcmp(types[i].name, type)) tensor.type = (WeightType)i;
  if ((int)tensor.type == N_TYPES)
    return status_make(EXIT_WEIGHTS, "tensor '%s' has the unknown type '%s'", name, type);
  if (cJSON_GetArraySize(shape) > MAX_RANK)
    return status_make(EXIT_WEIGHTS, "tensor '%s' has more than %d axes", name, MAX_RANK);
  int64_t elements = 1;
  const cJSON *dim;
  cJSON_ArrayForEach(dim, shape) {
    int64_t size = json_size(dim);
    if (size < 0 || (size && elements > ((int64_t)1 << 40) / size))
      return status_make(EXIT_WEIGHTS, "tensor '%s' has an impossible shape", name);
    tensor.shape.dim[tensor.shape.rank++] = size;
    elements *= size;
  }
  int64_t begin = json_size(cJSON_GetArrayItem(offsets, 0)), end = json_size(cJSON_GetArrayItem(offsets, 1));
  tensor.bytes = elements * types[tensor.type].bytes;
  if (begin < 0 || end < begin || end - begin != tensor.bytes)
    return status_make(EXIT_WEIGHTS, "tensor '%s' has offsets that do not fit its shape", name);
  if (end > n_data)
    return status_make(EXIT_WEIGHTS, "tensor '%s' reaches past the end of the file; the file is truncated", name);
  if (strmap_get(file->by_name, name)) return status_make(EXIT_WEIGHTS, "tensor '%s' occurs twice", name);
  tensor.data = data + begin;
  ARENA_PUSH(file->arena, file->tensors, file->n_tensors, file->cap_tensors, tensor);
  strmap_set(file->by_name, tensor.name, (void *)(intptr_t)file->n_tensors);
  return STATUS_OK;
}

static Status read_header(WeightFile *file) {
  uint64_t length;
  if (file->size < 10)
    return status_make(EXIT_WEIGHTS, "not a safetensors file: only %lld bytes", (long long)file->size);
  memcpy(&length, file->map, 8);
  if (length > MAX_HEADER || file->map[8] != '{')
    return status_make(EXIT_WEIGHTS, "not a safetensors file: no header found");
  if ((int64_t)length > file->size - 8)
    return status_make(EXIT_WEIGHTS, "the header reaches past the end of the file; the file is truncated");
  cJSON *header = cJSON_ParseWithLength(file->map + 8, length);
  if (!cJSON_IsObject(header)) {
    cJSON_Delete(header);
    return status_make(EXIT_WEIGHTS, "not a safetensors file: its header is not JSON");
  }
  Status status = STATUS_OK;
  const cJSON *item;
  cJSON_ArrayForEach(item, header) {
    if (!strcmp(item->string, "__metadata__")) {
      const cJSON *entry;
      cJSON_ArrayForEach(entry, item) {
        if (cJSON_IsString(entry))
          strmap_set(file->metadata, entry->string, arena_strdup(file->arena, entry->valuestring));
      }
    } else {
      status = read_tensor(file, item, file->map + 8 + length, file->size - 8 - (int64_t)length);
      if (status) break;
    }
  }
  cJSON_Delete(header);
  return status;
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
  Status status = read_header(file);
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
const char *weights_path(const WeightFile *file) { return file->path; }

const WeightTensor *weights_find(const WeightFile *file, const char *name) {
  intptr_t index = (intptr_t)strmap_get(file->by_name, name);
  return index ? &file->tensors[index - 1] : NULL;
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
  case WEIGHT_U8: CONVERT(uint8_t, v);
  }
#undef CONVERT
}

// ---- writing

struct WeightWriter {
  Arena *arena;
  WeightTensor *tensors; // data points to f32 values
  int n_tensors, cap_tensors;
  Text metadata; // JSON members
};

WeightWriter *weight_writer_new(void) {
  Arena *arena = arena_new();
  WeightWriter *writer = ARENA_ARRAY(arena, WeightWriter, 1);
  writer->arena = arena;
  return writer;
}

void weight_writer_metadata(WeightWriter *writer, const char *key, const char *value) {
  if (writer->metadata.size) text_put(&writer->metadata, ",");
  text_put_json(&writer->metadata, key);
  text_put(&writer->metadata, ":");
  text_put_json(&writer->metadata, value);
}

void weight_writer_add(WeightWriter *writer, const char *name, WeightType type, Shape shape, const float *data) {
  if (type != WEIGHT_F32 && type != WEIGHT_I64) BUG("weight files are written as F32 and I64 only");
  WeightTensor tensor = {arena_strdup(writer->arena, name), type, shape, data,
                         shape_elements(shape) * types[type].bytes};
  ARENA_PUSH(writer->arena, writer->tensors, writer->n_tensors, writer->cap_tensors, tensor);
}

static void put_header(const WeightWriter *writer, Text *header) {
  text_put(header, "{");
  if (writer->metadata.size) text_printf(header, "\"__metadata__\":{%s}", text_get(&writer->metadata));
  int64_t offset = 0;
  for (int i = 0; i < writer->n_tensors; i++) {
    const WeightTensor *tensor = &writer->tensors[i];
    if (header->size > 1) text_put(header, ",");
    text_put_json(header, tensor->name);
    text_printf(header, ":{\"dtype\":\"%s\",\"shape\":[", types[tensor->type].name);
    for (int axis = 0; axis < tensor->shape.rank; axis++)
      text_printf(header, "%s%lld", axis ? "," : "", (long long)tensor->shape.dim[axis]);
    text_printf(header, "],\"data_offsets\":[%lld,%lld]}", (long long)offset, (long long)(offset + tensor->bytes));
    offset += tensor->bytes;
  }
  text_put(header, "}");
  while (header->size % 8) text_put(header, " "); // tensors start aligned
}

static Status put_tensor(FileWriter *out, const WeightTensor *tensor) {
  if (tensor->type == WEIGHT_F32) return file_writer_put(out, tensor->data, (size_t)tensor->bytes);
  const float *values = tensor->data;
  for (int64_t i = 0, n = shape_elements(tensor->shape); i < n; i++) {
    int64_t whole = (int64_t)values[i];
    TRY(file_writer_put(out, &whole, sizeof whole));
  }
  return STATUS_OK;
}

Status weight_writer_save(WeightWriter *writer, const char *path) {
  FileWriter *out = NULL;
  Text header = {0};
  Status status;
  TRY_GOTO(file_writer_open(path, &out));
  put_header(writer, &header);
  uint64_t length = header.size;
  TRY_GOTO(file_writer_put(out, &length, sizeof length));
  TRY_GOTO(file_writer_put(out, header.data, header.size));
  for (int i = 0; i < writer->n_tensors; i++) TRY_GOTO(put_tensor(out, &writer->tensors[i]));
  status = file_writer_commit(out);
  out = NULL;
fail:
  file_writer_abort(out);
  text_free(&header);
  text_free(&writer->metadata);
  arena_free(writer->arena);
  return status;
}
