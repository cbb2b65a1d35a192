// Weights: files of named tensors, read by mapping them: safetensors, which is also written, and PyTorch's .pth. Names
// are instance paths; order never matters.
#ifndef SG_WEIGHTS_H
#define SG_WEIGHTS_H

#include "runtime/base/status.h"
#include "runtime/tensor.h"

typedef enum WeightType {
  WEIGHT_F32,
  WEIGHT_F64,
  WEIGHT_F16,
  WEIGHT_BF16,
  WEIGHT_I64,
  WEIGHT_I32,
  WEIGHT_I16,
  WEIGHT_I8,
  WEIGHT_U8,
  WEIGHT_BOOL // a byte each, 0 = false
} WeightType;
enum { WEIGHT_TYPES = WEIGHT_BOOL + 1 };

const char *weight_type_name(WeightType type); // as safetensors spells it: "F32"

typedef struct WeightTensor {
  const char *name;
  WeightType type;
  Shape shape;
  const void *data; // row-major, in the mapped file or owned by it; not necessarily aligned
  int64_t bytes;
} WeightTensor;

typedef struct WeightFile WeightFile;

// Maps a file and checks every offset, size and name in it. The format is told from the content: safetensors, or what
// torch.save wrote of a state dict, in the old container (pickles, then bytes) or the new one (a zip archive). Of a
// PyTorch file nothing is run: only what tensors need is understood, all else is refused by name. Nested dictionaries
// give names joined by dots ("state_dict.conv.weight"); what is no tensor is left out.
// A file that is neither, is truncated, or lies about its sizes is an EXIT_WEIGHTS error that names path and tensor; a
// missing one EXIT_DATA.
Status weights_open(const char *path, WeightFile **out);
void weights_close(WeightFile *file); // NULL is allowed

int weights_count(const WeightFile *file);
const WeightTensor *weights_at(const WeightFile *file, int i);              // in the order of the header
const WeightTensor *weights_find(const WeightFile *file, const char *name); // or NULL
const char *weights_metadata(const WeightFile *file, const char *key);      // or NULL
int weights_metadata_count(const WeightFile *file);
const char *weights_metadata_key(const WeightFile *file, int i); // in order, 0 <= i < count
const char *weights_path(const WeightFile *file);
const char *weights_format(const WeightFile *file); // "safetensors", "PyTorch zip", "PyTorch legacy"

// Converts a tensor's elements to f32 (exact for f32, f16, bf16 and integers up to 2^24).
void weights_to_f32(const WeightTensor *tensor, float *out);
// The elements where they lie in the file, if they are f32 there and can be read as floats; else NULL.
const float *weights_in_place(const WeightTensor *tensor);
// Gives back the memory into which that part of the file was read: some bytes of a tensor's data. They are read anew
// when they are wanted again.
void weights_let_go(const WeightFile *file, const void *data, int64_t bytes);

// ---- writing

typedef struct WeightWriter WeightWriter;
WeightWriter *weight_writer_new(void);
void weight_writer_metadata(WeightWriter *writer, const char *key, const char *value);
// Refers to `data` until the file is saved, if F32; I64 tensors are given as f32 values in `data` and converted.
void weight_writer_add(WeightWriter *writer, const char *name, WeightType type, Shape shape, const float *data);
// Adds a tensor as it stands, under another name; refers to its data until the file is saved.
void weight_writer_add_raw(WeightWriter *writer, const char *name, const WeightTensor *tensor);
// Writes atomically (see file_write) and frees the writer in every case.
Status weight_writer_save(WeightWriter *writer, const char *path);

#endif
