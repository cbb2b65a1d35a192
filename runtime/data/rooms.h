// Rooms: a ray caster of random furnished rooms with metric depth, the data set that needs no files.
//
// (seed, index) names a room: the same bits from one build on every machine of one kind, whatever thread renders it.
// Picture and depth have the projection of an upright pin-hole camera like that of NYU Depth v2 (fx near 519 at 640
// pixels).
#ifndef SG_DATA_ROOMS_H
#define SG_DATA_ROOMS_H

#include <stdint.h>

#include "runtime/data/depth_io.h"
#include "runtime/data/image.h"

// Pin-hole camera: pixel centre (x, y) sees the direction ((x + 0.5 - cx) / f, (y + 0.5 - cy) / f, 1) in the camera
// frame (x right, y down, z forward); depth is the z of the point seen there. f, cx, cy are in pixels.
typedef struct RoomCamera {
  float f, cx, cy;
  float height; // of the camera above the floor, metres
  float pitch;  // radians, positive looks down
} RoomCamera;

typedef struct RoomView {
  Image picture;
  DepthMap depth; // metres; 0 where a depth sensor sees nothing (edges, dark and shiny surfaces, far away)
  uint16_t
      *surface; // one number for each flat or round face of the scene, row-major; 0 = floor, 1 = ceiling, 2..5 walls
  float *exact; // depth without noise and holes, row-major; every pixel is set
  RoomCamera camera;
} RoomView;

// Renders room `index` of `seed` at width x height (sides of ROOM_MIN_SIDE to ROOM_MAX_SIDE). Everything in *out
// belongs to the caller; room_free ends it. Thread-safe.
void room_render(uint64_t seed, uint64_t index, int width, int height, RoomView *out);
void room_free(RoomView *view);

// One line on the room: its kind, size and furniture, for labels. `out` holds ROOM_TEXT bytes.
enum { ROOM_TEXT = 160 };
void room_describe(uint64_t seed, uint64_t index, char out[ROOM_TEXT]);

// The largest depth that the sensor reports.
#define ROOM_FAR 10.0f

// Sides that can be rendered, pixels.
enum { ROOM_MIN_SIDE = 16, ROOM_MAX_SIDE = 4096 };

#endif
