// PLY: a picture and its depth map as a cloud of coloured points.
#ifndef SG_DATA_PLY_H
#define SG_DATA_PLY_H

#include "runtime/data/depth_io.h"
#include "runtime/data/image.h"

// A pin-hole camera, in pixels: pixel centre (x + 0.5, y + 0.5) sees the direction ((x + 0.5 - cx) / fx,
// (y + 0.5 - cy) / fy, 1); x points right, y down, z forward.
typedef struct Intrinsics {
  double fx, fy, cx, cy;
} Intrinsics;

// Writes binary little-endian PLY: one vertex (x, y, z in metres as float, red, green, blue as uchar) for each pixel
// whose depth is above 0 and finite, row by row. Depth is the point's z. Both pictures must have one size (EXIT_DATA).
Status ply_write(const char *path, const Image *picture, const DepthMap *depth, const Intrinsics *camera);

#endif
