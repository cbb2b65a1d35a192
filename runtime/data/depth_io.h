// Depth maps in files: 16-bit PNG that says its own scale, NPY and PFM.
#ifndef SG_DATA_DEPTH_IO_H
#define SG_DATA_DEPTH_IO_H

#include "runtime/base/status.h"

// A depth map: metres along the optical axis, rows from top to bottom; 0 = missing. Ended with depth_free; {0} is
// empty.
typedef struct DepthMap {
  int width, height;
  float *metres;
} DepthMap;

void depth_alloc(DepthMap *depth, int width, int height); // all missing
void depth_free(DepthMap *depth);

// Values that a written PNG holds per metre, and the text chunks that say so: DepthScale=1000, DepthUnit=metre,
// Invalid=0 (metres = value / DepthScale).
enum { DEPTH_PNG_SCALE = 1000 };

// Writes a 16-bit PNG in millimetres, rounded to the nearest. Missing, negative and non-finite pixels become 0; depths
// beyond 65.535 m are written as 65.535 m and depths below half a millimetre as 1.
Status depth_write_png(const char *path, const DepthMap *depth);

// Reads a gray PNG as metres. The scale (values per metre) is `scale` if above 0, else the file's DepthScale. A file
// that declares none is refused with EXIT_DATA and a guess with its evidence (median and largest value); so is a scale
// that contradicts what the file declares. Values equal to the declared Invalid (default 0) become 0.
Status depth_read_png(const char *path, double scale, DepthMap *out);
// The same, but with scale 0 a file that declares none has default_scale values a metre, if that is above 0: layouts
// such as that of NYU Depth v2 say what their files do not.
Status depth_read_png_default(const char *path, double scale, double default_scale, DepthMap *out);

// What the values of a depth map most likely are, in words, from their median and largest; NULL where nothing fits.
const char *depth_guess_scale(int bits, int median, int largest);

// Writes float32 metres as NPY version 1.0 (shape [height, width], C order, little-endian) and as a gray PFM
// (little-endian, rows from bottom to top as the format wants).
Status depth_write_npy(const char *path, const DepthMap *depth);
Status depth_write_pfm(const char *path, const DepthMap *depth);

// Writes by the extension of `path`: .png, .npy or .pfm; EXIT_USAGE for another.
Status depth_write(const char *path, const DepthMap *depth);

#endif
