// Weights: safetensors files: 8 bytes of header length, a JSON header, then the tensors' bytes.
#include <cjson/cJSON.h>
#include <string.h>

#include "runtime/weights_file.h"

enum { MAX_HEADER = 100 << 20 };

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
  int kind = 0;
  while (kind < WEIGHT_TYPES && strcmp(weight_type_name((WeightType)kind), type)) kind++;
  if (kind == WEIGHT_TYPES) return status_make(EXIT_WEIGHTS, "tensor '%s' has the unknown type '%s'", name, type);
  if (cJSON_GetArraySize(shape) > MAX_RANK)
    return status_make(EXIT_WEIGHTS, "tensor '%s' has more than %d axes", name, MAX_RANK);
  Shape sizes = {0};
  const cJSON *dim;
  cJSON_ArrayForEach(dim, shape) sizes.dim[sizes.rank++] = json_size(dim);
  int64_t elements = weights_file_elements(&sizes);
  if (elements < 0) return status_make(EXIT_WEIGHTS, "tensor '%s' has an impossible shape", name);
  int64_t begin = json_size(cJSON_GetArrayItem(offsets, 0)), end = json_size(cJSON_GetArrayItem(offsets, 1));
  if (begin < 0 || end < begin || end - begin != elements * weight_type_bytes((WeightType)kind))
    return status_make(EXIT_WEIGHTS, "tensor '%s' has offsets that do not fit its shape", name);
  if (end > n_data)
    return status_make(EXIT_WEIGHTS, "tensor '%s' reaches past the end of the file; the file is truncated", name);
  return weights_file_add(file, name, (WeightType)kind, sizes, data + begin);
}

Status weights_read_safetensors(WeightFile *file) {
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
