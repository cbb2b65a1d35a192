// Winograd's convolution of 3x3 kernels, F(m x m, 3 x 3): a tile of m x m results from (m + 2) x (m + 2) elements of
// the picture costs one product for each of the latter. y = A' [(G g G') * (B' d B)] A, * element by element.
// So the gradient by the kernel is G' [(A dy A') * (B' d B)] G, the middle summed over all tiles.
//
// Toom-Cook's construction (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015) at the points
// 0, 1, -1 and infinity for m = 2; 0, +-sqrt(1/2), +-sqrt(2) and infinity for m = 4. Of the usual choices these round
// least (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution", 2020).
#ifndef SG_WINOGRAD_H
#define SG_WINOGRAD_H

#include <stdint.h>

#include "runtime/tensor.h"

enum { WINOGRAD_MAX = 6 };

// Tiles of m results along an axis of `extent` results, in each of the grids of every d-th element that dilation d cuts
// the axis into.
int64_t winograd_tiles(int64_t extent, int64_t dilation, int64_t m);
// Tiles of m x m results in all images of a picture [N, C, H, W], the grids of the dilation included.
int64_t winograd_count_tiles(Shape picture, int64_t dilation, int64_t m);

// The m of tiles that a convolution makes with a weight of that shape: transformed ones are [O, C, m + 2, m + 2];
// kernels [O, C, 3, 3] are transformed for tiles of 4 x 4.
int winograd_m(Shape weight);

// The three matrices for m = 2 or 4, with t = m + 2. Those not wanted may be NULL.
void winograd_matrices(int m, double input[WINOGRAD_MAX][WINOGRAD_MAX], // B' [t, t]
                       double filter[WINOGRAD_MAX][3],                  // G [t, 3]
                       double output[4][WINOGRAD_MAX]);                 // A' [m, t]

// Operations that a transform of one tile of one channel takes where the symmetry of the points is used: an input's
// tile B' d B, sums' A' s A; and for the gradient by the weight (m = 4) the tile of the result's gradient A dy A', and
// the sums of one pair of channels G' s G.
typedef enum WinogradTransform { WINOGRAD_INPUT, WINOGRAD_OUTPUT, WINOGRAD_RESULT, WINOGRAD_WEIGHT } WinogradTransform;
int64_t winograd_flops(int m, WinogradTransform transform);

#endif
