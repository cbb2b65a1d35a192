// Weight files from within: what the readers of each format fill in.
#ifndef SG_WEIGHTS_FILE_H
#define SG_WEIGHTS_FILE_H

#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/strmap.h"
#include "runtime/weights.h"

struct WeightFile {
  Arena *arena;
  const char *path, *format;
  char *map; // the whole file, read-only; NULL where it is empty
  int64_t size;
  WeightTensor *tensors;
  int n_tensors, cap_tensors;
  StrMap *by_name, *metadata;
};

int weight_type_bytes(WeightType type);

// The number of elements of a shape as read from a file, or -1 where it is negative somewhere or beyond 2^40.
int64_t weights_file_elements(const Shape *shape);

// Adds a tensor, copying its name; `data` must live as long as the file. Refuses names that are empty, longer than 1024
// bytes, hold control characters, or occur twice (EXIT_WEIGHTS).
Status weights_file_add(WeightFile *file, const char *name, WeightType type, Shape shape, const void *data);

// The readers: each takes the mapped bytes for its format and adds the tensors, or says in EXIT_WEIGHTS what is wrong.
Status weights_read_safetensors(WeightFile *file);
Status weights_read_pth(WeightFile *file);

// Whether the bytes begin as a PyTorch file does, in any of its containers.
bool weights_is_pth(const char *bytes, int64_t size);

#endif
