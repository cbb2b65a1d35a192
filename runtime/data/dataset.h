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
  const char *kind;                                                             // "rooms", "folder"
  Status (*sample)(const Dataset *dataset, int64_t index, Sample *out);         // 0 <= index < size
  void (*name)(const Dataset *dataset, int64_t index, char *out, size_t bytes); // what messages and files call it
  void (*close)(Dataset *dataset);
} DatasetTable;

struct Dataset {
  const DatasetTable *table;
  int64_t size;
  float depth_max; // metres: no depth of it is larger (10 for rooms; 10 unless given for folders)
};

// Rooms come in endless streams that share no room: the training and the validation rooms of one seed.
typedef enum RoomSplit { ROOMS_TRAIN, ROOMS_VALIDATION } RoomSplit;

// `count` rooms of width x height pixels.
Status dataset_open_rooms(uint64_t seed, RoomSplit split, int64_t count, int width, int height, Dataset **out);

// A folder with rgb/ (or images/) and depth/, pairs matched by the file's name without extension. Depths are gray PNG
// whose scale is `depth_scale` values a metre or, if that is 0, the one that each file declares. Pairs are in the order
// of their names. EXIT_DATA if there are none; pictures without depth are counted in *out_unpaired if that is not NULL.
// Of `parts` equal slices taken in turn (index % parts), those with index % parts == part are kept, or all the others
// if `others`; parts = 1, part = 0 keeps everything: dataset_open_folder(dir, 0, 10, 9, true, ...) is a 9:1 training
// split, and (dir, 0, 10, 9, false, ...) its validation set.
Status dataset_open_folder(const char *directory, double depth_scale, int parts, int part, bool others,
                           int64_t *out_unpaired, Dataset **out);

// The sample belongs to the caller. EXIT_DATA naming the file where it cannot be read or the sizes of the pair differ.
Status dataset_sample(const Dataset *dataset, int64_t index, Sample *out);
enum { SAMPLE_NAME = 256 };
void dataset_name(const Dataset *dataset, int64_t index, char out[SAMPLE_NAME]);
void dataset_close(Dataset *dataset); // NULL is allowed

#endif
