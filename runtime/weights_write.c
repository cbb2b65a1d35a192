// Weights: writing safetensors files.
#include <stdlib.h>
#include <string.h>

#include "runtime/base/arena.h"
#include "runtime/base/file.h"
#include "runtime/weights_file.h"

struct WeightWriter {
  Arena *arena;
  WeightTensor *tensors;
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
  int64_t n = shape_elements(shape);
  const void *bytes = data;
  if (type == WEIGHT_I64) {
    int64_t *whole = ARENA_ARRAY(writer->arena, int64_t, n + 1);
    for (int64_t i = 0; i < n; i++) whole[i] = (int64_t)data[i];
    bytes = whole;
  } else if (type != WEIGHT_F32) BUG("f32 values are written as F32 and I64 only");
  weight_writer_add_raw(writer, name, &(WeightTensor){name, type, shape, bytes, n * weight_type_bytes(type)});
}

void weight_writer_add_raw(WeightWriter *writer, const char *name, const WeightTensor *tensor) {
  WeightTensor copy = *tensor;
  copy.name = arena_strdup(writer->arena, name);
  ARENA_PUSH(writer->arena, writer->tensors, writer->n_tensors, writer->cap_tensors, copy);
}

static void put_header(const WeightWriter *writer, Text *header) {
  text_put(header, "{");
  if (writer->metadata.size) text_printf(header, "\"__metadata__\":{%s}", text_get(&writer->metadata));
  int64_t offset = 0;
  for (int i = 0; i < writer->n_tensors; i++) {
    const WeightTensor *tensor = &writer->tensors[i];
    if (header->size > 1) text_put(header, ",");
    text_put_json(header, tensor->name);
    text_printf(header, ":{\"dtype\":\"%s\",\"shape\":[", weight_type_name(tensor->type));
    for (int axis = 0; axis < tensor->shape.rank; axis++)
      text_printf(header, "%s%lld", axis ? "," : "", (long long)tensor->shape.dim[axis]);
    text_printf(header, "],\"data_offsets\":[%lld,%lld]}", (long long)offset, (long long)(offset + tensor->bytes));
    offset += tensor->bytes;
  }
  text_put(header, "}");
  while (header->size % 8) text_put(header, " "); // tensors start aligned
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
  for (int i = 0; i < writer->n_tensors; i++)
    TRY_GOTO(file_writer_put(out, writer->tensors[i].data, (size_t)writer->tensors[i].bytes));
  status = file_writer_commit(out);
  out = NULL;
fail:
  file_writer_abort(out);
  text_free(&header);
  text_free(&writer->metadata);
  arena_free(writer->arena);
  return status;
}
