// Dataset: the door of all data sets, and the one of rooms.
#include "runtime/data/dataset.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/data/rooms.h"

void sample_free(Sample *sample) {
  image_free(&sample->picture);
  depth_free(&sample->depth);
}

Status dataset_sample(const Dataset *dataset, int64_t index, Sample *out) {
  *out = (Sample){0};
  if (index < 0 || index >= dataset->size)
    return status_make(EXIT_USAGE, "there is no sample %lld in a data set of %lld", (long long)index,
                       (long long)dataset->size);
  return dataset->table->sample(dataset, index, out);
}

void dataset_name(const Dataset *dataset, int64_t index, char out[SAMPLE_NAME]) {
  dataset->table->name(dataset, index, out, SAMPLE_NAME);
}

void dataset_close(Dataset *dataset) {
  if (dataset) dataset->table->close(dataset);
}

// ---- Rooms ----

typedef struct Rooms {
  Dataset base;
  uint64_t seed, first;
  int width, height;
} Rooms;

static Status rooms_sample(const Dataset *dataset, int64_t index, Sample *out) {
  const Rooms *rooms = (const Rooms *)dataset;
  RoomView view;
  room_render(rooms->seed, rooms->first + (uint64_t)index, rooms->width, rooms->height, &view);
  *out = (Sample){view.picture, view.depth};
  view.picture = (Image){0};
  view.depth = (DepthMap){0};
  room_free(&view);
  return STATUS_OK;
}

static void rooms_name(const Dataset *dataset, int64_t index, char *out, size_t bytes) {
  const Rooms *rooms = (const Rooms *)dataset;
  snprintf(out, bytes, "room %llu of seed %llu", (unsigned long long)(rooms->first + (uint64_t)index),
           (unsigned long long)rooms->seed);
}

static void rooms_close(Dataset *dataset) { free(dataset); }

Status dataset_open_rooms(uint64_t seed, RoomSplit split, int64_t count, int width, int height, Dataset **out) {
  static const DatasetTable table = {"rooms", rooms_sample, rooms_name, rooms_close};
  if (count < 1) return status_make(EXIT_USAGE, "a data set needs at least one room, not %lld", (long long)count);
  if (width < ROOM_MIN_SIDE || height < ROOM_MIN_SIDE || width > ROOM_MAX_SIDE || height > ROOM_MAX_SIDE)
    return status_make(EXIT_USAGE, "rooms of %dx%d pixels: each side must be %d to %d", width, height, ROOM_MIN_SIDE,
                       ROOM_MAX_SIDE);
  Rooms *rooms = calloc(1, sizeof *rooms);
  if (!rooms) BUG("out of memory");
  rooms->base = (Dataset){&table, count, ROOM_FAR};
  rooms->seed = seed;
  rooms->first = (uint64_t)split << 40; // the streams of one seed never meet
  rooms->width = width;
  rooms->height = height;
  *out = &rooms->base;
  return STATUS_OK;
}
