// Dataset: numbered pairs of a picture and its depth map, wherever they come from.
#ifndef SG_DATA_DATASET_H
#define SG_DATA_DATASET_H

#include "runtime/data/depth_io.h"
#include "runtime/data/image.h"

typedef struct Sample {
  Image picture;
  DepthMap depth; // of the picture's size
} Sample;
void sample_free(Sample *sample);

typedef struct Dataset Dataset;

// What a kind of data set implements. Every function may be called by several threads at once.
typedef struct DatasetTable {
  const char *kind;                                                             // "rooms", "pairs"
  Status (*sample)(const Dataset *dataset, int64_t index, Sample *out);         // 0 <= index < size
  void (*name)(const Dataset *dataset, int64_t index, char *out, size_t bytes); // what messages and files call it
  void (*close)(Dataset *dataset);
} DatasetTable;

struct Dataset {
  const DatasetTable *table;
  int64_t size;
  float depth_max; // metres: no depth of it is larger (10 for rooms and files)
};

// Rooms come in endless streams that share no room: the training, validation and test rooms of one seed.
typedef enum RoomSplit { ROOMS_TRAIN, ROOMS_VALIDATION, ROOMS_TEST } RoomSplit;

// `count` rooms of width x height pixels.
Status dataset_open_rooms(uint64_t seed, RoomSplit split, int64_t count, int width, int height, Dataset **out);

// Pairs of files: dataset_open_pairs in runtime/data/pairs.h.

// The sample belongs to the caller. EXIT_DATA naming the file where it cannot be read or the sizes of the pair differ.
Status dataset_sample(const Dataset *dataset, int64_t index, Sample *out);
enum { SAMPLE_NAME = 256 };
void dataset_name(const Dataset *dataset, int64_t index, char out[SAMPLE_NAME]);
void dataset_close(Dataset *dataset); // NULL is allowed

#endif
